"""Accuracy of one recipe: pre-trains by a preset and overrides, and prints a row. Held-out photographs are never opened.

    python benchmarks/accuracy.py EXAMPLES [--preset cpu] [--set KEY=VALUE]...

EXAMPLES are the photographs of any run (runs/artifacts/ExampleGen/examples/N). The row: cross-validated accuracy of the probe
on the train split, kNN accuracy there (each photograph left out once), both with the random-init baseline, the loss, the
effective rank, and the time. The table in docs/recipe.md has rows of several recipes.
"""

import argparse
import glob
import os
import tempfile

from pipeline import settings
from trainer.embedding_network import build_embedding_network, copy_weights
from trainer.features import embedder, knn_accuracy
from trainer.linear_eval import read_views
from trainer.loop import pretrain
from trainer.normalization import stock
from trainer.photographs import open_train_split
from trainer.probe import fit_probe


def main() -> None:
    """Trains, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    # Validated as in any run. Nothing is monitored or saved on the way: the row is the result.
    quietly = ["pretrain.knn_epochs=0", "pretrain.checkpoint_seconds=1e9"]
    config = settings.configuration(arguments.preset, quietly + arguments.overrides)
    files = sorted(glob.glob(os.path.join(arguments.examples, "Split-train", "*.gz")))
    training = config.pretrain
    split = open_train_split(files, round(training.resolution * training.canvas_scale), training.memory_megabytes)
    with tempfile.TemporaryDirectory() as folder:
        result = pretrain(split, training, checkpoint_dir=os.path.join(folder, "checkpoints"),
                          log_dir=os.path.join(folder, "scalars"), neighbours=config.linear_eval.neighbours)  # fmt: skip
    trained, untrained = (
        build_embedding_network(
            training.backbone, width=training.width, stem=training.stem, seed=training.seed, embedding=config.embedding,
            normalization_layer=stock)
        for _ in range(2))  # fmt: skip
    copy_weights(result.model.backbone, trained)
    views, labels, _ = read_views(files, config.embedding.side)
    linear, knn = [], []
    for features in embedder((trained, untrained))(views):
        probe = fit_probe(features, labels, regularisation=config.linear_eval.regularisation, folds=config.linear_eval.folds,
                          seed=config.linear_eval.seed)  # fmt: skip
        linear.append(probe.cross_validated)
        knn.append(knn_accuracy(features, labels, config.linear_eval.neighbours))
    report = result.report
    print(f"{arguments.preset} {' '.join(arguments.overrides)}")
    print(f"linear {linear[0]:.1%} (random-init {linear[1]:.1%}), kNN {knn[0]:.1%} (random-init {knn[1]:.1%})")
    print(f"loss {report['final_loss']:.3f}, effective rank {report['effective_rank']:.0f}")
    print(f"{report['seconds']:.0f} s, {report['images_per_second']:.0f} photographs/s")


if __name__ == "__main__":
    main()
