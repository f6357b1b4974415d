"""Pre-training's images a second, beside other implementations and beside the machine's limit: prints two tables.

    python benchmarks/pretraining.py [--rounds 5] [--steps 10] [--pytorch OTHER_ENVIRONMENT/bin/python]
        [--backbone resnet18] [--width 64] [--resolution 64] [--batch 64]

Every image gives two views. Each contestant is a process of its own (benchmarks/contestants/), prepared before the first round; each
round measures all in turn, so that a round's ratios hold even if the machine's speed drifts. The tables have medians over the rounds.
PyTorch needs an environment of its own, made from benchmarks/requirements-pytorch.txt; torch.compile needs a C++ compiler there.

TensorFlow decides by the processor whether oneDNN is on, and this project switches it on everywhere. Plain Keras has TensorFlow's
default of the machine at hand, and where that is off a second row with it on.
"""

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys

from contestants.ask import Contestant

WARM_UP_STEPS = 3
BFLOAT16 = {"precision": "mixed_bfloat16"}
ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "1"}
# Prints whether oneDNN is on by default; the same question that TensorFlow's own tests ask.
ASK_FOR_DEFAULT = "from tensorflow.python.util import _pywrap_util_port as port; print(port.IsMklEnabled())"
OURS, KERAS, ALONE, PYTORCH, LIGHTLY = "this project", "plain Keras 3", "convolutions and products alone", "PyTorch step", "lightly, end to end"
PYTORCH_MODES = ("channels-last", "compile", "bfloat16")
FLOAT32_AND_BFLOAT16 = (("", {}), (", bfloat16", BFLOAT16))


def contestants(pytorch: str | None) -> dict[str, tuple[str, dict, dict, str]]:
    """By title: script, options, environment and interpreter."""
    here = sys.executable
    found = {
        f"{OURS}, constant batch": ("flowers.py", {"mode": "constant"}, ONEDNN, here),
        f"{OURS}, two views alone": ("flowers.py", {"mode": "views"}, ONEDNN, here),
        KERAS: ("plain_keras.py", {}, {}, here),
    }
    if not onednn_is_the_default():
        found[f"{KERAS}, oneDNN on"] = ("plain_keras.py", {}, ONEDNN, here)
    for suffix, precision in FLOAT32_AND_BFLOAT16:
        found[OURS + suffix] = ("flowers.py", {"mode": "whole"} | precision, ONEDNN, here)
        found[ALONE + suffix] = ("ceiling.py", precision, ONEDNN, here)
    if pytorch:
        for count in range(len(PYTORCH_MODES) + 1):
            for modes in itertools.combinations(PYTORCH_MODES, count):
                found[", ".join((PYTORCH, *modes))] = ("pytorch_step.py", {"mode": ",".join(modes)}, {}, pytorch)
        for modes in ((), ("channels-last", "bfloat16")):
            found[", ".join((LIGHTLY, *modes))] = ("lightly_training.py", {"mode": ",".join(modes)}, {}, pytorch)
    return found


def ratios(rates: dict[str, float]) -> dict[str, float]:
    """The ratios of one round in which the goals are stated; the share of the input pipeline is that of a whole step."""
    best = max(rates[OURS], rates[f"{OURS}, bfloat16"])
    of_pytorch = [rate for title, rate in rates.items() if title.startswith(PYTORCH)]
    found = {f"{OURS} / {KERAS}": rates[OURS] / rates[KERAS]}
    if f"{KERAS}, oneDNN on" in rates:
        found[f"{OURS} / {KERAS}, oneDNN on"] = rates[OURS] / rates[f"{KERAS}, oneDNN on"]
    if of_pytorch:
        float32 = [rate for title, rate in rates.items() if title.startswith(PYTORCH) and "bfloat16" not in title]
        found["float32: ours / the best PyTorch step"] = rates[OURS] / max(float32)
        found["the better precision: ours / the best PyTorch step"] = best / max(of_pytorch)
        found["ours / lightly's end to end, as documented"] = best / rates[LIGHTLY]
        found["ours / lightly's, channels-last, bfloat16"] = best / rates[f"{LIGHTLY}, channels-last, bfloat16"]
    for suffix, _ in FLOAT32_AND_BFLOAT16:
        found[f"{OURS} / {ALONE}{suffix}"] = rates[OURS + suffix] / rates[ALONE + suffix]
    found["input pipeline / step on a constant batch"] = rates[f"{OURS}, constant batch"] / rates[OURS] - 1
    found["bfloat16 / float32"] = rates[f"{OURS}, bfloat16"] / rates[OURS]
    return found


def main() -> None:
    """Runs the rounds and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--pytorch", help="interpreter of an environment with PyTorch and lightly")
    parser.add_argument("--backbone", default="resnet18")
    for name in ("width", "resolution", "batch"):
        parser.add_argument(f"--{name}", type=int, default=64)
    arguments = parser.parse_args()
    options = {name: getattr(arguments, name) for name in ("backbone", "width", "resolution", "batch")}
    with contextlib.ExitStack() as stack:
        running = {}
        for title, (script, own, environment, python) in contestants(arguments.pytorch).items():
            running[title] = Contestant(script, options | own, environment=environment, python=python)
            stack.callback(running[title].close)
        for contestant in running.values():
            contestant.images_per_second(WARM_UP_STEPS)
        rounds = []
        for number in range(1, arguments.rounds + 1):
            rounds.append({title: contestant.images_per_second(arguments.steps) for title, contestant in running.items()})
            print(f"round {number}: " + ", ".join(f"{rate:.1f}" for rate in rounds[-1].values()), file=sys.stderr, flush=True)
    print(f"{processor()}, {len(os.sched_getaffinity(0))} cores, oneDNN {'on' if onednn_is_the_default() else 'off'} by default; {arguments.backbone}, width {arguments.width}, "
          f"{arguments.resolution} px, batch {arguments.batch}; {arguments.rounds} rounds of {arguments.steps} steps")  # fmt: skip
    for header, form, tables in (("images/s", "9.1f", rounds), ("ratio of a round", "9.2f", [ratios(one) for one in rounds])):
        print(f"\n{header:52}{'median':>9}{'min':>9}{'max':>9}")
        for title in tables[0]:
            values = [table[title] for table in tables]
            print(f"{title:52}" + "".join(f"{figure:{form}}" for figure in (statistics.median(values), min(values), max(values))))
    if not arguments.pytorch:
        print("\nPyTorch and lightly were not measured: --pytorch was not given.")


def onednn_is_the_default() -> bool:
    """Whether TensorFlow uses oneDNN on this processor if nobody asks for it."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    asked = subprocess.run([sys.executable, "-c", ASK_FOR_DEFAULT], env=environment, capture_output=True, text=True, check=True)
    return asked.stdout.strip() == "True"


def processor() -> str:
    """The processor's name and which of the units that decide the speed of short numbers it has, as the kernel tells."""
    lines = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout.splitlines()
    about = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    units = [unit for unit in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if unit in about.get("Flags", "").split()]
    return f"{about.get('Model name', 'unknown processor')} ({', '.join(units)})"


if __name__ == "__main__":
    main()
