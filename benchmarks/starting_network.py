"""Does SimSiam improve the features of a network that was trained on ImageNet, or harm them? Prints a table, without eval.

    python benchmarks/starting_network.py FILE.keras EXAMPLES --rate 0.05 --rate 0.5

FILE.keras is a network as pretrain.start takes it, such as the one that benchmarks/imagenet_features.py writes; EXAMPLES the
photographs of a run (runs/artifacts/ExampleGen/examples/N). Each rate trains once from the file, by the preset `cpu`. A row has
the cross-validated accuracy of the linear probe on the train split with its standard error, kNN accuracy on it (each photograph
left out once) and the photographs a second that were learned from.
"""

import argparse
import dataclasses
import os
import pathlib
import tempfile

import keras
import numpy as np

from pipeline_config import CPU, LinearEval, Pretrain
from trainer import starting_network
from trainer.features import embedder, knn_accuracy
from trainer.linear_eval import read_views
from trainer.loop import pretrain
from trainer.photographs import open_train_split
from trainer.probe import fit_probe


def row(title: str, network: keras.Model, files: list[str], resolution: int) -> str:
    """What the features of `network` are worth."""
    views, labels, _ = read_views(files, resolution)
    features, settings = embedder([network])(views)[0], LinearEval()
    probe = fit_probe(features, labels, regularisation=settings.regularisation, folds=settings.folds, seed=settings.seed)
    error = np.sqrt(probe.cross_validated * (1 - probe.cross_validated) / len(labels))
    knn = knn_accuracy(features, labels, settings.neighbours)
    return f"{title:34s} {100 * probe.cross_validated:6.1f} % ± {100 * error:.1f} {100 * knn:7.1f} %"


def main() -> None:
    """Measures and prints, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE.keras")
    parser.add_argument("examples", metavar="EXAMPLES")
    parser.add_argument("--rate", type=float, action="append", required=True, help="a base learning rate; may be repeated")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--resolution", type=int, default=CPU.pretrain.resolution, help="of the views that are learned from")
    parser.add_argument("--features-at", type=int, default=CPU.embedding.resolution, help="side of the photographs described")
    arguments = parser.parse_args()
    files = [os.path.join(arguments.examples, "Split-train", "*.gz")]
    with tempfile.TemporaryDirectory() as folder:
        start = starting_network.keep(arguments.file, arguments.resolution, pathlib.Path(folder, "starts"))
        settings: Pretrain = dataclasses.replace(
            CPU.pretrain, resolution=arguments.resolution, epochs=arguments.epochs, warm_start=start, precision="float32",
            knn_epochs=0)  # fmt: skip
        network = starting_network.build(start.backbone, arguments.features_at, settings.seed)
        print(f"{'':34s} linear, cross-validated     kNN  photographs/s", flush=True)
        print(row(f"{start.network}, as it is", network, files, arguments.features_at), flush=True)
        photographs = open_train_split(files, round(settings.resolution * settings.canvas_scale), settings.memory_megabytes)
        for rate in arguments.rate:
            result = pretrain(
                photographs, dataclasses.replace(settings, base_learning_rate=rate),
                checkpoint_dir=os.path.join(folder, f"{rate}"),
                log_dir=os.path.join(folder, "log"), neighbours=LinearEval().neighbours)  # fmt: skip
            title = f"{settings.epochs} epochs of SimSiam, rate {rate:g}"
            network = starting_network.at_side(result.model.backbone, arguments.features_at)
            measured = row(title, network, files, arguments.features_at)
            print(f"{measured} {result.report['images_per_second']:14.1f}   loss {result.report['final_loss']:.3f}", flush=True)


if __name__ == "__main__":
    main()
