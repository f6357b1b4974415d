"""The convolution of networks that train: as keras.layers.Conv2D, with matrix products where a map has few positions.

oneDNN converts a kernel to a layout of its own and its gradient back, at every call, and multiplies the padding as well. Where a
photograph has few positions that costs more than the rest: the last stage of a ResNet-18 sees 2 x 2 positions of views of 64 pixels, with
2.4 million weights a convolution, and 5 of 9 weights that a position meets lie on padding. A product for each tap of the kernel takes the
kernel as it is, and leaves the padding out. `benchmarks/convolutions.py` prints what each way takes.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from trainer import replicas

# Positions of the output, a photograph, up to which output and both gradients are products; up to which they are of a kernel of 1 x 1, and
# the kernel's gradient of any; and up to which that gradient is in 16 bits. Measured on two cores with AVX-512 BF16 (docs/speed.md).
POSITIONS_OF_PRODUCTS = 4
POSITIONS_OF_KERNEL_PRODUCTS = 16
POSITIONS_OF_KERNEL_PRODUCTS_IN_16_BITS = 64


class Conv2D(keras.layers.Conv2D):
    """As the layer of Keras, with a square kernel, no bias and padding "same"; its weights are the same, and so is its name."""

    def convolution_op(self, inputs, kernel):
        size, stride = self.kernel_size[0], self.strides[0]
        height, width = (-(-side // stride) for side in inputs.shape[1:3])
        positions = height * width
        if replicas.on_gpu():
            return super().convolution_op(inputs, kernel)
        # A tensor, of the layer's precision: of a variable TensorFlow wants the gradient in another form.
        if positions <= POSITIONS_OF_PRODUCTS or (size == 1 and positions <= POSITIONS_OF_KERNEL_PRODUCTS):
            return by_taps(inputs, tf.convert_to_tensor(kernel), stride)
        in_16_bits = inputs.dtype != "float32"
        if positions <= (POSITIONS_OF_KERNEL_PRODUCTS_IN_16_BITS if in_16_bits else POSITIONS_OF_KERNEL_PRODUCTS):
            return with_kernel_gradient_by_taps(inputs, tf.convert_to_tensor(kernel), stride)
        return super().convolution_op(inputs, kernel)


class Tap(NamedTuple):
    """One of a kernel's size x size weights, and the positions of a map, row by row, that it takes to which of the output."""

    weight: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@functools.cache
