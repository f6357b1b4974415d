"""Pre-training's images a second, beside a plain Keras 3 implementation of the same: prints a table.

    python benchmarks/pretraining.py [--rounds 5] [--steps 10] [--backbone resnet18] [--width 64] [--resolution 64] [--batch 64]

Both train SimSiam with the same backbone, resolution, batch, heads and rate from the same photographs in memory (noise: speed does
not depend on what they show); the time includes drawing the views. The contestants take turns, each in a process of its own, so
that the ratio of a round holds when the machine's speed drifts; the table gives medians over rounds. `flowers` runs in the
environment that the command line sets. TensorFlow turns oneDNN on by itself on some processors only, so the plain implementation
comes twice: `plain-off` is what its user gets on the others, `plain-on` what they get on those.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

WARM_UP_STEPS = 3
PHOTOGRAPHS = 512
# Name to TF_ENABLE_ONEDNN_OPTS.
CONTESTANTS = {"flowers": "1", "plain-off": "0", "plain-on": "1"}


def main() -> None:
    """Runs the rounds and prints the table; with --contestant, one contestant's figure alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--contestant", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        print(images_per_second(arguments))
        return
    rounds = [{name: run(name, arguments) for name in CONTESTANTS} for _ in range(arguments.rounds)]
    print(f"{arguments.backbone}, width {arguments.width}, {arguments.resolution} px, batch {arguments.batch}, float32, "
          f"{arguments.rounds} rounds of {arguments.steps} steps")  # fmt: skip
    print(f"{'':10}{'images/s: median':>18}{'min':>8}{'max':>8}")
    for name in CONTESTANTS:
        rates = [one[name] for one in rounds]
        print(f"{name:10}{statistics.median(rates):18.1f}{min(rates):8.1f}{max(rates):8.1f}")
    for name in ("plain-off", "plain-on"):
        ratios = [one["flowers"] / one[name] for one in rounds]
        print(f"/{name:9}{statistics.median(ratios):18.2f}{min(ratios):8.2f}{max(ratios):8.2f}")


def run(contestant: str, arguments: argparse.Namespace) -> float:
    """Images a second of one contestant, in a new process."""
    environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS=CONTESTANTS[contestant])
    options = [f"--{name}={getattr(arguments, name)}" for name in ("steps", "backbone", "width", "resolution", "batch")]
    command = [sys.executable, __file__, f"--contestant={contestant}", *options]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def images_per_second(arguments: argparse.Namespace) -> float:
    """Source images a second over `steps` steps, after some that are not counted."""
    import numpy as np

    from pipeline_config import Pretrain

    settings = Pretrain(
        backbone=arguments.backbone, width=arguments.width, resolution=arguments.resolution, batch_size=arguments.batch,
        projector_layers=2, projector_width=1024, predictor_width=256)  # fmt: skip
    side = round(settings.resolution * settings.canvas_scale)
    photographs = np.random.default_rng(0).integers(0, 256, (PHOTOGRAPHS, side, side, 3), np.uint8)
    prepare = flowers if arguments.contestant == "flowers" else plain
    step = prepare(photographs, settings, WARM_UP_STEPS + arguments.steps)
    for _ in range(WARM_UP_STEPS):
        step()
    start = time.perf_counter()
    for _ in range(arguments.steps):
        step()
    return arguments.steps * settings.batch_size / (time.perf_counter() - start)


def flowers(photographs, settings, steps):
    """This project's step, called as trainer.pretraining calls it."""
    import itertools

    import numpy as np
    import tensorflow as tf

    from trainer.simsiam import build_simsiam, train_step

    model = build_simsiam(settings)
    function = tf.function(lambda *batch: train_step(model, *batch, steps=steps, settings=settings))
    random, aspects, numbers = np.random.default_rng(0), np.ones(PHOTOGRAPHS, np.float32), itertools.count()

    def step():
        batch = random.permutation(PHOTOGRAPHS)[: settings.batch_size]
        loss, _, _ = function(photographs[batch], aspects[batch], tf.constant(next(numbers)))
        return float(loss)

    return step


def plain(photographs, settings, steps):
    """SimSiam as a Keras user writes it: stock layers to learn and to augment, one image at a time in tf.data, keras.optimizers.SGD."""
    import keras
    import tensorflow as tf

    from trainer import normalization
    from trainer.backbones import build_backbone
    from trainer.loss import simsiam_loss

    layers, side = keras.layers, settings.resolution
    backbone = build_backbone(
        settings.backbone, width=settings.width, stem=settings.stem, resolution=side, seed=0,
        normalization_layer=normalization.stock)  # fmt: skip
    width = settings.projector_width
    projector = keras.Sequential([
        layers.Dense(width, use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        layers.Dense(width, use_bias=False), layers.BatchNormalization(scale=False, center=False)])  # fmt: skip
    predictor = keras.Sequential([
        layers.Dense(settings.predictor_width, use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        layers.Dense(width)])  # fmt: skip
    encoder = keras.Sequential([backbone, projector])
    encoder.build((None, side, side, 3)), predictor.build((None, width))
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.0125, steps), momentum=0.9, weight_decay=1e-4)

    augment = keras.Sequential([
        layers.RandomFlip("horizontal"),
        layers.RandomColorJitter((0, 1), brightness_factor=0.4, contrast_factor=0.4, saturation_factor=0.4, hue_factor=0.1),
        layers.RandomGrayscale(0.2)])  # fmt: skip

    def view(image):
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image), tf.zeros([0, 0, 4]), 0.1, aspect_ratio_range=(3 / 4, 4 / 3), area_range=(0.2, 1.0),
            use_image_if_no_bounding_boxes=True)  # fmt: skip
        crop = tf.slice(image, begin, size)
        crop.set_shape([None, None, 3])
        return augment(tf.image.resize(tf.cast(crop, tf.float32) / 255.0, (side, side)))

    data = tf.data.Dataset.from_tensor_slices(photographs).shuffle(PHOTOGRAPHS).repeat()
    data = data.map(lambda image: (view(image), view(image)), num_parallel_calls=tf.data.AUTOTUNE)
    batches = iter(data.batch(settings.batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE))
    variables = encoder.trainable_variables + predictor.trainable_variables

    @tf.function
    def function(view1, view2):
        with tf.GradientTape() as tape:
            z1, z2 = encoder(view1, training=True), encoder(view2, training=True)
            loss = simsiam_loss(predictor(z1, training=True), predictor(z2, training=True), z1, z2)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    return lambda: float(function(*next(batches)))


if __name__ == "__main__":
    main()
