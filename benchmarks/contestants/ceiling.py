"""The time of a step's convolutions and matrix products only: each is run alone, as the step computes it, and their times are added.

Forward, and backward with respect to kernel and input (the pixels need no gradient), of every convolution and fully connected layer of
backbone, projector and predictor, once for each view.
"""

import collections
import time

import keras
import tensorflow as tf
import worker

from trainer.simsiam import build_simsiam

VIEWS = 2


def prepare(arguments):
    """The measure for worker.serve: each layer's products run once a step."""
    settings = worker.settings(arguments)
    model = build_simsiam(settings)
    found = collections.Counter()
    layers = {}
    for network in (model.backbone, model.projector, model.predictor):
        for layer in network.layers:
            if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
                key = (tuple(layer.input.shape[1:]), tuple(layer.kernel.shape), getattr(layer, "strides", None))
                found[key] += 1
                layers[key] = layer
    compiled = [(products(layers[key], settings.batch_size), times) for key, times in found.items()]
    for function, _ in compiled:
        function()

    def measure(steps):
        seconds = 0.0
        for function, times in compiled:
            start = time.perf_counter()
            for _ in range(steps):
                function()
            seconds += times * VIEWS * (time.perf_counter() - start) / steps
        return settings.batch_size / seconds

    return measure


def products(layer, batch):
    """A function that computes a layer's output, and the gradients of its kernel and, but for pixels, of its input."""
    shape = layer.input.shape[1:]
    inputs, kernel, upstream = (
        tf.cast(tf.random.normal(one), layer.compute_dtype)
        for one in ((batch, *shape), layer.kernel.shape, (batch, *layer.output.shape[1:])))  # fmt: skip
    convolution = isinstance(layer, keras.layers.Conv2D)
    wanted = [kernel] if convolution and shape[-1] == 3 else [kernel, inputs]

    @tf.function
    def compute():
        with tf.GradientTape() as tape:
            tape.watch(wanted)
            outputs = layer.convolution_op(inputs, kernel) if convolution else inputs @ kernel
        return outputs, tape.gradient(outputs, wanted, upstream)

    return compute


if __name__ == "__main__":
    worker.serve(prepare)
