"""Kills runs at random instants, lets two start at once, and fills the disk under a node; prints a table of what was lost.

    python benchmarks/kills.py [--kills 200] [--pairs 20] [--full-disks] [--seed 0]

The run is that of the tests: 60 small flowers, one epoch, ten nodes; its process is forked from one that has TensorFlow imported.
Each kill aims at a node: a photograph or a setting is changed so that the node runs, SIGKILL comes at a random instant while it
does, and then the same command is started again. --pairs starts that command twice at about the same time. --full-disks gives DIR
a small file system of its own (mount needs root), takes the room away when a node begins, and gives it back for the next start.

    lost        versions that were registered before and are not there, or not as they were registered
    half there  files that a reader finds by their names and that are not whole, a finished node's output that is missing, a
                champion that is none or two (tests/support/whole.py)
    stuck       next starts that did not end with status 0, a finished record and their version in the registry

Exit status 1 if any of them is not 0. Ctrl-C, or SIGTERM, ends the kills early, with the table of those that there were.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

PROJECT = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(PROJECT), str(PROJECT / "tests" / "support")]

import fork_server
import tiny
import whole
from fork_server import client

from components.synthetic_flowers import scene

NODES = ("ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "DataGate", "Pretrain", "LinearEval", "Evaluator", "Pusher",
         "Report")  # fmt: skip
# Every run is blessed, also with a backbone that is worse than the champion by chance.
NEVER_WORSE = ("gate.max_regression=1", "gate.significance=1e-6")
BEFORE = "before the first"
LONGEST = 600  # seconds that a run may take on a busy machine
ROOM_MEGABYTES = 60  # of the small file system: ten times what a run leaves


@dataclasses.dataclass
class Place:
    """One DIR with its photographs, and what the next run there shall change."""

    root: pathlib.Path
    photographs: pathlib.Path
    settings: dict[str, str]
    changes: int = 0

    def command(self) -> list[str]:
        """`flowers run` on the photographs, as after `python`."""
        settings = [*tiny.TINY, *tiny.OPEN_GATE, *NEVER_WORSE, *(f"{key}={value}" for key, value in self.settings.items())]
        return ["-m", "pipeline", "run", "--data", str(self.photographs), "--root", str(self.root),
                *(part for one in settings for part in ("--set", one))]  # fmt: skip

    def start(self) -> fork_server.Process:
        """Starts the run in a session of its own."""
        return fork_server.Process(self.command(), cwd=PROJECT, stdin=fork_server.DEVNULL, stdout=fork_server.PIPE,
                                   stderr=fork_server.STDOUT, text=True, start_new_session=True)  # fmt: skip

    def change(self, node: str) -> None:
        """Changes what makes `node` run again, and as little as possible before it."""
        self.changes += 1
        if node == "Pretrain":
            self.settings["pretrain.seed"] = str(self.changes)
        elif node == "LinearEval":
            self.settings["linear_eval.neighbours"] = str(1 + self.changes % 7)
        elif node == "Evaluator":
            self.settings["gate.power"] = str(0.5 + self.changes % 400 / 1000)
        elif node in ("Pusher", "Report"):
            self.settings["data.licence"] = f"licence {self.changes}"
        else:
            index = self.changes % 60
            file = self.photographs / f"class-{index % 5}" / f"{index}.jpg"
            file.write_bytes(scene.draw_jpeg(1000 + self.changes, index, 48))

    def record(self) -> dict:
        """run.json of the latest run; {} if there is none yet."""
        try:
            return json.loads((self.root / "latest" / "run.json").read_text())
        except FileNotFoundError:
            return {}

    def whole_run(self) -> str:
        """Runs to the end; returns what is wrong with how it ended, "" if nothing."""
        process = self.start()
        output, _ = process.communicate(timeout=LONGEST)
        record = self.record()
        registered = (record.get("registry") or {}).get("version")
        if process.returncode == 0 and record["status"] == "finished" and registered in {one.version for one in whole.versions(self.root)}:
            return ""
        return f"exit status {process.returncode}, {record.get('status')}, version {registered}: {output[-1000:]}"


@dataclasses.dataclass
class Row:
    """What one kind of fault did."""

    tried: int = 0
    lost: int = 0
    half: int = 0
    stuck: int = 0
    seconds: float = 0.0

    def add(self, place: Place, before: dict[str, str], fault: str, started: float) -> None:
        """Looks below DIR after a fault, starts the same command again, looks again, and prints what it finds wrong."""
        problems = [("half there", one) for one in whole.faults(place.root)]
        problems += [("lost", one) for one in lost(place, before)]
        after = place.whole_run()
        problems += [("stuck", after)] if after else []
        problems += [("half there", f"after the next start: {one}") for one in whole.faults(place.root)]
        for kind, problem in problems:
            print(f"{fault}: {kind}: {problem}", flush=True)
        self.tried += 1
        self.lost += any(kind == "lost" for kind, _ in problems)
        self.half += any(kind == "half there" for kind, _ in problems)
        self.stuck += bool(after)
        self.seconds += time.monotonic() - started


def hashes(place: Place) -> dict[str, str]:
    """Content hashes by version, and who is champion."""
    return {one.version: json.dumps(one.tags, sort_keys=True) for one in whole.versions(place.root)}


def lost(place: Place, before: dict[str, str]) -> list[str]:
    """Versions that were there before and are gone or changed."""
    now = hashes(place)
    return [f"version {version}" for version, tags in before.items() if now.get(version) != tags]


def kill_in(node: str, place: Place, seconds: float, chance: random.Random) -> str:
    """Starts a run and kills it while it is in `node`, which takes about so many seconds. Returns in which node it was."""
    process = place.start()
    deadline = time.monotonic() + LONGEST
    known = place.record().get("run_id")
    while process.poll() is None and time.monotonic() < deadline:
        record = place.record()
        if node == BEFORE or record.get("run_id") != known and record.get("failing_node") == node:
            break
        time.sleep(0.002)
    time.sleep(chance.uniform(0, seconds))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    record = place.record()
    if record.get("run_id") == known:
        return BEFORE
    return record.get("failing_node") or (BEFORE if record["status"] == "started" else "after the last")


def kills(place: Place, count: int, chance: random.Random) -> dict[str, Row]:
    """SIGKILL at `count` random instants, spread over the nodes."""
    took = {node: entry["seconds"] for node, entry in place.record()["nodes"].items()}
    took[BEFORE] = 1.5  # imports, the look at the data and at the registry
    rows: dict[str, Row] = {}
    with contextlib.suppress(KeyboardInterrupt):
        for number in range(count):
            aim, started = (BEFORE, *NODES)[number % (1 + len(NODES))], time.monotonic()
            place.change(aim)
            before = hashes(place)
            hit = kill_in(aim, place, took[aim] or 0.1, chance)
            rows.setdefault(hit, Row()).add(place, before, f"kill {number + 1}, aimed at {aim}, in {hit}", started)
    return rows


def pairs(place: Place, count: int, chance: random.Random) -> Row:
    """Two starts of the same command within two seconds, `count` times: one runs, the other is refused, or waits its turn."""
    row = Row()
    for number in range(count):
        started = time.monotonic()
        place.change("Pretrain")
        before = hashes(place)
        both = [place.start()]
        time.sleep(chance.uniform(0, 2))
        both.append(place.start())
        statuses = sorted(one.communicate(timeout=LONGEST) and one.returncode for one in both)
        row.add(place, before, f"pair {number + 1}", started)
        if statuses not in ([0, 2], [0, 0]):
            print(f"pair {number + 1}: exit statuses {statuses}", flush=True)
            row.stuck += 1
    return row


@contextlib.contextmanager
def small_file_system(folder: pathlib.Path) -> Iterator[None]:
    """Mounts a file system of ROOM_MEGABYTES on `folder`."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM_MEGABYTES}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: pathlib.Path) -> None:
    """Writes `file` until nothing more fits."""
    with open(file, "wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(1 << 12))


def full_disk_in(node: str, folder: pathlib.Path, photographs: pathlib.Path) -> tuple[Row, str]:
    """Takes all room away while a first run is in `node`. Returns the row and what the run said."""
    row, started = Row(), time.monotonic()
    with small_file_system(folder):
        place, filler = Place(folder / "DIR", photographs, {}), folder / "filler"
        process = place.start()
        while process.poll() is None and place.record().get("failing_node") != node:
            time.sleep(0.002)
        fill(filler)
        output, _ = process.communicate(timeout=LONGEST)
        said = next((line for line in output.splitlines()[::-1] if line.startswith(("Run failed", "flowers:"))), "")
        filler.unlink()
        if process.returncode != 1 or "the disk is full" not in said or "Traceback" in output:
            print(f"full disk in {node}: exit status {process.returncode}: {output[-1000:]}", flush=True)
            row.stuck += 1
        row.add(place, {}, f"full disk in {node}", started)
    return row, said


def show(title: str, rows: dict[str, Row]) -> bool:
    """Prints a table with its sum; returns whether nothing was lost, half there or stuck."""
    total = Row(*(sum(getattr(row, field.name) for row in rows.values()) for field in dataclasses.fields(Row)))
    print(f"\n{title:24}{'times':>7}{'lost':>7}{'half there':>12}{'stuck':>7}{'seconds each':>14}")
    for name, row in [*rows.items(), *([("all", total)] if len(rows) > 1 else [])]:
        print(f"{name:24}{row.tried:>7}{row.lost:>7}{row.half:>12}{row.stuck:>7}{row.seconds / max(1, row.tried):>14.1f}")
    return not (total.lost or total.half or total.stuck)


def main(given: Sequence[str] | None = None) -> int:
    """Prints the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--full-disks", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(given)
    chance, good = random.Random(arguments.seed), True
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell lets what it starts in the background ignore the first
        signal.signal(number, signal.default_int_handler)
    print(f"seed {arguments.seed}")
    client.open_session()
    try:
        # Ended early, a run may still be writing there.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            place = Place(pathlib.Path(scratch, "DIR"), pathlib.Path(scratch, "photographs"), {})
            for index in range(60):
                file = place.photographs / f"class-{index % 5}" / f"{index}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(scene.draw_jpeg(3, index, 48))
            if arguments.kills or arguments.pairs:
                if wrong := place.whole_run():
                    raise SystemExit(f"the run without any fault: {wrong}")
            if arguments.kills:
                rows = kills(place, arguments.kills, chance)
                good &= show("killed in", {node: rows[node] for node in (BEFORE, *NODES, "after the last") if node in rows})
            if arguments.pairs:
                good &= show("started", {"two at once": pairs(place, arguments.pairs, chance)})
            if arguments.full_disks:
                found = {node: full_disk_in(node, pathlib.Path(scratch, node), place.photographs) for node in NODES}
                good &= show("disk full in", {node: row for node, (row, _) in found.items()})
                print("\n".join(sorted({said.replace(scratch, "SCRATCH") for _, said in found.values()})))
    finally:
        client.close_session()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
