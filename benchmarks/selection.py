"""Accuracy over labels, for the photographs that `flowers select` chooses and for a random choice: prints a table.

    python benchmarks/selection.py FOLDER --run runs/latest
    python benchmarks/selection.py FOLDER --run runs/latest --budgets 10 50 --draws 20

FOLDER has one folder per class; its labels are hidden, and shown only of what was chosen. --run names a run's folder, whose
backbone is used, and for the random-init baseline the same network with its initial weights. The loop is simulated as a user
goes through it: choose, label, fit the probe of a run on all labels so far, choose again with it, up to each budget. The
backbone learned without labels, so it stays the same.

Each of --seeds (5) holds out another fifth of the photographs, by which accuracy is measured; --draws random choices are
averaged for each. The difference is stated with its standard error over the seeds. Vectors are computed once; --vectors
FILE.npz keeps them.

(A file called select.py in this folder would hide Python's own module `select` from every benchmark.)
"""

import argparse
import logging
import os
import pathlib
import tempfile

from contracts import libraries

libraries.set_variables()

import numpy as np

import pipeline_config
from cli.select import backbone_of_run
from components.example_gen import near_duplicates
from components.example_gen.source import open_source
from contracts.content_hash import content_hash
from inference.embed import Backbone, batches
from inference.registered import Registered
from inference.select import LIMIT, Known, choose
from trainer.export import export_backbone, load_backbone, untrained_network
from trainer.probe import fit_probe

BUDGETS = (10, 25, 50, 100, 200)
SETTINGS = pipeline_config.LinearEval()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--run", required=True, metavar="RUN", help="folder of a run, such as runs/latest or runs/runs/ID")
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS, help="numbers of labels")
    parser.add_argument("--seeds", type=int, default=5, help="each holds out another part of the photographs")
    parser.add_argument("--draws", type=int, default=10, help="random choices for each seed")
    parser.add_argument("--vectors", metavar="FILE.npz", help="where vectors are kept; read if it exists")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # the probe's, where a class has one label
    known, trained, untrained = read(arguments)
    groups = near_duplicates.group([one.thumbnail for one in known])
    print(f"{len(known):,} photographs of {len({one.class_name for one in known})} classes, {arguments.seeds} seeds, each with a "
          f"{arguments.seeds}th held out; random choice: mean of {arguments.draws} draws")  # fmt: skip
    print("labels  select  random  difference          random-init: select  random  difference")
    measured = {}
    for name, vectors in (("trained", trained), ("untrained", untrained)):
        by_select, by_chance = [], []
        for seed, (pool, held_out) in enumerate(parts(groups, arguments.seeds)):
            simulation = Simulation(known, vectors, pool, held_out)
            by_select.append([simulation.accuracy(rows) for rows in simulation.select(arguments.budgets, seed)])
            drawn = [simulation.chance(arguments.budgets, seed * arguments.draws + draw) for draw in range(arguments.draws)]
            by_chance.append(np.mean([[simulation.accuracy(rows) for rows in one] for one in drawn], axis=0))
        measured[name] = np.array(by_select), np.array(by_chance)
    for column, budget in enumerate(arguments.budgets):
        print(f"{budget:6d}  {line(*measured['trained'], column)}          {line(*measured['untrained'], column):>32}", flush=True)


def line(by_select: np.ndarray, by_chance: np.ndarray, column: int) -> str:
    """Accuracies in percent, and their difference in points with its standard error over the seeds."""
    one, other = 100 * by_select[:, column], 100 * by_chance[:, column]
    error = np.std(one - other, ddof=1) / np.sqrt(len(one))
    return f"{one.mean():6.1f}  {other.mean():6.1f}  {(one - other).mean():+5.1f} ± {error:.1f}"


