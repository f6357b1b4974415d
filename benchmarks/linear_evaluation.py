"""The time of linear evaluation, part by part, and as a share of pre-training: prints a table, and a second one with --choices.

    python benchmarks/linear_evaluation.py [--preset cpu] [--set KEY=VALUE]… [--images 3000] [--steps 20] [--choices]

benchmarks/many_classes.py measures it as photographs and classes grow.

The images are synthetic flowers, 85 % of them the train split. The backbone is trained for --steps steps, which gives the rate of
pre-training; its whole time is computed from that rate and the preset's epochs. Then the functions of Trainer 2 are timed.
`share` is of the time of pre-training, in float32 unless pretrain.precision is set.

With --choices a second table has alternatives: features by the exported network, whose normalisations are not folded; one
candidate for C fitted on all folds together or on one after another, on one thread or on all, and by scikit-learn.
"""

import argparse
import contextlib
import itertools
import pathlib
import tempfile
import time

from contracts import libraries

libraries.set_variables()

WARM_UP_STEPS = 3


def main() -> None:
    """Trains a little, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--choices", action="store_true")
    arguments = parser.parse_args()

    import flower_records
    import numpy as np
    from presets import configuration

    from trainer import label_curve
    from trainer.export import folded
    from trainer.features import embedder, knn_accuracy
    from trainer.linear_eval import read_views
    from trainer.probe import fit_probe, labelled_subset

    config = configuration(arguments.preset, arguments.overrides)
    settings = config.linear_eval
    with tempfile.TemporaryDirectory() as folder:
        drawn = flower_records.draw(arguments.images, config.data.synthetic_side)
        held_out = round(arguments.images * config.data.eval_fraction)
        paths = {"train": pathlib.Path(folder, "train"), "eval": pathlib.Path(folder, "eval")}
        flower_records.write(drawn, np.arange(held_out, arguments.images), paths["train"])
        flower_records.write(drawn, np.arange(held_out), paths["eval"])
        files = {split: [str(path / "*.gz")] for split, path in paths.items()}
        networks, record, rate = pretrained(config, files["train"], arguments.steps)
        pretraining = (arguments.images - held_out) * config.pretrain.epochs / rate
        parts = Parts()
        with parts.timed("features of train and eval, trained and untrained"):
            embed = embedder([folded(one, record) for one in networks])
            views, labels, _ = read_views(files["train"], config.embedding.side)
            train = embed(views)
            views, eval_labels, _ = read_views(files["eval"], config.embedding.side)
            evaluated = embed(views)
        options = {"regularisation": settings.regularisation, "folds": settings.folds, "seed": settings.seed}
        with parts.timed("probe with its cross-validation"):
            fit_probe(train[0], labels, **options)
        with parts.timed("the same on the random-init baseline"):
            fit_probe(train[1], labels, **options)
        few = labelled_subset(labels, settings.label_fraction, settings.seed)
        with parts.timed("the same with a tenth of the labels"):
            fit_probe(train[0][few], labels[few], **options)
        with parts.timed("accuracy over labels, trained and untrained"):
            for bank, queries in zip(train, evaluated):
                label_curve.accuracies(bank, labels, queries, eval_labels, settings, with_all=0.0)
        with parts.timed("kNN, trained and untrained"):
            for bank, queries in zip(train, evaluated):
                knn_accuracy(bank, labels, settings.neighbours, (queries, eval_labels))

        print(f"preset {arguments.preset} {' '.join(arguments.overrides)}, {arguments.images} images, {train[0].shape[1]} features; "
              f"pre-training: {config.pretrain.epochs} epochs at {rate:.0f} images/s are {pretraining:.0f} s")  # fmt: skip
        print(f"{'':52}{'seconds':>9}{'share':>8}")
        for title, seconds in [*parts.seconds.items(), ("together", sum(parts.seconds.values()))]:
            print(f"{title:52}{seconds:9.1f}{seconds / pretraining:8.1%}")
        if arguments.choices:
            print_choices(networks, record, files["eval"], train[0], labels, settings)


class Parts:
    """Seconds by part, in the order in which they were measured."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def timed(self, title: str):
        """Measures the time of the block."""
        start = time.perf_counter()
        yield
        self.seconds[title] = time.perf_counter() - start


def pretrained(config, files: list[str], steps: int):
    """The embedding network after --steps steps and the untrained one, their record, and pre-training's images a second."""
    import dataclasses

    import tensorflow as tf

    from trainer.embedding_network import copy_weights
    from trainer.export import untrained_network
    from trainer.photographs import open_train_split
    from trainer.simsiam import build_simsiam, train_step

    settings = config.pretrain
    side = round(settings.resolution * settings.canvas_scale)
    split = open_train_split(files, side, settings.memory_megabytes)
    model = build_simsiam(settings)
    step = tf.function(lambda *batch: train_step(model, *batch, steps=1000, settings=settings)[0])
    epochs = (split.batches(settings.batch_size, seed=0, epoch=epoch) for epoch in itertools.count())
    batches = itertools.islice(itertools.chain.from_iterable(epochs), WARM_UP_STEPS + steps)
    for number, batch in enumerate(batches):
        if number == WARM_UP_STEPS:
            start = time.perf_counter()
        float(step(*batch, tf.constant(number)))
    rate = steps * settings.batch_size / (time.perf_counter() - start)
    record = {name: getattr(settings, name) for name in ("backbone", "width", "stem", "seed")}
    record["embedding"] = dataclasses.asdict(config.embedding)
    networks = [untrained_network(record) for _ in range(2)]
    copy_weights(model.backbone, networks[0])
    return networks, record, rate


def print_choices(networks, record: dict, files: list[str], features, labels, settings) -> None:
    """The second table."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    from trainer.export import folded
    from trainer.features import embedder
    from trainer.linear_eval import read_views
    from trainer.probe import fit_path

    parts = Parts()
    for title, embedding in (("exported", networks), ("folded", [folded(one, record) for one in networks])):
        embed = embedder(embedding)
        embed(read_views(files, record_side(record))[0].take(1))
        with parts.timed(f"features of eval alone, {title} network"):
            embed(read_views(files, record_side(record))[0])
    x = (features - features.mean(axis=0, dtype=np.float64)) / np.maximum(features.std(axis=0, dtype=np.float64), 1e-12)
    members = np.ones((settings.folds, len(labels)), bool)
    for mask, (_, fold) in zip(members, StratifiedKFold(settings.folds, shuffle=True, random_state=0).split(x, labels)):
        mask[fold] = False
    c = [sorted(settings.regularisation)[len(settings.regularisation) // 2]]
    for threads in (1, None):
        name = "one thread" if threads else "all threads"
        with threadpool_limits(threads, "blas"):
            with parts.timed(f"{settings.folds} folds together, {name}"):
                list(fit_path(x, labels, members, c))
            with parts.timed(f"{settings.folds} folds one after another, {name}"):
                for mask in members:
                    list(fit_path(x[mask], labels[mask], np.ones((1, mask.sum()), bool), c))
    with parts.timed(f"{settings.folds} folds, scikit-learn's LogisticRegression"):
        for mask in members:
            LogisticRegression(C=c[0], max_iter=5000).fit(x[mask], labels[mask])
    print(f"\n{'':52}{'seconds':>9}")
    for title, seconds in parts.seconds.items():
        print(f"{title:52}{seconds:9.1f}")


def record_side(record: dict) -> int:
    """Side in pixels of the embedding network's input."""
    return record["embedding"]["photograph_side"] or record["embedding"]["resolution"]


if __name__ == "__main__":
    main()
