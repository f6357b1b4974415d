"""The convolution of networks that train: as keras.layers.Conv2D, with matrix products where a map has few positions.

oneDNN converts a kernel to a layout of its own and its gradient back, at every call. Where a photograph has few positions that costs
more than the arithmetic: the last stage of a ResNet-18 sees 2 x 2 positions of views of 64 pixels, with 2.4 million weights a
convolution. A matrix product takes a kernel as it is. `benchmarks/convolutions.py` prints what each way takes.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from trainer import replicas

# Positions of the output, a photograph, up to which output and both gradients are matrix products; and up to which they are of a kernel
# of 1 x 1, and in 16 bits the kernel's gradient of any. Measured on two cores with AVX-512 and AMX (docs/speed.md).
POSITIONS_OF_PRODUCTS = 4
POSITIONS_OF_KERNEL_PRODUCTS = 16


class Conv2D(keras.layers.Conv2D):
    """As the layer of Keras, with a square kernel, no bias and padding "same"; its weights are the same, and so is its name."""

    def convolution_op(self, inputs, kernel):
        size, stride = self.kernel_size[0], self.strides[0]
        height, width = (-(-side // stride) for side in inputs.shape[1:3])
        positions = height * width
        if replicas.on_gpu() or positions > POSITIONS_OF_KERNEL_PRODUCTS:
            return super().convolution_op(inputs, kernel)
        if positions <= POSITIONS_OF_PRODUCTS or size == 1:
            return by_product(inputs, kernel, stride)
        if inputs.dtype != "float32":
            # A tensor, of the layer's precision: of a variable TensorFlow wants the gradient in another form.
            return with_kernel_gradient_by_product(inputs, tf.convert_to_tensor(kernel), stride)
        return super().convolution_op(inputs, kernel)


@functools.cache
def seen_positions(height: int, width: int, size: int, stride: int) -> np.ndarray:
    """Which position of a map each weight of a kernel meets, with padding "same".

    Returns:
      `[output positions, size x size]` int32, positions row by row; height x width stands for the padding.
    """
    positions = np.arange(height * width, dtype=np.int32).reshape(height, width)
    # TensorFlow's "SAME": https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    outputs = [-(-side // stride) for side in (height, width)]
    missing = [max((count - 1) * stride + size - side, 0) for count, side in zip(outputs, (height, width))]
    padded = np.pad(positions, [(one // 2, one - one // 2) for one in missing], constant_values=height * width)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))[::stride, ::stride]
    return windows.reshape(outputs[0] * outputs[1], size * size)


@functools.cache
def seeing_columns(height: int, width: int, size: int, stride: int) -> np.ndarray:
    """The inverse: which of the flattened entries of seen_positions show each position.

    Returns:
      `[most entries of a position, height x width]` int32; where a position has fewer, the number of all entries.
    """
    seen = seen_positions(height, width, size, stride).ravel()
    entries = [np.flatnonzero(seen == position) for position in range(height * width)]
    inverse = np.full((max(map(len, entries)), height * width), len(seen), np.int32)
    for position, found in enumerate(entries):
        inverse[: len(found), position] = found
    return inverse


def columns(inputs: tf.Tensor, size: int, stride: int) -> tf.Tensor:
    """What each position of a convolution's output sees, in the order of the kernel, with padding "same".

    Args:
      inputs: `[batch, height, width, channels]`, of any type of number.
      size, stride: of the kernel.

    Returns:
      `[batch x output positions, size x size x channels]`, of the same type.
    """
    _, height, width, channels = inputs.shape
    seen = seen_positions(height, width, size, stride)

    # Slices would be summed up again one by one, each padded to the whole map.
    @tf.custom_gradient
    def gathered(inputs):
        def gradient(upstream):
            entries = _with_zeros(tf.reshape(upstream, [-1, seen.size, channels]))
            parts = [tf.gather(entries, one, axis=1) for one in seeing_columns(height, width, size, stride)]
            return tf.reshape(tf.add_n(parts), tf.shape(inputs))

        positions = _with_zeros(tf.reshape(inputs, [-1, height * width, channels]))
        return tf.reshape(tf.gather(positions, seen.ravel(), axis=1), [-1, seen.shape[1] * channels]), gradient

    return gathered(inputs)


def _with_zeros(positions: tf.Tensor) -> tf.Tensor:
    return tf.pad(positions, [[0, 0], [0, 1], [0, 0]])


def by_product(inputs: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """A convolution of padding "same" as one matrix product, whose gradients are two more.

    Args:
      inputs: `[batch, height, width, channels]`.
      kernel: `[size, size, channels, features]`.

    Returns:
      `[batch, output height, output width, features]`.
    """
    features = kernel.shape[3]
    outputs = columns(inputs, kernel.shape[0], stride) @ tf.reshape(kernel, [-1, features])
    height, width = (-(-side // stride) for side in inputs.shape[1:3])
    return tf.reshape(outputs, [-1, height, width, features])


def with_kernel_gradient_by_product(inputs: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """As by_product, by TensorFlow's convolution, and only the kernel's gradient as a matrix product."""

    @tf.custom_gradient
    def convolve(inputs, kernel):
        outputs = tf.nn.conv2d(inputs, kernel, stride, "SAME")

        def gradients(upstream):
            of_inputs = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(inputs), filter=kernel, out_backprop=upstream, strides=[1, stride, stride, 1], padding="SAME"
            )
            flat = tf.reshape(upstream, [-1, kernel.shape[3]])
            of_kernel = tf.matmul(columns(inputs, kernel.shape[0], stride), flat, transpose_a=True)
            return of_inputs, tf.reshape(of_kernel, kernel.shape)

        return outputs, gradients

    return convolve(inputs, kernel)
