"""Folding the normalisations into the convolutions changes the speed of an embedding, not the embedding."""

import dataclasses

import numpy as np
import pytest

from pipeline_config import Embedding
from trainer import normalization
from trainer.backbones import convolution_before
from trainer.export import build_network, folded


def record(backbone):
    everything = Embedding(resolution=32, photograph_side=40, stages=2, pooling=("mean", "deviation", "maximum"), mirrored=True)
    return {"backbone": backbone, "width": 4, "stem": "imagenet", "seed": 0, "embedding": dataclasses.asdict(everything)}


@pytest.mark.parametrize("backbone", ["small", "resnet50"])
def test_a_folded_network_gives_the_embeddings_of_the_exported_one(backbone):
    """Basic and bottleneck blocks, with statistics, scales and offsets that are no initial ones."""
    network = build_network(record(backbone), normalization.stock)
    random = np.random.default_rng(0)
    network.set_weights([
        weight + random.uniform(0, 0.3, weight.shape) if weight.ndim == 1 else weight for weight in network.get_weights()])  # fmt: skip
    photographs = random.uniform(size=(2, 40, 40, 3)).astype(np.float32)
    expected = np.asarray(network(photographs))
    ours = np.asarray(folded(network, record(backbone))(photographs))
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())
    assert np.ptp(expected) > 0.1


def test_a_normalisation_is_folded_into_the_convolution_that_it_normalises():
    names = ["stem_conv", "stage1_block1_1_conv", "stage1_block1_2_conv", "stage1_block1_shortcut_conv", "stage1_block2_2_conv"]
    assert convolution_before("stem_norm", names) == "stem_conv"
    assert convolution_before("stage1_block1_1_norm", names) == "stage1_block1_1_conv"
    assert convolution_before("stage1_block1_last_norm", names) == "stage1_block1_2_conv"
    assert convolution_before("stage1_block1_shortcut_norm", names) == "stage1_block1_shortcut_conv"
