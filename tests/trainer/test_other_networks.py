"""Networks that others trained: what they get and return, and what is refused."""

import functools
import types

import keras
import numpy as np
import pytest

from pipeline_config import ConfigurationError
from trainer.other_networks import open_network


def saved(path, outputs, side=16, channels=3):
    pixels = keras.Input((side, side, channels))
    keras.Model(pixels, outputs(pixels)).save(path)
    return str(path)


def test_features_of_a_file_are_its_output_for_pixels_in_0_to_1(tmp_path):
    network = open_network(saved(tmp_path / "mean.keras", keras.layers.GlobalAveragePooling2D()))
    pixels = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    assert network.side == 16
    np.testing.assert_allclose(network.model(pixels).numpy(), pixels.mean(axis=(1, 2)), rtol=1e-5)


def test_a_feature_map_is_averaged(tmp_path):
    network = open_network(saved(tmp_path / "map.keras", keras.layers.AveragePooling2D(4)))
    pixels = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    np.testing.assert_allclose(network.model(pixels).numpy(), pixels.mean(axis=(1, 2)), rtol=1e-5)


def test_an_application_gets_its_own_preprocessing(monkeypatch):
    def build(include_top, weights, input_shape, input_tensor, pooling):
        assert (include_top, weights, input_shape, pooling) == (False, "imagenet", (224, 224, 3), "avg")
        return types.SimpleNamespace(outputs=[keras.layers.GlobalAveragePooling2D()(input_tensor)])

    for name in ("MobileNetV2", "EfficientNetB0"):
        stand_in = functools.partial(build)
        stand_in.__module__ = getattr(keras.applications, name).__module__
        monkeypatch.setattr(keras.applications, name, stand_in)
    white = np.ones((1, 224, 224, 3), np.float32)
    # MobileNetV2 takes [-1, 1], EfficientNet [0, 255] (Keras' documentation of their preprocess_input).
    assert open_network("keras:MobileNetV2").model(white).numpy().tolist() == [[1, 1, 1]]
    assert open_network("keras:EfficientNetB0").model(white).numpy().tolist() == [[255, 255, 255]]
    assert open_network("keras:MobileNetV2").model(0 * white).numpy().tolist() == [[-1, -1, -1]]


def test_weights_that_cannot_be_downloaded_are_said_so(monkeypatch):
    def fetch(*args, **options):
        raise OSError("URL fetch failure on https://storage.example/weights.h5: None -- Name or service not known")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fetch)
    with pytest.raises(ConfigurationError, match="MobileNetV2 are not here and cannot be downloaded.*name a file instead"):
        open_network("keras:MobileNetV2")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: str(path / "nosuch.keras"), "there is no file"),
        (lambda path: "keras:NoSuchNet", "has no model 'NoSuchNet'; it has .*ResNet50"),
        (lambda path: "keras:os", "has no model 'os'"),
        (lambda path: saved(path / "grey.keras", keras.layers.Flatten(), channels=1), r"takes \(None, 16, 16, 1\)"),
        (lambda path: saved(path / "any.keras", keras.layers.GlobalAveragePooling2D(), side=None), "takes"),
        (lambda path: saved(path / "code.keras", keras.layers.Lambda(lambda x: x)), "cannot be loaded as a Keras model"),
    ],
)
def test_what_is_no_feature_extractor_is_refused(tmp_path, make, said):
    with pytest.raises(ConfigurationError, match=said):
        open_network(make(tmp_path))


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(ConfigurationError, match="text.keras cannot be loaded as a Keras model"):
        open_network(str(tmp_path / "text.keras"))
