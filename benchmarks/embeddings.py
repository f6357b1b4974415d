"""The gain of each part of an embedding: prints a table for one pre-trained backbone. Held-out photographs are never opened.

    python benchmarks/embeddings.py BACKBONE EXAMPLES

BACKBONE is a backbone directory (runs/artifacts/Pretrain/model/N/Format-Serving), EXAMPLES the photographs (runs/artifacts/
ExampleGen/examples/N). Each row adds a part to the row that it names. It has the cross-validated accuracy of the linear probe on
the train split and kNN accuracy (each photograph left out once), both with the random-init baseline, and photographs a second.
"""

import argparse
import json
import os
import time

from pipeline_config import Embedding, LinearEval
from trainer.embedding_network import build_embedding_network, copy_weights
from trainer.export import load_backbone
from trainer.features import embedder, knn_accuracy
from trainer.linear_eval import read_views
from trainer.normalization import stock
from trainer.probe import fit_probe


def variants(resolution: int) -> dict[str, Embedding]:
    """The rows, by name, for a backbone that was trained at `resolution`."""
    larger = 2 * resolution
    chosen = {"resolution": larger, "photograph_side": 3 * resolution, "stages": 4, "pooling": ("mean", "maximum")}
    between = {"resolution": resolution * 3 // 2, "photograph_side": larger}
    return {
        "1 last map, averaged": Embedding(resolution),
        "2 1 at twice the resolution": Embedding(larger),
        "3 2 with all stages": Embedding(larger, stages=4),
        "4 3 with maxima": Embedding(larger, stages=4, pooling=("mean", "maximum")),
        "5 4 with corners and centre": Embedding(**chosen),
        "6 5 with deviations": Embedding(**chosen | {"pooling": ("mean", "deviation", "maximum")}),
        "7 5 mirrored too": Embedding(**chosen, mirrored=True),
        "8 5 with smaller parts": Embedding(**chosen | {"photograph_side": 4 * resolution}),
        "9 5 at 1.5 times the resolution": Embedding(**chosen | between),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone")
    parser.add_argument("examples")
    arguments = parser.parse_args()
    trained, record = load_backbone(arguments.backbone)
    files = [os.path.join(arguments.examples, "Split-train", "*.gz")]
    settings = LinearEval()
    print(json.dumps(record["pretrain"]))
    print(f"{'embedding':32s} features  linear  random-init   kNN  random-init  photographs/s")
    for name, embedding in variants(record["resolution"]).items():
        networks = []
        for _ in range(2):
            networks.append(build_embedding_network(
                record["backbone"], width=record["width"], stem=record["stem"], seed=record["seed"], embedding=embedding,
                normalization_layer=stock))  # fmt: skip
        copy_weights(trained, networks[0])
        views, labels, _ = read_views(files, embedding.side)
        start = time.perf_counter()
        features = embedder(networks)(views)
        rate = len(labels) * len(networks) / (time.perf_counter() - start)
        linear = [
            fit_probe(each, labels, regularisation=settings.regularisation, folds=settings.folds, seed=settings.seed)
            .cross_validated for each in features]  # fmt: skip
        knn = [knn_accuracy(each, labels, settings.neighbours) for each in features]
        print(f"{name:32} {features[0].shape[1]:8} {linear[0]:7.1%} {linear[1]:12.1%} {knn[0]:5.1%} {knn[1]:12.1%} {rate:14.0f}",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
