"""Photographs a second that ingest reads, decodes and writes on one core and on more: prints a table.

    python benchmarks/ingest_cores.py [--images 5000] [--side 224] [--cores 1 2] [--rounds 3] [--priority 0]

Photographs are distinct, JPEG of --side pixels (distinct_photographs.py), and scaled down to 256. Numbers of cores take turns, and every ingest is in a process
of its own, which may use the first so many of the cores that this one may use. With other work on the machine give --priority -20
(as root): only the ingest itself has it.

    seconds  median of the rounds, and the least and the most
    CPU      seconds of all cores together; where more than one core is used, they do more, as threads wait for each other
    ratio    photographs a second, by those of the first row
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time

from own_process import last_line, processor_seconds


def main() -> None:
    """Prints a row for each number of cores; with --row, only one ingest's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--priority", type=int, default=0)
    parser.add_argument("--row", metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(row(arguments.row, arguments.cores[0], arguments.priority))
        return
    from distinct_photographs import draw

    found = {cores: [] for cores in arguments.cores}
    with tempfile.TemporaryDirectory() as folder:
        draw(pathlib.Path(folder, "photographs"), arguments.images, arguments.side)
        for _ in range(arguments.rounds):
            for cores in arguments.cores:
                line = last_line(__file__, f"--row={folder}", f"--cores={cores}", f"--priority={arguments.priority}")
                found[cores].append(tuple(map(float, line.split())))
    print(f"{arguments.images:,} photographs of {arguments.side} pixels, {arguments.rounds} rounds\n{'cores':>5}{'seconds':>9}{'least':>8}{'most':>8}{'CPU':>8}"
          f"{'images/s':>10}{'ratio':>7}")  # fmt: skip
    first = statistics.median(seconds for seconds, _ in found[arguments.cores[0]])
    for cores, figures in found.items():
        seconds, cpu = zip(*figures, strict=True)
        median = statistics.median(seconds)
        print(f"{cores:5}{median:9.1f}{min(seconds):8.1f}{max(seconds):8.1f}{statistics.median(cpu):8.1f}{arguments.images / median:10,.0f}"
              f"{first / median:7.2f}")  # fmt: skip


def row(folder: str, cores: int, priority: int) -> str:
    """Ingests, and returns seconds and CPU seconds."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    import apache_beam as beam

    from components.example_gen import records
    from components.example_gen.folder import open_folder
    from pipeline.engine import IN_PROCESS

    source = open_folder(os.path.join(folder, "photographs"), 0.15)
    with tempfile.TemporaryDirectory(dir=folder) as out:
        pipeline = beam.Pipeline(runner=IN_PROCESS)
        os.setpriority(os.PRIO_PROCESS, 0, priority)  # threads that begin later have it too
        start, cpu = time.perf_counter(), processor_seconds()
        records.ingest(pipeline, source, 256, 64_000_000, 0.15, 0, "", out, os.path.join(out, "report.json"))
        return f"{time.perf_counter() - start:.2f} {processor_seconds() - cpu:.2f}"


if __name__ == "__main__":
    main()
