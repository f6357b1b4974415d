"""Photographs a second that ingest reads, decodes and writes on one core and on more: prints a table.

    python benchmarks/ingest_cores.py [--images 5000] [--side 224] [--cores 1 2] [--apart 2] [--rounds 3] [--priority 0]

Photographs are distinct, JPEG of --side pixels (distinct_photographs.py), and scaled down to 256. Numbers of cores take turns, and every
ingest is in a process of its own, which may use the first so many of the cores that this one may use. With other work on the machine
give --priority -20 (as root): only the ingest itself has it.

    seconds  median of the rounds, and the least and the most
    CPU      seconds of all cores together; where more than one core is used, they do more, as threads wait for each other
    ratio    photographs a second, by those of the first row

--apart N adds what the machine has to give: N ingests at once, each of its share of the photographs on a core of its own, which know
nothing of each other and have loaded their libraries before. Their seconds are those of the last to end.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from own_process import last_line, processor_seconds


def main() -> None:
    """Prints a row for each number of cores; with --row, only one ingest's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--apart", type=int, metavar="N")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--priority", type=int, default=0)
    parser.add_argument("--row", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--start", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(row(arguments.row, arguments.first, arguments.cores[0], arguments.priority, arguments.start))
        return
    from distinct_photographs import draw

    found = {str(cores): [] for cores in arguments.cores} | ({f"{arguments.apart} apart": []} if arguments.apart else {})
    with tempfile.TemporaryDirectory() as folder:
        draw(pathlib.Path(folder, "photographs"), arguments.images, arguments.side)
        if arguments.apart:
            divide(folder, arguments.apart)
        for _ in range(arguments.rounds):
            for cores in arguments.cores:
                line = last_line(__file__, f"--row={folder}/photographs", f"--cores={cores}", f"--priority={arguments.priority}")
                found[str(cores)].append(tuple(map(float, line.split())))
            if arguments.apart:
                found[f"{arguments.apart} apart"].append(apart(folder, arguments.apart, arguments.priority))
    print(
        f"{arguments.images:,} photographs of {arguments.side} pixels, {arguments.rounds} rounds\n"
        f"{'cores':>8}{'seconds':>9}{'least':>8}{'most':>8}{'CPU':>8}"
        f"{'images/s':>10}{'ratio':>7}"
    )
    first = statistics.median(seconds for seconds, _ in found[str(arguments.cores[0])])
    for name, figures in found.items():
        seconds, cpu = zip(*figures, strict=True)
        median = statistics.median(seconds)
        print(f"{name:>8}{median:9.1f}{min(seconds):8.1f}{max(seconds):8.1f}{statistics.median(cpu):8.1f}{arguments.images / median:10,.0f}"
              f"{first / median:7.2f}")  # fmt: skip


def divide(folder: str, shares: int) -> None:
    """Links the photographs of FOLDER/photographs into FOLDER/share-0, FOLDER/share-1 and so on, in turns."""
    for number, photograph in enumerate(sorted(pathlib.Path(folder, "photographs").glob("*/*.jpg"), key=lambda path: path.name)):
        # Neighbours have different classes: turns of whole rounds of classes give every share some of each.
        link = pathlib.Path(folder, f"share-{number // 10 % shares}", photograph.parent.name, photograph.name)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.hardlink_to(photograph)


def apart(folder: str, shares: int, priority: int) -> tuple[float, float]:
    """Seconds until the last of the shares, which start at once, is ingested; and CPU seconds of all."""
    start = pathlib.Path(folder, "start")
    start.unlink(missing_ok=True)
    with ThreadPoolExecutor(shares) as asking:
        rows = [asking.submit(last_line, __file__, f"--row={folder}/share-{one}", "--cores=1", f"--first={one}", f"--priority={priority}",
                              f"--start={start}") for one in range(shares)]  # fmt: skip
        while not all(pathlib.Path(f"{start}-{one}").exists() or row.done() for one, row in enumerate(rows)):
            time.sleep(0.1)
        start.touch()
        figures = [tuple(map(float, row.result().split())) for row in rows]
    for one in range(shares):
        pathlib.Path(f"{start}-{one}").unlink()
    return max(seconds for seconds, _ in figures), sum(cpu for _, cpu in figures)


def row(photographs: str, first: int, cores: int, priority: int, start: str | None) -> str:
    """Ingests on so many cores from the one of number `first`, once the file `start` is there, and returns seconds and CPU seconds."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[first : first + cores])
    import apache_beam as beam

    from components.example_gen import records
    from components.example_gen.folder import open_folder
    from pipeline.engine import IN_PROCESS

    source = open_folder(photographs, 0.15)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(photographs)) as out:
        pipeline = beam.Pipeline(runner=IN_PROCESS)
        if start:
            pathlib.Path(f"{start}-{first}").touch()
            while not os.path.exists(start):
                time.sleep(0.01)
        os.setpriority(os.PRIO_PROCESS, 0, priority)  # threads that begin later have it too
        start, cpu = time.perf_counter(), processor_seconds()
        records.ingest(pipeline, source, 256, 64_000_000, 0.15, 0, "", out, os.path.join(out, "report.json"))
        return f"{time.perf_counter() - start:.2f} {processor_seconds() - cpu:.2f}"


if __name__ == "__main__":
    main()
