"""A frozen embedding network for measuring: the same function as the exported one, with each normalisation folded into the
convolution before it.

In inference a normalisation is a scale and an offset a channel. The scale goes into the kernel, and TensorFlow runs convolution,
offset and ReLU as one operation instead of passing over every feature map four times (benchmarks/linear_evaluation.py).
"""

import keras
import numpy as np

from trainer import normalization
from trainer.backbones import convolution_before
from trainer.embedding_network import backbone_layers
from trainer.export import build_network


def folded(network: keras.Model, record: dict) -> keras.Model:
    """The embedding network that `record` describes, with the weights of `network`; equal to it up to rounding.

    Args:
      network: an embedding network of stock layers, as trainer.export.load_backbone gives it.
      record: its backbone record.
    """
    result = build_network(record, normalization.folded)
    given = {layer.name: layer.get_weights() for layer in backbone_layers(network)}
    taken = {layer.name: layer for layer in backbone_layers(result)}
    for name in taken:
        if name.endswith("_norm"):
            gamma, beta, mean, variance = (weight.astype(np.float64) for weight in given[name])
            scale = gamma / np.sqrt(variance + normalization.EPSILON)
            convolution = convolution_before(name, taken)
            taken[convolution].set_weights([given[convolution][0] * scale])
            taken[name].set_weights([beta - mean * scale])
    return result
