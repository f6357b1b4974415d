"""Time and memory of a whole run as the photographs grow, node by node, from the listing to the page: prints a table.

    python benchmarks/scale.py [--images 1000 10000 100000] [--set KEY=VALUE]… [--keep FOLDER]

Photographs are distinct, JPEG of 224 pixels, of 10 classes (distinct_photographs.py). A size is a run of `flowers run` in a process
of its own, with a network that is as small as can be and one epoch, so that what grows is everything but pre-training
(growth.py has that), and whether such a network collapses does not matter; then the same run again, all of
whose nodes come from the cache, in a second process; then `flowers embed` in a third.

    list             finding the files
    fingerprint      SHA-256 of every file, with what is kept of it for the next run
    near-duplicates  a part of ExampleGen,
    division         and the rest of its work on all descriptions: reading and sorting them, the division, the report
    ExampleGen       the rest of it: reading, decoding and writing every photograph
    again            all of the second run

    seconds    on the clock, which includes what other programs make this one wait
    CPU        seconds of all cores, of this process and of those that it starts
    files/s    photographs a second on the clock
    peak MB    highest resident memory of the first process while the stage ran, with the libraries
    anonymous  of it what is no page of a file (which the system takes back when memory is short), looked at twenty times a second
    others     what processes that it has started take besides, of their own, looked at every two seconds

With --keep the photographs are drawn below FOLDER, and stay there.
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import sys
import tempfile
import threading
import time
from unittest import mock

import psutil
from own_process import memory_of_others, processor_seconds, shown

# From 30,000 on pre-training streams its photographs: in memory, where those of the presets no longer are, they would take their budget.
TINY = ("data.max_side=256", "pretrain.epochs=1", "pretrain.batch_size=128", "pretrain.width=8", "pretrain.resolution=16",
        "pretrain.memory_megabytes=50", "pretrain.knn_epochs=0", "embedding.resolution=16", "linear_eval.label_draws=1",
        "tracking.place=off", "gate.min_accuracy=0", "gate.min_gain_over_random=-1", "pretrain.min_output_std_ratio=0",
        "pretrain.min_effective_rank=0")  # fmt: skip
PARTS = ("whole", "again", "embed")


def main() -> None:
    """Prints a table for each size; with --row, one process's rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--keep", metavar="FOLDER")
    parser.add_argument("--row", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        row(arguments)
        return
    from distinct_photographs import draw

    with contextlib.ExitStack() as at_the_end:
        kept = pathlib.Path(arguments.keep or at_the_end.enter_context(tempfile.TemporaryDirectory()))
        draw(kept / "photographs", max(arguments.images))
        for images in arguments.images:
            print(
                f"\n{images:,} photographs\n{'':18}{'seconds':>9}{'CPU':>9}{'files/s':>10}{'peak MB':>9}{'anonymous':>11}{'others':>8}",
                flush=True,
            )
            with tempfile.TemporaryDirectory(dir=kept) as folder:
                _first(kept / "photographs", images, pathlib.Path(folder, "photographs"))
                for part in PARTS:
                    shown(__file__, f"--row={part}", f"--images={images}", f"--keep={folder}",
                          *(f"--set={one}" for one in arguments.overrides))  # fmt: skip


def _first(photographs: pathlib.Path, images: int, folder: pathlib.Path) -> None:
    """Hard links to the first `images` of the photographs that were drawn."""
    for each in sorted(photographs.iterdir()):
        (folder / each.name).mkdir(parents=True)
        for path in os.scandir(each):
            if int(path.name.partition(".")[0]) < images:
                os.link(path.path, folder / each.name / path.name)


class Stages:
    """Measures one stage after the other; `switch` ends one and begins another."""

    def __init__(self, images: int):
        self.images, self.name, self.found, self.at, self.anonymous, self.others, self.said = images, "", {}, None, 0.0, 0.0, 0
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        for number in itertools.count():
            self.anonymous = max(self.anonymous, status("RssAnon"))
            if number % 40 == 0:
                with contextlib.suppress(psutil.NoSuchProcess):  # one ended meanwhile
                    self.others = max(self.others, memory_of_others())
            time.sleep(0.05)

    def switch(self, name: str) -> None:
        if self.name:
            wall, cpu, peak, anonymous, others = self.found.get(self.name, 5 * (0.0,))
            self.found[self.name] = (
                wall + time.perf_counter() - self.at[0],
                cpu + processor_seconds() - self.at[1],
                max(peak, status("VmHWM")),
                max(anonymous, self.anonymous, status("RssAnon")),
                max(others, self.others),
            )
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # the highest resident memory is the present one (proc(5))
        self.name, self.at, self.anonymous, self.others = name, (time.perf_counter(), processor_seconds()), 0.0, 0.0

    @contextlib.contextmanager
    def part(self, name: str, of: str):
        """A part of the stage `of`; elsewhere, nothing."""
        if self.name != of:
            yield
            return
        self.switch(name)
        yield
        self.switch(of)

    def say_ended(self, next: str = "") -> None:
        """Ends all stages, none of which comes again, and begins the next."""
        self.switch(next)
        for name, figures in list(self.found.items())[self.said :]:
            self.say(name, *figures)
        self.said = len(self.found)

    def end(self, total: str) -> None:
        self.say_ended()
        if total:
            wall, cpu, *memory = zip(*self.found.values(), strict=True)
            self.say(total, sum(wall), sum(cpu), *map(max, memory))

    def say(self, name: str, wall: float, cpu: float, peak: float, anonymous: float, others: float) -> None:
        print(f"{name:18}{wall:9.1f}{cpu:9.1f}{self.images / wall:10,.0f}{peak:9,.0f}{anonymous:11,.0f}{others:8,.0f}", flush=True)


def row(arguments: argparse.Namespace) -> None:
    """One process's part of a size: the run, the same run again, or the index of vectors."""
    from contracts.layout import Layout
    from pipeline.settings import configuration

    images, source, root = arguments.images[0], os.path.join(arguments.keep, "photographs"), os.path.join(arguments.keep, "runs")
    layout, stages = Layout.at(root), Stages(images)
    if arguments.row == "embed":
        from inference import embed

        stages.switch("embed")
        embed(source, os.path.join(arguments.keep, "vectors.npy"), root=root)
        stages.end("")
        return
    config = configuration("quick", [f"data.source={source}", *TINY, *arguments.overrides])
    stages.switch("again" if arguments.row == "again" else "libraries")
    import logging

    from contracts import memory
    from pipeline import local

    memory.give_back()  # as a run does
    logging.disable(logging.WARNING)
    with contextlib.ExitStack() as at_the_end:
        at_the_end.enter_context(memory.present_objects_kept())
        if arguments.row == "whole":
            for patch in watching(stages):
                at_the_end.enter_context(patch)
            stages.switch("fingerprint")
        prepared = local.prepare(config, local.inspect_source(config, layout), layout)
        local.run(config, prepared, layout, arguments.row)
    stages.end("whole run" if arguments.row == "whole" else "")


def watching(stages: Stages):
    """Patches that tell `stages` what a run does."""
    from tfx.orchestration.portable.launcher import Launcher

    from components.example_gen import descriptions, folder, near_duplicates, records, report
    from contracts import memory

    def node(self, launch=Launcher.launch):
        memory.give_back()  # as a run does
        stages.say_ended(self._pipeline_node.node_info.id)
        return launch(self)

    def as_part(owner, name, stage, of):
        function = getattr(owner, name)

        def watched(*given, **named):
            with stages.part(stage, of):
                return function(*given, **named)

        return mock.patch.object(owner, name, watched)

    yield mock.patch.object(Launcher, "launch", node)
    yield as_part(folder, "open_folder", "list", "fingerprint")
    yield as_part(near_duplicates, "group", "near-duplicates", "division")
    for owner, name in ((descriptions, "gather"), (records, "divide"), (report, "write")):
        yield as_part(owner, name, "division", "ExampleGen")


def status(name: str) -> float:
    """Memory of this process in 10^6 bytes, from Linux: RssAnon or VmHWM."""
    found = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    return int(found[name].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main())
