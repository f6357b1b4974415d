"""Pre-training's images a second, beside other implementations and beside the machine's limit: prints two tables.

    python benchmarks/pretraining.py [--rounds 5] [--steps 10] [--pytorch OTHER_ENVIRONMENT/bin/python]
        [--backbone resnet18] [--width 64] [--resolution 64] [--batch 64]

Every image gives two views; all is float32. Each contestant is a process of its own (benchmarks/contestants/), prepared before the
first round; each round measures all in turn, so that a round's ratios hold even if the machine's speed drifts. The tables have
medians over the rounds. PyTorch needs an environment of its own, made from benchmarks/requirements-pytorch.txt.

TensorFlow switches oneDNN on only on some processors, so the plain Keras implementation is measured twice: with oneDNN, its
default on those processors, and without, its default on others.
"""

import argparse
import contextlib
import statistics
import sys

from contestants.ask import Contestant

WARM_UP_STEPS = 3
ON, OFF = {"TF_ENABLE_ONEDNN_OPTS": "1"}, {"TF_ENABLE_ONEDNN_OPTS": "0"}

# Title: script, mode, environment.
CONTESTANTS = {
    "this project": ("flowers.py", "whole", ON),
    "this project, constant batch": ("flowers.py", "constant", ON),
    "this project, two views alone": ("flowers.py", "views", ON),
    "plain Keras 3, oneDNN off": ("plain_keras.py", "", OFF),
    "plain Keras 3, oneDNN on": ("plain_keras.py", "", ON),
    "convolutions and products alone": ("ceiling.py", "", ON),
    "PyTorch, no input pipeline": ("pytorch_step.py", "", {}),
    "PyTorch, channels-last": ("pytorch_step.py", "channels-last", {}),
}


def main() -> None:
    """Runs the rounds and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--pytorch", help="interpreter of an environment with PyTorch")
    parser.add_argument("--backbone", default="resnet18")
    for name in ("width", "resolution", "batch"):
        parser.add_argument(f"--{name}", type=int, default=64)
    arguments = parser.parse_args()
    options = {name: getattr(arguments, name) for name in ("backbone", "width", "resolution", "batch")}
    with contextlib.ExitStack() as stack:
        running = {}
        for title, (script, mode, environment) in CONTESTANTS.items():
            python = {"python": arguments.pytorch} if script == "pytorch_step.py" else {}
            if None not in python.values():
                running[title] = Contestant(script, options | {"mode": mode}, environment=environment, **python)
                stack.callback(running[title].close)
        for contestant in running.values():
            contestant.images_per_second(WARM_UP_STEPS)
        rounds = []
        for number in range(1, arguments.rounds + 1):
            rounds.append({title: contestant.images_per_second(arguments.steps) for title, contestant in running.items()})
            print(f"round {number}: " + ", ".join(f"{rate:.1f}" for rate in rounds[-1].values()), file=sys.stderr, flush=True)
    print(f"{arguments.backbone}, width {arguments.width}, {arguments.resolution} px, batch {arguments.batch}, float32, "
          f"{arguments.rounds} rounds of {arguments.steps} steps")  # fmt: skip
    print(f"\n{'images/s':42}{'median':>9}{'min':>9}{'max':>9}")
    for title in CONTESTANTS:
        print_row(title, [one[title] for one in rounds if title in one], "9.1f")
    print(f"\n{'ratio of a round':42}{'median':>9}{'min':>9}{'max':>9}")
    for title, ratio in RATIOS.items():
        measured = arguments.pytorch or "PyTorch" not in title
        print_row(title, [ratio(one) for one in rounds] if measured else [], "9.2f")


# The ratios in which the goals are stated; the share of the input pipeline is that of a whole step.
RATIOS = {
    "this project / plain Keras 3, oneDNN off": lambda one: one["this project"] / one["plain Keras 3, oneDNN off"],
    "this project / plain Keras 3, oneDNN on": lambda one: one["this project"] / one["plain Keras 3, oneDNN on"],
    "this project / the faster PyTorch": lambda one: one["this project"] / max(
        one["PyTorch, no input pipeline"], one["PyTorch, channels-last"]),
    "this project / convolutions alone": lambda one: one["this project"] / one["convolutions and products alone"],
    "input pipeline / step on a constant batch": lambda one: one["this project, constant batch"] / one["this project"] - 1,
}  # fmt: skip


def print_row(title: str, values: list[float], form: str) -> None:
    """One line: median and range, or why there is none."""
    figures = [statistics.median(values), min(values), max(values)] if values else []
    print(f"{title:42}" + ("".join(f"{figure:{form}}" for figure in figures) or "   not measured: --pytorch was not given"))


if __name__ == "__main__":
    main()
