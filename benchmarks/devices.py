"""Pre-training's speed and memory by precision, XLA and number of devices: prints a table.

    python benchmarks/devices.py [--preset gpu] [--set KEY=VALUE]… [--precision NAME…] [--xla on off] [--devices N…] [--steps 20]

On a machine with GPUs `python benchmarks/devices.py` measures the preset `gpu` in float32 and both 16-bit precisions, with and
without XLA, on one GPU and on all. Without GPUs the devices are logical ones of the CPU, which share its cores: this shows that a
configuration runs, and says nothing about a GPU. A quick check on any machine:

    python benchmarks/devices.py --preset quick --precision float32 mixed_bfloat16 --devices 1 2 --steps 3

Every row is a process of its own. The global batch is that of the settings for any number of devices; the photographs are noise
in memory, and the time includes drawing the views. Memory is the peak of device 0 as TensorFlow reports it, for GPUs only. A row
that cannot run shows its error, such as out of memory.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import time

from own_process import last_line

WARM_UP_STEPS = 3


def main() -> None:
    """Runs every combination and prints the table; with --row, only one combination's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="gpu")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--precision", nargs="+", default=["float32", "mixed_bfloat16", "mixed_float16"])
    parser.add_argument("--xla", nargs="+", default=["off", "on"], choices=["off", "on"])
    parser.add_argument("--devices", nargs="+", type=int, help="numbers of devices (default: one, and all GPUs)")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(row(arguments))
        return
    numbers = arguments.devices or sorted({1, gpus()})
    print(f"preset {arguments.preset} {' '.join(arguments.overrides)}, medians of {arguments.steps} steps")
    print(f"{'precision':16}{'xla':>5}{'devices':>9}{'kind':>6}{'batch':>7}{'steps/s':>9}{'images/s':>10}{'peak MB':>9}")
    for precision, xla, number in itertools.product(arguments.precision, arguments.xla, numbers):
        options = [f"--preset={arguments.preset}", f"--steps={arguments.steps}", f"--precision={precision}", f"--xla={xla}",
                   f"--devices={number}", *(f"--set={one}" for one in arguments.overrides)]  # fmt: skip
        print(f"{precision:16}{xla:>5}{number:9}{last_line(__file__, '--row', *options)}", flush=True)


def gpus() -> int:
    """Number of GPUs that TensorFlow sees, at least 1; counted in a process of its own, as that process keeps their memory."""
    look = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"
    done = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True)
    return max(1, int(done.stdout.split()[-1]))


def row(arguments: argparse.Namespace) -> str:
    """Trains on noise and returns one row's figures."""
    import numpy as np
    import tensorflow as tf

    from pipeline.settings import configuration
    from trainer import replicas
    from trainer.simsiam import build_simsiam, train_step

    (precision,), (xla,), (number,) = arguments.precision, arguments.xla, arguments.devices
    chosen = [f"pretrain.precision={precision}", f"pretrain.xla={'true' if xla == 'on' else 'false'}"]
    settings = configuration(arguments.preset, [*arguments.overrides, *chosen]).pretrain
    kind, strategy = devices(number)
    replicas.check_settings(strategy, settings)
    with strategy.scope():
        model = build_simsiam(settings)
    steps = WARM_UP_STEPS + arguments.steps
    function = replicas.spread(strategy, lambda *batch: train_step(model, *batch, steps=steps, settings=settings))

    side = round(settings.resolution * settings.canvas_scale)
    canvases = np.random.default_rng(0).integers(0, 256, (settings.batch_size, side, side, 3), np.uint8)
    aspects = np.ones(settings.batch_size, np.float32)
    seconds = []
    for step in range(steps):
        start = time.perf_counter()
        loss, _, _ = function(*replicas.place(strategy, canvases, aspects), tf.constant(step))
        float(loss)  # waits for the device
        seconds.append(time.perf_counter() - start)
    rate = 1 / statistics.median(seconds[WARM_UP_STEPS:])
    peak = f"{tf.config.experimental.get_memory_info('GPU:0')['peak'] / 1e6:9.0f}" if kind == "GPU" else f"{'-':>9}"
    return f"{kind:>6}{settings.batch_size:7}{rate:9.2f}{rate * settings.batch_size:10.1f}{peak}"


def devices(number: int):
    """The kind of the devices, and a strategy over `number` of them."""
    import tensorflow as tf

    physical = tf.config.list_physical_devices("GPU")
    if physical and number > len(physical):
        sys.exit(f"--devices must be at most {len(physical)}, the GPUs of this machine, got {number}")
    if not physical:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * number)
    kind = "GPU" if physical else "CPU"
    if number == 1:
        return kind, tf.distribute.get_strategy()
    return kind, tf.distribute.MirroredStrategy([f"{kind}:{index}" for index in range(number)])


if __name__ == "__main__":
    main()
