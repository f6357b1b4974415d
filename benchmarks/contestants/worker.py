"""One contestant of a benchmark in a process of its own: prepared once, then measures its speed for each line that it receives.

`ask.py` is the other end of the pipe. Both import only the standard library, as contestants run in different interpreters.
"""

import argparse
import sys
import time
from collections.abc import Callable

# Marks a figure among the output of libraries.
MARK = "images/s:"
PHOTOGRAPHS = 512


def serve(prepare: Callable[[argparse.Namespace], Callable[[int], float]]) -> None:
    """Answers each line (a number of steps) on standard input with the images a second that `prepare(arguments)` measures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--mode", default="")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--photographs", default="")
    for name in ("width", "resolution", "batch"):
        parser.add_argument(f"--{name}", type=int, default=64)
    measure = prepare(parser.parse_args())
    for line in sys.stdin:
        print(MARK, measure(int(line)), flush=True)


def timed(step: Callable[[], object], images: int) -> Callable[[int], float]:
    """A measure for `serve`: images a second over a number of calls of `step`, each with `images` images."""

    def measure(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return steps * images / (time.perf_counter() - start)

    return measure


def settings(arguments: argparse.Namespace):
    """The settings that all contestants of this project's environment share."""
    from pipeline_config import Pretrain

    return Pretrain(
        backbone=arguments.backbone, width=arguments.width, resolution=arguments.resolution, batch_size=arguments.batch,
        precision=arguments.precision, view_per_core=True, projector_layers=2, projector_width=1024, predictor_width=256)  # fmt: skip


def photographs(side: int):
    """Noise instead of photographs, as speed does not depend on the content: `[PHOTOGRAPHS, side, side, 3]` uint8."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (PHOTOGRAPHS, side, side, 3), np.uint8)
