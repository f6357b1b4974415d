"""Batch normalisation as one fused kernel, which the training networks use instead of Keras' own layer.

Keras 3 computes moments with plain operations, which on small ResNets costs more than everything else but the convolutions. The
exported network has stock `keras.layers.BatchNormalization` instead; both have their weights in the same order.
"""

import keras
import tensorflow as tf

from trainer import replicas

# PyTorch's defaults, with which SimSiam was trained (torch.nn.BatchNorm2d: eps 1e-5, momentum 0.1).
EPSILON = 1e-5
UPDATE = 0.1


class FusedBatchNormalization(keras.layers.Layer):
    """Batch normalisation over all axes but the last, by `FusedBatchNormV3`.

    In training, normalises by the batch's statistics and moves the running ones by UPDATE towards them (the variance unbiased, as
    PyTorch does). In inference, normalises by the running statistics. Inside `strategy.run` of several replicas the batch is that
    of all replicas together.

    Input and output: `[batch, height, width, channels]` or `[batch, channels]`, float32, bfloat16 or float16. Weights and
    statistics are always float32.

    Args:
      gamma_initializer: name of the initializer of the scale; with "zeros" a residual branch starts at 0.
      affine: whether there is a trained scale and offset; SimSiam's output normalisation has none.
    """

    def __init__(self, gamma_initializer: str = "ones", affine: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.gamma_initializer = gamma_initializer
        self.affine = affine

    def build(self, input_shape):
        def weight(name, initializer, trainable):
            # Not cast: the kernel takes scale, offset and statistics in float32, whatever its input is.
            return self.add_weight(
                name=name, shape=(input_shape[-1],), initializer=initializer, trainable=trainable, autocast=False)  # fmt: skip

        self.gamma = weight("gamma", self.gamma_initializer, self.affine)
        self.beta = weight("beta", "zeros", self.affine)
        self.moving_mean = weight("moving_mean", "zeros", False)
        self.moving_variance = weight("moving_variance", "ones", False)

    def call(self, inputs, training=False):
        if training and replicas.count() > 1:
            return self._over_all_replicas(inputs)
        flat = inputs.shape.rank == 2
        outputs = tf.raw_ops.FusedBatchNormV3(
            x=inputs[:, None, None, :] if flat else inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=self.moving_mean.value,
            variance=self.moving_variance.value,
            epsilon=EPSILON,
            exponential_avg_factor=UPDATE,
            is_training=bool(training),
        )
        if training:
            self.moving_mean.assign(outputs.batch_mean)
            self.moving_variance.assign(outputs.batch_variance)
        return outputs.y[:, 0, 0, :] if flat else outputs.y

    def _over_all_replicas(self, inputs):
        # Plain operations: the fused kernel knows only the statistics of its own replica. The gradient of an average over the
        # replicas is the average of their gradients, which TensorFlow provides.
        x = tf.cast(inputs, tf.float32)
        axes = list(range(x.shape.rank - 1))
        mean, square = replicas.mean((tf.reduce_mean(x, axes), tf.reduce_mean(x**2, axes)))
        variance = tf.maximum(square - mean**2, 0.0)
        count = tf.cast(tf.size(x) // x.shape[-1] * replicas.count(), tf.float32)
        for running, batch in ((self.moving_mean, mean), (self.moving_variance, variance * count / (count - 1))):
            replicas.assign(running.value, running.value + UPDATE * (batch - running.value))
        y = tf.nn.batch_normalization(x, mean, variance, self.beta.value, self.gamma.value, EPSILON)
        return tf.cast(y, inputs.dtype)


class Offset(keras.layers.Layer):
    """The rest of a normalisation in inference when its scale is in the kernel before it: an offset a channel."""

    def build(self, input_shape):
        self.offset = self.add_weight(name="offset", shape=(input_shape[-1],), initializer="zeros", trainable=False)

    def call(self, inputs):
        # BiasAdd, not a plain sum: TensorFlow fuses it with the convolution before and the ReLU after it.
        return tf.nn.bias_add(inputs, self.offset.value)


def fused(name: str, gamma_initializer: str = "ones", dtype: str = "float32") -> keras.layers.Layer:
    """The normalisation of networks that train."""
    return FusedBatchNormalization(gamma_initializer=gamma_initializer, name=name, dtype=dtype)


def stock(name: str, gamma_initializer: str = "ones", dtype: str = "float32") -> keras.layers.Layer:
    """The same in stock Keras, for a network that loads anywhere."""
    return keras.layers.BatchNormalization(
        epsilon=EPSILON, momentum=1 - UPDATE, gamma_initializer=gamma_initializer, name=name, dtype=dtype
    )


def folded(name: str, gamma_initializer: str = "ones", dtype: str = "float32") -> keras.layers.Layer:
    """What replaces a normalisation in trainer.export.folded; its initial weights are not used."""
    del gamma_initializer
    return Offset(name=name, dtype=dtype)