class Simulation:
    """Labels of `pool` can be asked for; accuracy is measured on `held_out`. Both are rows of `known` and `vectors`."""

    def __init__(self, known: list[Known], vectors: np.ndarray, pool: np.ndarray, held_out: np.ndarray):
        self.known = [known[row] for row in pool]
        self.vectors = vectors[pool]
        self.labels = np.array([one.class_name for one in self.known])
        self.held_out = vectors[held_out], np.array([known[row].class_name for row in held_out])

    def select(self, budgets: list[int], seed: int) -> list[list[int]]:
        """The rows that are labelled at each budget; of no other is the label shown."""
        shown: list[int] = []
        found = []
        at = {(one.path, one.content_hash): row for row, one in enumerate(self.known)}
        for budget in budgets:
            visible = [one._replace(class_name=one.class_name if row in shown else "") for row, one in enumerate(self.known)]
            chosen = choose(visible, self.vectors, budget - len(shown), seed)
            shown = shown + [at[one.path, one.content_hash] for one in chosen]
            found.append(shown)
        return found

    def chance(self, budgets: list[int], seed: int) -> list[np.ndarray]:
        """The same at random."""
        order = np.random.default_rng(seed).permutation(len(self.known))
        return [order[:budget] for budget in budgets]

    def accuracy(self, rows: list[int] | np.ndarray) -> float:
        """Of the probe of a run, fitted on the labels of these rows."""
        classes, labels = np.unique(self.labels[rows], return_inverse=True)
        vectors, truth = self.held_out
        if len(classes) < 2:
            return float(np.mean(truth == classes[0]))
        probe = fit_probe(
            self.vectors[rows], labels, regularisation=SETTINGS.regularisation, folds=SETTINGS.folds, seed=SETTINGS.seed)  # fmt: skip
        return float(np.mean(classes[probe.predict(vectors)] == truth))


def parts(groups: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pool and held-out rows of each seed. Each photograph is held out once, and the same picture is never on both sides."""
    order = np.random.default_rng(0).permutation(groups.max() + 1)
    part = (order % count)[groups]
    return [(np.flatnonzero(part != seed), np.flatnonzero(part == seed)) for seed in range(count)]


def read(arguments: argparse.Namespace) -> tuple[list[Known], np.ndarray, np.ndarray]:
    """What is known of each photograph, and its vectors by the run's backbone and by the same network untrained."""
    if arguments.vectors and os.path.exists(arguments.vectors):
        with np.load(arguments.vectors) as kept:
            known = [Known(*map(str, one), "", bytes(thumbnail)) for *one, thumbnail in zip(
                kept["path"], kept["content_hash"], kept["class_name"], kept["thumbnail"], strict=True)]  # fmt: skip
            return known, kept["trained"], kept["untrained"]
    run = pathlib.Path(arguments.run).resolve()
    registered = backbone_of_run(str(run.parents[1]), run.name)
    with tempfile.TemporaryDirectory() as folder:
        _, record = load_backbone(registered.directory)
        export_backbone(untrained_network(record), record, folder)
        (known, trained), (_, untrained) = (embedded(one, arguments.folder) for one in (
            registered, Registered("random-init", "", folder, content_hash(folder))))  # fmt: skip
    if arguments.vectors:
        columns = {name: np.array([getattr(one, name) for one in known]) for name in ("path", "content_hash", "class_name")}
        thumbnails = np.array([np.frombuffer(one.thumbnail, np.uint8) for one in known])
        np.savez(arguments.vectors, trained=trained, untrained=untrained, thumbnail=thumbnails, **columns)
    return known, trained, untrained


def embedded(registered: Registered, folder: str) -> tuple[list[Known], np.ndarray]:
    """The photographs of a folder with their labels, and their vectors."""
    images = (lambda encoded=encoded: encoded for encoded in open_source(pipeline_config.Data(source=folder), "").encoded(set(), LIMIT))
    known, vectors = [], []
    for batch, found in batches(Backbone(registered), images):
        vectors.append(found)
        known += [Known(one.path, one.content_hash, one.class_name, "", one.thumbnail) for one in batch if one.view is not None]
    return known, np.concatenate(vectors)


if __name__ == "__main__":
    main()
