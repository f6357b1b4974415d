"""A network as an ONNX graph computes the same, for every kind of layer that the backbones and embeddings are made of."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the format onnx needs the package onnx, which is not installed here")
onnxruntime = pytest.importorskip("onnxruntime", reason="the format onnx needs onnxruntime, which is not installed here")

import keras

from inference import onnx_graph
from inference.export import EQUAL, difference_of
from pipeline_config import GPU, Embedding
from trainer.export import convertible, untrained_network

EVERYTHING = Embedding(resolution=16, photograph_side=24, stages=2, pooling=("mean", "deviation", "maximum"), mirrored=True)


@pytest.mark.parametrize(("backbone", "stem"), [
    ("small", "small"), pytest.param("resnet18", "imagenet", marks=pytest.mark.slow)])  # fmt: skip
def test_every_architecture_computes_the_same(backbone, stem):
    resolution = 16 if stem == "small" else 64
    embedding = dataclasses.replace(EVERYTHING, resolution=resolution, photograph_side=resolution + 8)
    record = {"backbone": backbone, "width": 2, "stem": stem, "seed": 3, "embedding": dataclasses.asdict(embedding)}
    network = untrained_network(record)
    random = np.random.default_rng(0)
    # As after training: statistics and scales of normalisations are not 0 and 1.
    network.set_weights([weight + random.uniform(0.05, 0.2, weight.shape).astype(np.float32) for weight in network.get_weights()])
    graph = onnx_graph.convert(convertible(network, record), takes="pixels", gives="embedding", properties={"classes": "a\nb"})
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    photographs = random.random((3, embedding.side, embedding.side, 3), np.float32)
    (found,) = session.run(["embedding"], {"pixels": photographs})
    expected = np.asarray(network(photographs))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(expected) > 0.01
    assert session.get_modelmeta().custom_metadata_map["classes"] == "a\nb"


@pytest.mark.slow
def test_the_network_of_the_gpu_preset_computes_the_same_as_it_is():
    """ResNet-50 at its full width and 224 pixels, which is of bottlenecks; batches of one and of two."""
    settings = GPU.pretrain
    record = {
        "backbone": settings.backbone,
        "width": settings.width,
        "stem": settings.stem,
        "seed": 3,
        "embedding": dataclasses.asdict(GPU.embedding),
    }
    network = untrained_network(record)
    random = np.random.default_rng(0)
    # Only those of normalisations, of which the last of each block is 0 at first: with all weights moved it would overflow.
    network.set_weights([weight + random.uniform(0.05, 0.2, weight.shape).astype(np.float32) if weight.ndim == 1 else weight
                         for weight in network.get_weights()])  # fmt: skip
    assert settings.backbone == "resnet50" and network.output_shape == (None, 2048)
    graph = onnx_graph.convert(convertible(network, record), takes="pixels", gives="embedding", properties={})
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    photographs = random.random((2, 224, 224, 3), np.float32)
    expected = np.asarray(network(photographs))
    for count in (1, 2):
        (found,) = session.run(["embedding"], {"pixels": photographs[:count]})
        assert difference_of(found, expected[:count]) <= EQUAL
    assert np.ptp(expected) > 0.01 and np.abs(expected[0] - expected[1]).max() > 0.01


def test_an_unknown_layer_is_named():
    pixels = keras.Input((4, 4, 3))
    network = keras.Model(pixels, keras.layers.UpSampling2D(name="up")(pixels))
    with pytest.raises(onnx_graph.UnknownLayer, match="the layer up is of the kind UpSampling2D; expected one of Activation, Add"):
        onnx_graph.convert(network, takes="x", gives="y", properties={})


def test_layers_of_networks_of_others_compute_the_same():
    """Those of EfficientNet-Lite: depthwise convolutions, ReLU up to 6, an average over all places, dropout."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.DepthwiseConv2D(5, strides=2, padding="same", depth_multiplier=2)(keras.layers.Rescaling(40.0, -20.0)(pixels))
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu")(keras.layers.ReLU(6.0)(x)) * 2.0
    x = keras.layers.ReLU(6.0)(keras.layers.Dropout(0.5)(x))
    network = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x))
    graph = onnx_graph.convert(network, takes="pixels", gives="embedding", properties={})
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    photographs = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
    expected = np.asarray(network(photographs, training=False))
    np.testing.assert_allclose(session.run(None, {"pixels": photographs})[0], expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(expected) > 0.1 and np.asarray(keras.Model(pixels, x)(photographs)).max() == 6  # the limit is reached
