"""Pre-training's images a second, beside other implementations and beside the machine's limit: prints two tables.

    python benchmarks/pretraining.py [--rounds 5] [--steps 10] [--pytorch OTHER/bin/python] [--lightly ANOTHER/bin/python]
        [--compiled] [--other CHECKOUT] [--backbone resnet18] [--width 64] [--resolution 64] [--batch 64]

Every image gives two views. Each contestant is a process of its own (benchmarks/contestants/), prepared before the first round; each
round measures all in turn, so that a round's ratios hold even if the machine's speed drifts. The tables have medians over the rounds.

PyTorch and lightly need environments of their own, made from benchmarks/requirements-pytorch.txt and -lightly.txt. PyTorch's step is
measured in both layouts and both precisions, and with --compiled, which takes minutes, by torch.compile as well. Plain Keras runs as
TensorFlow sets itself: with oneDNN or without, by the processor. CHECKOUT is a folder with another commit of this project.
"""

import argparse
import contextlib
import itertools
import pathlib
import platform
import statistics
import sys
import tempfile
from typing import NamedTuple

from contestants.ask import Contestant

WARM_UP_STEPS = 3
FLOAT32, BFLOAT16 = "float32", "mixed_bfloat16"
PRECISIONS = {FLOAT32: "float32", BFLOAT16: "bfloat16"}
# Photographs for lightly, which reads files: as many as the others hold in memory, and as large as `cpu` ingests them.
PHOTOGRAPHS, SIDE = 512, 192


class Entry(NamedTuple):
    """A contestant: its script in benchmarks/contestants/, and what it is told."""

    script: str
    precision: str = FLOAT32
    mode: str = ""
    checkout: str = ""


def entries(compiled: bool, other: str) -> dict[str, Entry]:
    """The contestants by title."""
    found = {}
    for precision, name in PRECISIONS.items() if other else ():
        found[f"other checkout, {name}"] = Entry("flowers.py", precision, "whole", other)
    for precision, name in PRECISIONS.items():
        found[f"this project, {name}"] = Entry("flowers.py", precision, "whole")
        found[f"this project, constant batch, {name}"] = Entry("flowers.py", precision, "constant")
        found[f"convolutions and products alone, {name}"] = Entry("ceiling.py", precision)
    found["this project, two views alone"] = Entry("flowers.py", mode="views")
    found["plain Keras 3, as TensorFlow sets itself"] = Entry("plain_keras.py")
    layouts, ways = ("", "channels-last"), ("", "compile") if compiled else ("",)
    for precision, layout, way in itertools.product(PRECISIONS, layouts, ways):
        mode = ",".join(filter(None, (layout, way)))
        found[", ".join(filter(None, ("PyTorch's step", layout, way, PRECISIONS[precision])))] = Entry("pytorch_step.py", precision, mode)
    for precision, name in PRECISIONS.items():
        found[f"lightly, whole, {name}"] = Entry("lightly_simsiam.py", precision, "channels-last")
    return found


def main() -> None:
    """Runs the rounds and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--pytorch", help="interpreter of an environment with PyTorch")
    parser.add_argument("--lightly", help="interpreter of an environment with lightly")
    parser.add_argument("--compiled", action="store_true", help="torch.compile as well")
    parser.add_argument("--other", default="", metavar="CHECKOUT", help="another checkout of this project")
    parser.add_argument("--backbone", default="resnet18")
    for name in ("width", "resolution", "batch"):
        parser.add_argument(f"--{name}", type=int, default=64)
    arguments = parser.parse_args()
    options = {name: getattr(arguments, name) for name in ("backbone", "width", "resolution", "batch")}
    interpreters = {"pytorch_step.py": arguments.pytorch, "lightly_simsiam.py": arguments.lightly}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if arguments.lightly:
            write_photographs(pathlib.Path(folder))
        running = {}
        for title, entry in entries(arguments.compiled, arguments.other).items():
            python = interpreters.get(entry.script, sys.executable)
            if python:
                told = options | {"mode": entry.mode, "precision": entry.precision, "photographs": folder}
                code = {"PYTHONPATH": entry.checkout} if entry.checkout else {}
                running[title] = Contestant(entry.script, told, python=python, environment=code)
                stack.callback(running[title].close)
                running[title].images_per_second(WARM_UP_STEPS)
        rounds = []
        for number in range(1, arguments.rounds + 1):
            rounds.append({title: contestant.images_per_second(arguments.steps) for title, contestant in running.items()})
            print(f"round {number}: " + ", ".join(f"{rate:.1f}" for rate in rounds[-1].values()), file=sys.stderr, flush=True)
    print(f"{arguments.backbone}, width {arguments.width}, {arguments.resolution} px, batch {arguments.batch}, "
          f"{arguments.rounds} rounds of {arguments.steps} steps, on {processor()}")  # fmt: skip
    print(f"\n{'images/s':52}{'median':>9}{'min':>9}{'max':>9}")
    for title in running:
        print_row(title, [one[title] for one in rounds], "9.1f")
    print(f"\n{'ratio of a round':52}{'median':>9}{'min':>9}{'max':>9}")
    for title, values in ratios(rounds).items():
        print_row(title, values, "9.2f")
    for script, python in interpreters.items():
        if not python:
            print(f"{script}: not measured, as no interpreter for it was given")


def ratios(rounds: list[dict[str, float]]) -> dict[str, list[float]]:
    """What the goals are stated in, for each round: by title."""
    found = {}
    for name in PRECISIONS.values():
        ours = [one[f"this project, {name}"] for one in rounds]
        found[f"{name} / plain Keras 3"] = [own / one["plain Keras 3, as TensorFlow sets itself"] for own, one in zip(ours, rounds)]
        for rival in ("other checkout", "PyTorch's step", "lightly"):
            rates = [[rate for title, rate in one.items() if title.startswith(rival) and title.endswith(f" {name}")] for one in rounds]
            if rates[0]:
                found[f"{name} / {rival}, the fastest in {name}"] = [own / max(others) for own, others in zip(ours, rates)]
        found[f"{name} / its convolutions and products alone"] = [
            own / one[f"convolutions and products alone, {name}"] for own, one in zip(ours, rounds)]  # fmt: skip
        found[f"{name}: time of the input pipeline, share of a step"] = [
            1 - own / one[f"this project, constant batch, {name}"] for own, one in zip(ours, rounds)]  # fmt: skip
    return found


def write_photographs(folder: pathlib.Path) -> None:
    """Noise as JPEG files, as large as ingested photographs."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(PHOTOGRAPHS):
        # Coarse noise, scaled up: JPEG files of photographs' size.
        small = Image.fromarray(random.integers(0, 256, (SIDE // 8, SIDE // 8, 3), np.uint8))
        small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number:04}.jpg", quality=90)


def processor() -> str:
    """The processor's name, as the system tells it."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def print_row(title: str, values: list[float], form: str) -> None:
    """One line: median and range."""
    figures = statistics.median(values), min(values), max(values)
    print(f"{title:52}" + "".join(f"{figure:{form}}" for figure in figures))


if __name__ == "__main__":
    main()
