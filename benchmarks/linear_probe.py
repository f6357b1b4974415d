"""What one thread for the linear algebra saves in fitting the linear probe: prints a table.

    python benchmarks/linear_probe.py [--count 2600] [--features 256] [--classes 5] [--pairs 3]

Both contestants fit `trainer.probe` with the default candidates and folds to the same features, in turn; `all threads` lifts the
limit that the probe sets. Matrices this small cost more to share between threads than to multiply.
"""

import argparse
import contextlib
import statistics
import time

import numpy as np

from pipeline_config import LinearEval
from trainer import probe


def main() -> None:
    """Runs the pairs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2600)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    labels = np.arange(arguments.count) % arguments.classes
    # Overlapping classes, as a real backbone leaves them: the fit takes as many iterations as there.
    features = random.normal(size=(arguments.count, arguments.features)) + random.normal(
        size=(arguments.classes, arguments.features))[labels] * 0.15  # fmt: skip
    limit = probe.threadpool_limits
    seconds = {"one thread": [], "all threads": []}
    for _ in range(arguments.pairs):
        for name, limits in (("one thread", limit), ("all threads", lambda *_: contextlib.nullcontext())):
            probe.threadpool_limits = limits
            seconds[name].append(fit(features, labels))
    print(f"{arguments.count} x {arguments.features}, {arguments.classes} classes, {arguments.pairs} pairs")
    for name, values in seconds.items():
        print(f"{name:12} median {statistics.median(values):8.2f} s")
    ratios = [slow / fast for fast, slow in zip(*seconds.values())]
    print(f"{'ratio':12} median {statistics.median(ratios):8.2f}")


def fit(features: np.ndarray, labels: np.ndarray) -> float:
    """Seconds for one probe with its cross-validation."""
    settings = LinearEval()
    start = time.perf_counter()
    probe.fit_probe(features, labels, regularisation=settings.regularisation, folds=settings.folds, seed=0)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