def taps(height: int, width: int, size: int, stride: int) -> tuple[Tap, ...]:
    """The taps of a kernel that meet a map of height x width positions anywhere, with padding "same"."""
    # TensorFlow's "SAME": https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    outputs = [-(-side // stride) for side in (height, width)]
    missing = [max((count - 1) * stride + size - side, 0) for count, side in zip(outputs, (height, width))]
    positions = np.arange(height * width).reshape(height, width)
    padded = np.pad(positions, [(one // 2, one - one // 2) for one in missing], constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))[::stride, ::stride]
    met = windows.reshape(outputs[0] * outputs[1], size * size).T
    return tuple(
        Tap(weight, tuple(seen[seen >= 0].tolist()), tuple(np.flatnonzero(seen >= 0).tolist()))
        for weight, seen in enumerate(met)
        if (seen >= 0).any()
    )


# These two are functions of their own, traced once for each shape, because TensorFlow keeps a custom gradient, and with it the graph that
# it is in, for as long as the process runs: that should not be the graph of a whole step.
@tf.function(autograph=False)
def by_taps(inputs: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """A convolution of padding "same" as a matrix product for each tap, and so are both gradients.

    Args:
      inputs: `[batch, height, width, channels]`.
      kernel: `[size, size, channels, features]`, of the same dtype.

    Returns:
      `[batch, output height, output width, features]`.
    """
    size, _, channels, features = kernel.shape
    height, width = inputs.shape[1:3]
    out_height, out_width = (-(-side // stride) for side in (height, width))
    found = taps(height, width, size, stride)

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradients(upstream):
            upstreams = _by_position(upstream)
            parts = [_product(upstreams, tap.outputs, weights[tap.weight], transposed=True) for tap in found]
            of_inputs = _summed(parts, [tap.inputs for tap in found], height * width)
            return tf.reshape(of_inputs, [-1, height, width, channels]), kernel_gradient(inputs, upstream, size, stride)

        weights = tf.unstack(tf.reshape(kernel, [size * size, channels, features]))
        positions = _by_position(inputs)
        parts = [_product(positions, tap.inputs, weights[tap.weight]) for tap in found]
        outputs = _summed(parts, [tap.outputs for tap in found], out_height * out_width)
        return tf.reshape(outputs, [-1, out_height, out_width, features]), gradients

    return convolve(inputs, kernel)


@tf.function(autograph=False)
def with_kernel_gradient_by_taps(inputs: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """As by_taps, by TensorFlow's convolution, and only the kernel's gradient by products."""

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradients(upstream):
            of_inputs = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(inputs), filter=kernel, out_backprop=upstream, strides=[1, stride, stride, 1], padding="SAME"
            )
            return of_inputs, kernel_gradient(inputs, upstream, kernel.shape[0], stride)

        return tf.nn.conv2d(inputs, kernel, stride, "SAME"), gradients

    return convolve(inputs, kernel)


def kernel_gradient(inputs: tf.Tensor, upstream: tf.Tensor, size: int, stride: int) -> tf.Tensor:
    """The gradient of a convolution's kernel, a matrix product for each tap.

    Args:
      inputs: `[batch, height, width, channels]`.
      upstream: the gradient of the outputs, `[batch, output height, output width, features]`.

    Returns:
      `[size, size, channels, features]`.
    """
    channels, features = inputs.shape[3], upstream.shape[3]
    positions, upstreams = _by_position(inputs), _by_position(upstream)
    of_taps = {
        tap.weight: tf.matmul(_rows(positions, tap.inputs), _rows(upstreams, tap.outputs), transpose_a=True)
        for tap in taps(*inputs.shape[1:3], size, stride)
    }
    unmet = tf.zeros([channels, features], inputs.dtype)
    return tf.reshape(tf.stack([of_taps.get(weight, unmet) for weight in range(size * size)]), [size, size, channels, features])


def _by_position(maps: tf.Tensor) -> tf.Tensor:
    """`[batch, height, width, channels]` as `[height x width, batch, channels]`, where a few positions are a piece of memory."""
    _, height, width, channels = maps.shape
    return tf.transpose(tf.reshape(maps, [-1, height * width, channels]), [1, 0, 2])


def _rows(positions: tf.Tensor, wanted: tuple[int, ...]) -> tf.Tensor:
    """Some of `[count, batch, channels]`, as `[wanted x batch, channels]`."""
    count, _, channels = positions.shape
    if wanted != tuple(range(count)):
        positions = tf.gather(positions, wanted)
    return tf.reshape(positions, [-1, channels])


def _product(positions: tf.Tensor, wanted: tuple[int, ...], weights: tf.Tensor, transposed: bool = False) -> list[tf.Tensor]:
    """Each wanted position of `[count, batch, channels]` by weights, `[batch, features]`."""
    products = tf.matmul(_rows(positions, wanted), weights, transpose_b=transposed)
    return tf.unstack(tf.reshape(products, [len(wanted), -1, products.shape[1]]))


def _summed(parts: Sequence[Sequence[tf.Tensor]], targets: Sequence[Sequence[int]], count: int) -> tf.Tensor:
    """The sums of all parts that have the same target of `count`, in their order and in float32; `[batch, count, features]`."""
    of_targets = [[] for _ in range(count)]
    for part, wanted in zip(parts, targets, strict=True):
        for one, target in zip(part, wanted, strict=True):
            of_targets[target].append(one)
    one = parts[0][0]
    return tf.stack([_sum(found) if found else tf.zeros_like(one) for found in of_targets], axis=1)


def _sum(found: list[tf.Tensor]) -> tf.Tensor:
    """One after the other. Products of a tap share memory, and AddN begins with a summand whose memory it may reuse, which would change
    from run to run; and a shape that TensorFlow knows would let it make an AddN of the sums (see trainer.optimizer.sum_in_order)."""
    first, *others = found
    if not others:
        return first
    total = tf.cast(first, tf.float32)
    for one in others:
        total += tf.compat.v1.placeholder_with_default(tf.cast(one, tf.float32), shape=None)
    return tf.cast(tf.ensure_shape(total, first.shape), first.dtype)
