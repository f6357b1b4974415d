"""The time of a step's convolutions and matrix products only: each is run alone in TensorFlow, and their times are added.

Forward, and backward with respect to kernel and input (the pixels need no gradient), of every convolution and fully connected layer
of backbone, projector and predictor, once for each view.
"""

import collections
import time

import tensorflow as tf
import worker

from trainer.simsiam import build_simsiam

VIEWS = 2


def prepare(arguments):
    """The measure for worker.serve: each operation runs once a step."""
    settings = worker.settings(arguments)
    model = build_simsiam(settings)
    operations = collections.Counter()
    for network in (model.backbone, model.projector, model.predictor):
        for layer in network.layers:
            kind = type(layer).__name__
            if kind == "Conv2D":
                shape, kernel = (settings.batch_size, *layer.input.shape[1:]), tuple(layer.kernel.shape)
                operations.update(convolution_products(shape, kernel, layer.strides[0], first=shape[3] == 3))
            elif kind == "Dense":
                operations.update(matrix_products(settings.batch_size, *layer.kernel.shape))
    compiled = [(tf.function(call), [tf.random.normal(shape) for shape in shapes], times)
                for (call, shapes), times in ((resolve(key), times) for key, times in operations.items())]  # fmt: skip
    for function, inputs, _ in compiled:
        function(*inputs)

    def measure(steps):
        seconds = 0.0
        for function, inputs, times in compiled:
            start = time.perf_counter()
            for _ in range(steps):
                function(*inputs)
            seconds += times * VIEWS * (time.perf_counter() - start) / steps
        return settings.batch_size / seconds

    return measure


def convolution_products(inputs, kernel, stride, first):
    """Keys for `resolve`: the three products of a convolution, two for the first."""
    kinds = ("forward", "kernel") if first else ("forward", "kernel", "input")
    return [("convolution", kind, inputs, kernel, stride) for kind in kinds]


def matrix_products(batch, inputs, outputs):
    """Keys for `resolve`: the three products of a fully connected layer."""
    return [("matrix", (batch, inputs), (inputs, outputs), False, False),
            ("matrix", (batch, inputs), (batch, outputs), True, False),
            ("matrix", (batch, outputs), (inputs, outputs), False, True)]  # fmt: skip


def resolve(key):
    """The call and the shapes of its arguments."""
    if key[0] == "matrix":
        _, first, second, transpose_first, transpose_second = key
        return (lambda a, b: tf.matmul(a, b, transpose_first, transpose_second)), (first, second)
    _, kind, inputs, kernel, stride = key
    outputs = (inputs[0], -(-inputs[1] // stride), -(-inputs[2] // stride), kernel[3])
    options = {"strides": [1, stride, stride, 1], "padding": "SAME"}
    if kind == "forward":
        return (lambda x, w: tf.raw_ops.Conv2D(input=x, filter=w, **options)), (inputs, kernel)
    if kind == "kernel":
        return (lambda x, dy: tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=kernel, out_backprop=dy, **options)), (inputs, outputs)  # fmt: skip
    return (lambda w, dy: tf.raw_ops.Conv2DBackpropInput(
        input_sizes=inputs, filter=w, out_backprop=dy, **options)), (kernel, outputs)  # fmt: skip


if __name__ == "__main__":
    worker.serve(prepare)
