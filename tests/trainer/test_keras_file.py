"""The `.keras` file of a network says nothing that an older Keras does not know, and loses nothing by it."""

import json
import zipfile

import keras
import numpy as np

from trainer.keras_file import LATER, save_keras, without_later


def network(**normalisation):
    pixels = keras.Input((8, 8, 3))
    initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=1)
    convolved = keras.layers.Conv2D(4, 3, kernel_initializer=initializer)(pixels)
    return keras.Model(pixels, keras.layers.BatchNormalization(**normalisation)(convolved))


def config_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def keys(value):
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_what_older_releases_do_not_know_is_left_out_and_the_network_is_the_same(tmp_path):
    whole, path = network(), str(tmp_path / "network.keras")
    whole.save(tmp_path / "as_keras_writes_it.keras")
    save_keras(whole, path)
    assert set(LATER) & keys(config_of(tmp_path / "as_keras_writes_it.keras")) == set(LATER), "a key of LATER is no longer written"
    assert not set(LATER) & keys(config_of(path))
    read, shown = keras.models.load_model(path), np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    np.testing.assert_array_equal(read(shown), whole(shown))
    assert [type(layer) for layer in read.layers] == [type(layer) for layer in whole.layers]


def test_what_changes_something_stays(tmp_path):
    save_keras(network(renorm=True), str(tmp_path / "network.keras"))
    assert '"renorm": true' in json.dumps(config_of(tmp_path / "network.keras"))
    assert json.loads(without_later(b'[{"renorm": false, "renorm_momentum": 0.9, "a": {"input_axes": null, "b": 1}}]')) == [
        {"renorm_momentum": 0.9, "a": {"b": 1}}]  # fmt: skip
