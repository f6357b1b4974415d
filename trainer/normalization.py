"""Batch normalisation as one fused kernel: what the training networks use in place of Keras' own layer.

Keras 3 computes moments with plain operations, which on small ResNets costs more than all else beside the convolutions. The
exported network carries stock `keras.layers.BatchNormalization` instead; both keep their weights in the same order.
"""

import keras
import tensorflow as tf

# PyTorch's defaults, with which SimSiam was trained (torch.nn.BatchNorm2d: eps 1e-5, momentum 0.1).
EPSILON = 1e-5
UPDATE = 0.1


class FusedBatchNormalization(keras.layers.Layer):
    """Batch normalisation over all axes but the last, by `FusedBatchNormV3`.

    In training, normalises by the batch's statistics and moves the running ones by UPDATE towards them (the variance unbiased, as
    PyTorch does). In inference, normalises by the running statistics.

    Input and output: `[batch, height, width, channels]` or `[batch, channels]` float32.

    Args:
      gamma_initializer: name of the initializer of the scale; "zeros" makes a residual branch start as nothing.
      affine: whether there is a trained scale and offset; SimSiam's output normalisation has none.
    """

    def __init__(self, gamma_initializer: str = "ones", affine: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.gamma_initializer = gamma_initializer
        self.affine = affine

    def build(self, input_shape):
        def weight(name, initializer, trainable):
            return self.add_weight(name=name, shape=(input_shape[-1],), initializer=initializer, trainable=trainable)

        self.gamma = weight("gamma", self.gamma_initializer, self.affine)
        self.beta = weight("beta", "zeros", self.affine)
        self.moving_mean = weight("moving_mean", "zeros", False)
        self.moving_variance = weight("moving_variance", "ones", False)

    def call(self, inputs, training=False):
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


def fused(name: str, gamma_initializer: str = "ones") -> keras.layers.Layer:
    """The normalisation that trains."""
    return FusedBatchNormalization(gamma_initializer=gamma_initializer, name=name)


def stock(name: str, gamma_initializer: str = "ones") -> keras.layers.Layer:
    """The same in stock Keras, for a network that loads anywhere."""
    return keras.layers.BatchNormalization(
        epsilon=EPSILON, momentum=1 - UPDATE, gamma_initializer=gamma_initializer, name=name
    )
