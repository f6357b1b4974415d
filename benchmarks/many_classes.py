"""Seconds and memory of linear evaluation as photographs and classes grow: prints a table.

    python benchmarks/many_classes.py [--rows 3000x5 50000x100 100000x1000] [--features 960] [--set KEY=VALUE]… [--probe]

A row is a process of its own: photographs x classes, of which 85 % are the train split. It does what Trainer 2 does after it has
computed features, for the candidate and for the random-init baseline: probe and its regularisation, accuracy over labels, kNN,
calibration. With --probe it fits one probe alone. Features are random, around a centre for each class, as many as those of the
preset cpu; the baseline's centres are nearer to each other.

    seconds    on the clock, on as many cores as the process may use (first line)
    CPU        seconds of all these cores together, which depend less on other work of the machine
    peak       the process's highest resident memory, without libraries (before the first feature)
    anonymous  of it what is no file: pages of files are given back when memory is short
"""

import argparse
import pathlib
import threading
import time

from contracts import libraries

libraries.set_variables()

from own_process import last_line

# Standard deviation of the classes' centres, where that of the photographs around theirs is 1: classes overlap.
CANDIDATE, BASELINE = 0.22, 0.18


def main() -> None:
    """Prints a row for each size; with --row, only the figures of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=["3000x5", "50000x100", "100000x1000"], metavar="PHOTOGRAPHSxCLASSES")
    parser.add_argument("--features", type=int, default=960)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--probe", action="store_true")
    parser.add_argument("--row", metavar="PHOTOGRAPHSxCLASSES", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(row(arguments))
        return
    from contracts.cores import cores

    what = "one probe" if arguments.probe else "linear evaluation"
    print(f"{what}, {arguments.features} features {' '.join(arguments.overrides)}, {cores()} cores")
    print(f"{'photographs':>12}{'classes':>9}{'seconds':>9}{'CPU':>9}{'peak MB':>9}{'anonymous MB':>14}{'top-1':>8}{'C':>8}")
    for one in arguments.rows:
        options = [f"--row={one}", f"--features={arguments.features}", *(f"--set={one}" for one in arguments.overrides),
                   *(["--probe"] if arguments.probe else [])]  # fmt: skip
        photographs, classes = map(int, one.split("x"))
        print(f"{photographs:12,}{classes:9,}{last_line(__file__, *options)}", flush=True)


def row(arguments: argparse.Namespace) -> str:
    """Draws features, evaluates, and returns the figures."""
    import numpy as np

    from pipeline.settings import configuration
    from trainer.evaluation import Features, evaluate
    from trainer.probe import fit_probe

    settings = configuration("cpu", arguments.overrides).linear_eval
    photographs, classes = map(int, arguments.row.split("x"))
    held_out = round(0.15 * photographs)
    before = {name: status(name) for name in ("VmRSS", "RssAnon")}
    memory = Peak()

    def drawn(distance: float, seed: int) -> Features:
        random = np.random.default_rng(seed)
        centres = distance * random.normal(size=(classes, arguments.features)).astype(np.float32)
        splits = []
        for count in (photographs - held_out, held_out):
            labels = np.arange(count) % classes
            splits += [in_rows(random, centres, labels), labels]
        return Features(*splits)

    candidate, baseline = drawn(CANDIDATE, 0), drawn(BASELINE, 1)
    start, cpu = time.perf_counter(), time.process_time()
    if arguments.probe:
        fitted = fit_probe(candidate.train, candidate.train_labels, regularisation=settings.regularisation, folds=settings.folds,
                           seed=settings.seed)  # fmt: skip
    else:
        fitted, _, _ = evaluate(candidate, baseline, settings)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak, anonymous = status("VmHWM") - before["VmRSS"], memory.end() - before["RssAnon"]
    top1 = fitted.accuracy(candidate.eval, candidate.eval_labels)
    return f"{seconds:9.1f}{cpu:9.1f}{peak:9,.0f}{anonymous:14,.0f}{top1:8.1%}{fitted.regularisation:8g}"


def in_rows(random, centres, labels):
    """Features of photographs with these labels, as trainer.features.embedder keeps them."""
    import numpy as np

    try:
        from trainer.blocks import Rows
    except ImportError:  # former versions kept them in memory
        Rows = None
    parts = (
        centres[labels[first : first + 1000]] + random.standard_normal((len(labels[first : first + 1000]), centres.shape[1]), np.float32)
        for first in range(0, len(labels), 1000)
    )
    if Rows is None:
        return np.concatenate(list(parts))
    rows = Rows()
    for part in parts:
        rows.add(part)
    return rows.array()


class Peak:
    """The highest anonymous memory of this process, looked at twenty times a second."""

    def __init__(self):
        self.highest, self.ended = 0.0, threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self) -> None:
        while not self.ended.wait(0.05):
            self.highest = max(self.highest, status("RssAnon"))

    def end(self) -> float:
        """In 10^6 bytes."""
        self.ended.set()
        self.thread.join()
        return self.highest


def status(name: str) -> float:
    """Memory of this process in 10^6 bytes, from Linux: RssAnon, VmRSS or VmHWM."""
    lines = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
