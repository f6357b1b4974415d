"""SimSiam's two heads (arXiv 2011.10566, section 3, "Baseline settings"): projector and predictor."""

import math

import keras

from trainer.normalization import FusedBatchNormalization


def build_projector(features: int, *, layers: int, width: int, seed: int) -> keras.Model:
    """Fully connected layers with normalisation on each, ReLU on all but the last; the output normalisation is not affine.

    The paper's has 3 layers of width 2048; for CIFAR-10, 2.

    Returns:
      A model from `[batch, features]` to `[batch, width]` float32.
    """
    inputs = x = keras.Input((features,), name="features")
    for index in range(1, layers + 1):
        last = index == layers
        x = _dense(width, x.shape[-1], False, seed * 1009 + index, f"dense{index}")(x)
        x = FusedBatchNormalization(affine=not last, name=f"norm{index}")(x)
        if not last:
            x = keras.layers.ReLU(name=f"relu{index}")(x)
    return keras.Model(inputs, x, name="projector")


def build_predictor(features: int, *, width: int, seed: int) -> keras.Model:
    """A bottleneck of one hidden layer: normalisation and ReLU on the hidden layer only, a bias on the output.

    The paper's is 2048 -> 512 -> 2048.

    Returns:
      A model from `[batch, features]` to `[batch, features]` float32.
    """
    inputs = keras.Input((features,), name="projection")
    x = _dense(width, features, False, seed * 1009 + 101, "dense1")(inputs)
    x = FusedBatchNormalization(name="norm1")(x)
    x = keras.layers.ReLU(name="relu1")(x)
    x = _dense(features, width, True, seed * 1009 + 102, "dense2")(x)
    return keras.Model(inputs, x, name="predictor")


def _dense(units: int, fan_in: int, bias: bool, seed: int, name: str) -> keras.layers.Layer:
    # Uniform within 1/sqrt(fan_in) for weights and bias: PyTorch's default for linear layers, which the released code keeps.
    def uniform(offset):
        limit = 1 / math.sqrt(fan_in)
        return keras.initializers.RandomUniform(-limit, limit, seed=seed + offset)

    return keras.layers.Dense(
        units, use_bias=bias, kernel_initializer=uniform(0), bias_initializer=uniform(500) if bias else "zeros", name=name
    )
