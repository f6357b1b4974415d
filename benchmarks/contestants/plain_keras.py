"""SimSiam in plain Keras: stock layers for networks and augmentation, one image at a time in tf.data, keras.optimizers.SGD.

Backbone, heads, resolution, batch and rate are this project's, and so are the photographs in memory.
"""

import keras
import tensorflow as tf
import worker

from trainer import normalization
from trainer.backbones import build_backbone
from trainer.simsiam import simsiam_loss

STEPS = 100_000  # of a pretended run, for the schedule


def prepare(arguments):
    """The measure for worker.serve."""
    settings = worker.settings(arguments)
    photographs = worker.photographs(round(settings.resolution * settings.canvas_scale))
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
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.0125, STEPS), momentum=0.9, weight_decay=1e-4)

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

    data = tf.data.Dataset.from_tensor_slices(photographs).shuffle(len(photographs)).repeat()
    data = data.map(lambda image: (view(image), view(image)), num_parallel_calls=tf.data.AUTOTUNE)
    batches = iter(data.batch(settings.batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE))
    variables = encoder.trainable_variables + predictor.trainable_variables

    @tf.function
    def function(view1, view2):
        with tf.GradientTape() as tape:
            z1, z2 = encoder(view1, training=True), encoder(view2, training=True)
            loss = simsiam_loss([predictor(z, training=True) for z in (z1, z2)], [z1, z2])
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    return worker.timed(lambda: float(function(*next(batches))), settings.batch_size)


if __name__ == "__main__":
    worker.serve(prepare)
