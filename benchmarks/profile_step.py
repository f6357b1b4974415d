"""The time of a pre-training step by kind of operation: prints a table.

    python benchmarks/profile_step.py [--preset cpu] [--set KEY=VALUE]… [--steps 5]

TensorFlow's own profiler records every operation of a whole step (views, both passes, update). An operation's time is the wall
time from its start to its end. Two can run at once, such as those of two views, so the times add up to more than a step; `share` is
of their sum. It computes in float32 unless pretrain.precision is set.
"""

import argparse
import collections
import glob
import tempfile
import time

from contracts import libraries

libraries.set_variables()

WARM_UP_STEPS = 3

# Kinds in the table's order, and how their operations' types begin, without `_Mkl…` and `_Fused…`; the first match counts.
KINDS = {
    "views": ("CropAndResize:", "Stateless", "BatchMatMul", "Minimum:", "Maximum:", "ClipByValue:", "MirrorPad:"),
    "convolutions, forward": ("Conv2D:",),
    "convolutions, backward": ("Conv2DBackprop",),
    "matrix products": ("MatMul:",),
    "normalisation, forward": ("BatchNormV3:", "BatchNormEx:"),
    "normalisation, backward": ("BatchNormGrad",),
    "ReLU, sums of branches and of gradients": ("Relu", "Add", "BiasAdd"),
    "pooling": ("MaxPool", "AvgPool", "Mean:", "Tile:"),
    "update of the weights": ("ResourceApply", "Mul:", "Assign"),
}
REST = "the rest"


def main() -> None:
    """Trains some steps under the profiler and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--operations", action="store_true", help="a line for each type of operation as well")
    arguments = parser.parse_args()

    import numpy as np
    import tensorflow as tf
    from presets import configuration

    from trainer.simsiam import build_simsiam, train_step
    from trainer.threads import share_cores

    settings = configuration(arguments.preset, arguments.overrides).pretrain
    share_cores(settings)
    model = build_simsiam(settings)
    side = round(settings.resolution * settings.canvas_scale)
    canvases = tf.constant(np.random.default_rng(0).integers(0, 256, (settings.batch_size, side, side, 3), np.uint8))
    aspects = tf.ones(settings.batch_size)
    step = tf.function(lambda number: train_step(model, canvases, aspects, number, steps=1000, settings=settings)[0])
    for number in range(WARM_UP_STEPS):
        step(tf.constant(number))
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        start = time.perf_counter()
        for number in range(arguments.steps):
            step(tf.constant(number))
        seconds = (time.perf_counter() - start) / arguments.steps
        tf.profiler.experimental.stop()
        milliseconds = by_operation(folder, arguments.steps)

    print(f"preset {arguments.preset} {' '.join(arguments.overrides)}, {arguments.steps} steps of {seconds * 1e3:.0f} ms, "
          f"{settings.batch_size / seconds:.0f} images/s under the profiler")  # fmt: skip
    total = sum(milliseconds.values())
    kinds = collections.Counter()
    for operation, spent in milliseconds.items():
        kinds[kind(operation)] += spent
    print(f"{'':42}{'ms a step':>10}{'share':>8}")
    for name in (*KINDS, REST):
        print(f"{name:42}{kinds[name]:10.1f}{kinds[name] / total:8.1%}")
    if arguments.operations:
        print()
        for operation, spent in milliseconds.most_common(40):
            print(f"{operation:42}{spent:10.1f}{spent / total:8.1%}  {kind(operation)}")


def by_operation(folder: str, steps: int) -> collections.Counter:
    """Milliseconds a step by type of operation, from what the profiler wrote to `folder`."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
    space = xplane_pb2.XSpace()
    with open(path, "rb") as file:
        space.ParseFromString(file.read())
    spent = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                # The executor names its events `node:type`, and `node:type::Start` if it does not wait for the operation.
                name = plane.event_metadata[event.metadata_id].name.removesuffix("::Start")
                node, _, operation = name.rpartition(":")
                if node and not node.endswith(":") and operation.replace("_", "").isalnum():
                    spent[operation] += event.duration_ps / 1e9 / steps
    return spent


def kind(operation: str) -> str:
    """The row of the table that a type of operation belongs to."""
    bare = operation.removeprefix("_MklNative").removeprefix("_Mkl").removeprefix("_").removeprefix("Fused") + ":"
    return next((name for name, starts in KINDS.items() if bare.startswith(starts)), REST)


if __name__ == "__main__":
    main()
