"""A registered network on a phone: LiteRT's converter takes it with builtin operations alone, and the vectors stay the same."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pipeline_config import Embedding
from trainer import normalization
from trainer.backbones import build_backbone
from trainer.embedding_network import antialiased, antialiased_by_products
from trainer.export import convertible, export_backbone, load_backbone


@pytest.mark.parametrize("larger, side", [(40, 16), (192, 96), (33, 32)])
def test_scaling_by_matrix_products_is_antialiased_scaling(larger, side):
    photographs = np.random.default_rng(0).random((2, larger, larger, 3)).astype(np.float32)
    ours, expected = (np.asarray(scale(photographs, side)) for scale in (antialiased_by_products, antialiased))
    assert ours.shape == expected.shape == (2, side, side, 3)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.slow
def test_an_exported_network_converts_with_builtin_operations_and_gives_the_same_vectors(tmp_path):
    architecture = {"width": 4, "stem": "small", "seed": 0}
    everything = Embedding(resolution=16, photograph_side=24, stages=2, pooling=("mean", "deviation", "maximum"), mirrored=True)
    backbone = build_backbone("small", resolution=16, normalization_layer=normalization.stock, **architecture)
    export_backbone(backbone, {"backbone": "small", **architecture, "embedding": dataclasses.asdict(everything)}, str(tmp_path))
    network, record = load_backbone(str(tmp_path))

    converter = tf.lite.TFLiteConverter.from_keras_model(convertible(network, record))
    assert converter.target_spec.supported_ops == {tf.lite.OpsSet.TFLITE_BUILTINS}
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    photographs = np.random.default_rng(1).random((3, 24, 24, 3)).astype(np.float32)
    vectors = []
    for photograph in photographs:
        interpreter.set_tensor(taken["index"], photograph[None])
        interpreter.invoke()
        vectors.append(interpreter.get_tensor(given["index"])[0])
    np.testing.assert_allclose(vectors, network(photographs), atol=1e-4)
    assert np.ptp(vectors) > 0.1
