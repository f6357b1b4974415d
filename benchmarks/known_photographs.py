"""What it costs a run to find out that its photographs have not changed, with and without the cache of what was read before.

    python benchmarks/known_photographs.py [--images 3000] [--kilobytes 62] [--rounds 5]

Files of random bytes are listed, and their fingerprint is found: by reading them all, as the first run does, and from the cache.
Both take turns, and what counts is their ratio within a round, in processor time, as other work disturbs that less. The files were
just written, so they are read from memory: waiting for a disk or a network comes on top of reading.
"""

import argparse
import dataclasses
import pathlib
import statistics
import tempfile
import time

import numpy as np

from components.example_gen.folder import open_folder
from components.example_gen.known_content import GRANULARITY_NS, KnownContent


def seconds(root: pathlib.Path, cache: pathlib.Path, full_check: bool) -> tuple[float, str]:
    """Processor time of a look, and the fingerprint that it finds. Times of files count as old, so that all of them are kept."""
    start = time.process_time()
    known = KnownContent(cache, full_check, now=lambda: time.time_ns() + 2 * GRANULARITY_NS)
    source = open_folder(str(root), eval_fraction=0.15)
    fingerprint = dataclasses.replace(source, content=known.content).fingerprint()
    known.save()
    return time.process_time() - start, fingerprint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--kilobytes", type=int, default=62, help="of a file; 62 as the photographs of tf_flowers on average")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "photographs"
        for index in range(asked.images):
            path = root / f"class-{index % 5}" / f"{index}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.bytes(1000 * asked.kilobytes))
        cache = pathlib.Path(folder) / "known.json"
        rounds = []
        for _ in range(asked.rounds):
            (reading, first), (known, again) = (seconds(root, cache, full_check) for full_check in (True, False))
            assert first == again
            rounds.append((reading, known, reading / known))
    reading, known, ratio = (statistics.median(one) for one in zip(*rounds, strict=True))
    ratios = sorted(one for _, _, one in rounds)
    print(f"{asked.images:,} files of {asked.kilobytes} kB, medians of {asked.rounds} rounds: all read {reading:.2f} s, none read "
          f"{known:.2f} s; ratio {ratio:.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})")  # fmt: skip


if __name__ == "__main__":
    main()
