"""The time of an exact search: prints a table for random vectors.

    python benchmarks/search.py
    python benchmarks/search.py --rows 100000 --sizes 96 1440

For each size of vector: seconds to write the index (drawing its numbers included) and to open it, and seconds for one query of
ten matches: the first (which reads the file from disk or from the system's cache), the best of the following ones, and its
processor time over all cores. `memory` is the index after `in_memory()`. Needs rows x size x 4 bytes of disk below --folder, and
about as much memory for the system to cache the file.
"""

import argparse
import os
import tempfile
import time

import numpy as np

from contracts.cores import cores
from inference.index import Header, new_index, open_index
from inference.search import nearest

TOP = 10
REPEATS = 5


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 512, 1440])
    parser.add_argument("--kinds", nargs="+", default=["npy", "memory", "parquet"], choices=["npy", "memory", "parquet"])
    parser.add_argument("--folder", default=None, help="where the indexes are written (default: the system's temporary folder)")
    arguments = parser.parse_args()
    print(f"{arguments.rows:,} rows, one query, {TOP} matches, {cores()} cores")
    print("numbers  index    write s  open s  first s  then s  CPU s")
    for size in arguments.sizes:
        for kind in arguments.kinds:
            measure(arguments.rows, size, kind, arguments.folder)


def measure(rows: int, size: int, kind: str, folder: str | None) -> None:
    """Prints one line of the table."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = os.path.join(scratch, "index.parquet" if kind == "parquet" else "index.npy")
        start = time.perf_counter()
        with new_index(path, Header("0" * 64, size, "benchmark", "1", scratch)) as writer:
            for first in range(0, rows, 4096):
                part = random.random((min(4096, rows - first), size), np.float32)
                names = [f"folder/{first + row}.jpg" for row in range(len(part))]
                writer.add(names, ["0" * 64] * len(part), part)
        written = time.perf_counter() - start
        start = time.perf_counter()
        index = open_index(path)
        if kind == "memory":
            index = index.in_memory()
        opened = time.perf_counter() - start
        seconds = []
        for _ in range(2 if kind == "parquet" else 1 + REPEATS):
            query = random.random((1, size), np.float32)
            start = time.perf_counter(), time.process_time()
            _, found = nearest(index, query, TOP)
            index.entries(found[0])
            seconds.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        best = min(seconds[1:])
        print(f"{size:7d}  {kind:7s}  {written:7.1f}  {opened:6.2f}  {seconds[0][0]:7.2f}  {best[0]:6.3f}  {best[1]:5.3f}", flush=True)


if __name__ == "__main__":
    main()
