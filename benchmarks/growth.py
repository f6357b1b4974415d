"""Speed and memory of pre-training as the data grows: prints a table.

    python benchmarks/growth.py [--images 3000 30000 100000] [--megabytes 2000 50] [--preset cpu] [--set KEY=VALUE]…
        [--steps 30] [--drawn 500]

Every row is a process of its own. It opens the records as Trainer 1 does, with --megabytes as pretrain.memory_megabytes (the
first default is the preset's; with the second all but the smallest sets are streamed), trains for --steps steps, and then reads
one whole epoch of batches without training, so that every record has been read and decoded. It computes in float32 unless
pretrain.precision is set.

    images/s   photographs a second while training, without the first steps (tracing, and filling the shuffle buffer)
    input/s    photographs a second that the data set delivers over the whole epoch, without training
    opened     resident memory when the data set is open, before TensorFlow trains
    trained    resident memory after training
    epoch      resident memory after the whole epoch
    peak       the process's highest resident memory

Drawing 100,000 flowers would take an hour, so only --drawn of them are drawn, at the preset's data.max_side, and records repeat;
this does not change the cost of reading and decoding them. They are written as ExampleGen writes its own.
"""

import argparse
import dataclasses
import itertools
import os
import pathlib
import tempfile
import time

from own_process import last_line

WARM_UP_STEPS = 3


def main() -> None:
    """Writes the records of every size once and prints a row for each size and budget; with --row, only one row's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[3_000, 30_000, 100_000])
    parser.add_argument("--megabytes", type=float, nargs="+", default=[2000, 50])
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--drawn", type=int, default=500)
    parser.add_argument("--row", metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(row(arguments))
        return
    import flower_records
    import numpy as np
    from presets import configuration

    settings = configuration(arguments.preset, arguments.overrides)
    print(f"preset {arguments.preset} {' '.join(arguments.overrides)}, {arguments.steps} steps, {arguments.drawn} flowers of "
          f"{settings.data.max_side} px drawn")  # fmt: skip
    print(f"{'':30}{'':10}{'':9}{'resident memory, MB':>35}")
    print(f"{'images':>8}{'budget MB':>11}  {'':9}{'images/s':>10}{'input/s':>9}{'opened':>8}{'trained':>9}{'epoch':>8}{'peak':>8}")
    with tempfile.TemporaryDirectory() as folder:
        drawn = flower_records.draw(arguments.drawn, settings.data.max_side)
        for images, megabytes in itertools.product(arguments.images, arguments.megabytes):
            records = pathlib.Path(folder, str(images))
            if not records.exists():
                flower_records.write(drawn, np.random.default_rng(0).integers(len(drawn), size=images), records)
            options = [f"--images={images}", f"--megabytes={megabytes}", f"--preset={arguments.preset}",
                       f"--steps={arguments.steps}", f"--row={records}",
                       *(f"--set={one}" for one in arguments.overrides)]  # fmt: skip
            print(f"{images:8}{megabytes:11g}  {last_line(__file__, *options)}", flush=True)


def row(arguments: argparse.Namespace) -> str:
    """Opens, trains, reads a whole epoch, and returns the figures."""
    import tensorflow as tf
    from presets import configuration

    from trainer.photographs import Photographs, open_train_split
    from trainer.replicas import spread
    from trainer.simsiam import build_simsiam, train_step

    settings = configuration(arguments.preset, arguments.overrides).pretrain
    settings = dataclasses.replace(settings, memory_megabytes=arguments.megabytes[0])
    side = round(settings.resolution * settings.canvas_scale)
    split = open_train_split([os.path.join(arguments.row, "*.gz")], side, settings.memory_megabytes)
    opened = memory_megabytes("VmRSS")
    model = build_simsiam(settings)
    steps = arguments.images[0] // settings.batch_size * settings.epochs
    step_function = spread(tf.distribute.get_strategy(), lambda *batch: train_step(model, *batch, steps=steps, settings=settings))

    start = 0.0
    batches = split.batches(settings.batch_size, seed=0, epoch=0)
    for number, batch in enumerate(itertools.islice(batches, WARM_UP_STEPS + arguments.steps)):
        if number == WARM_UP_STEPS:
            start = time.perf_counter()
        loss, _, _ = step_function(*batch, tf.constant(number))
        float(loss)
    training = arguments.steps * settings.batch_size / (time.perf_counter() - start)
    trained = memory_megabytes("VmRSS")

    del batches
    start = time.perf_counter()
    read = sum(len(aspects) for _, aspects in split.batches(settings.batch_size, seed=0, epoch=1))
    reading = read / (time.perf_counter() - start)
    kind = "in memory" if isinstance(split, Photographs) else "streamed"
    epoch, peak = memory_megabytes("VmRSS"), memory_megabytes("VmHWM")
    return f"{kind:9}{training:10.0f}{reading:9.0f}{opened:8.0f}{trained:9.0f}{epoch:8.0f}{peak:8.0f}"


def memory_megabytes(name: str) -> float:
    """Memory of this process in 10^6 bytes, from Linux: VmRSS, the current resident memory, or VmHWM, its highest value."""
    status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    return int(status[name].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
