"""Both trainers' run_fn on small TFRecords, and what they leave."""

import hashlib
import json
import pathlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
import trainer_arguments
from trainer_arguments import CODE_VERSION

from contracts import memory, model_files, source_code
from contracts.content_hash import content_hash
from pipeline_config import LinearEval
from trainer import linear_eval, pretrain
from trainer.export import load_backbone, untrained_network
from trainer.features import embedder
from trainer.photographs import evaluation_views


def bytes_hash(network):
    return hashlib.sha256(b"".join(weight.tobytes() for weight in network.get_weights())).hexdigest()


def values(network):
    """Every value of a network, without its order."""
    return sorted(weight.tobytes() for weight in network.get_weights())


def values_inside(saved_model):
    """Every value that a SavedModel carries."""
    reader = tf.train.load_checkpoint(saved_model + "/variables/variables")
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return sorted(reader.get_tensor(name).tobytes() for name in names)


@pytest.fixture(scope="module")
def trained(record_files, settings, embedding, tmp_path_factory):
    """A tiny pipeline's two trainers, run once each."""
    tmp_path = tmp_path_factory.mktemp("trained")
    first = trainer_arguments.of_pretrain(tmp_path / "first", [record_files["train"]], settings, embedding)
    pretrain.run_fn(first)
    second = trainer_arguments.of_linear_eval(
        tmp_path / "second", first.train_files, [record_files["eval"]], first.serving_model_dir, LinearEval(folds=2)
    )
    before = content_hash(first.serving_model_dir)
    linear_eval.run_fn(second)
    return types.SimpleNamespace(first=first, second=second, hash_before=before)


def test_the_blocks_of_a_training_step_are_kept_for_the_next(record_files, settings, embedding, tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(memory, "give_back", lambda blocks=memory.GIVEN_BACK: sizes.append(blocks))

    def training(*arguments, **named):
        sizes.append("training")
        raise ValueError("far enough")

    monkeypatch.setattr(pretrain, "pretrain", training)
    with pytest.raises(ValueError, match="far enough"):
        pretrain.run_fn(trainer_arguments.of_pretrain(tmp_path, [record_files["train"]], settings, embedding))
    assert sizes == [memory.KEPT, "training", memory.GIVEN_BACK]


def read_json(*parts):
    return json.loads(pathlib.Path(*parts).read_text())


FRESH_PROCESS = """
import sys, numpy as np, tensorflow as tf, keras
directory, image, out = sys.argv[1:]
saved = tf.saved_model.load(directory)
network = keras.models.load_model(directory + "/backbone.keras")
assert not any(name.split(".")[0] in ("trainer", "pipeline_config", "contracts") for name in sys.modules)
encoded = open(image, "rb").read()
side = network.input_shape[1]
pixels = tf.image.resize(tf.io.decode_image(encoded, 3, expand_animations=False), (side, side), antialias=True)[None] / 255.0
np.savez(out,
  encoded=saved.signatures["encoded_images"](tf.constant([encoded]))["embedding"],
  served=saved.signatures["serving_default"](tf.constant([encoded]))["embedding"],
  pixels=saved.signatures["pixels"](pixels)["embedding"],
  native=network(pixels, training=False))
"""


@pytest.mark.slow
def test_all_forms_of_a_backbone_agree_in_a_process_that_lacks_the_project(trained, forked, tmp_path):
    # A JPEG, upright and small: one that the graph does not have to change before it decodes it.
    image = tmp_path / "image.jpg"
    tf.io.write_file(str(image), tf.io.encode_jpeg(np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)))
    ended = forked.run(["-c", FRESH_PROCESS, trained.first.serving_model_dir, image, tmp_path / "out.npz"], cwd=tmp_path,
                       capture_output=True, text=True)  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    out = np.load(tmp_path / "out.npz")
    for name in ("served", "pixels", "native"):
        np.testing.assert_allclose(out[name], out["encoded"], atol=1e-5)
    assert out["encoded"].shape == (1, (8 + 16) * 3) and np.abs(out["encoded"]).max() > 0


def test_the_exported_backbone_is_the_trained_one(trained, settings):
    network, record = load_backbone(trained.first.serving_model_dir)
    assert record["embedding_size"] == (8 + 16) * 3 and record["photograph_side"] == 24
    assert record["data_fingerprint"] == "d" and record["code_version"] == source_code.version(json.loads(CODE_VERSION))
    assert bytes_hash(network) != bytes_hash(untrained_network(record))


def test_not_one_value_of_the_backbone_changes_in_linear_evaluation(trained):
    assert content_hash(trained.first.serving_model_dir) == trained.hash_before
    network, _ = load_backbone(trained.first.serving_model_dir)
    assert values_inside(trained.second.serving_model_dir) == values(network)


def test_features_come_from_inference_mode(trained, record_files):
    """The embedding of a photograph does not depend on its neighbours in the batch, as batch statistics would."""
    network, record = load_backbone(trained.first.serving_model_dir)
    views, _, _ = linear_eval.read_views([record_files["eval"]], record["photograph_side"])
    batch = next(iter(views))
    together = embedder((network,))(views)[0]
    np.testing.assert_allclose(together[:1], network(batch[:1], training=False), atol=1e-5)


def test_the_probe_names_the_backbone_inside_it(trained):
    record = read_json(trained.second.serving_model_dir, model_files.PROBE_RECORD)
    assert record["backbone_uri"] == str(pathlib.Path(trained.first.serving_model_dir).parent)
    assert record["backbone_content_hash"] == content_hash(trained.first.serving_model_dir)
    assert record["classes"] == ["across", "down"]


def test_the_probe_answers_examples_and_images_alike(trained, record_files):
    probe = tf.saved_model.load(trained.second.serving_model_dir)
    records = list(tf.data.TFRecordDataset(record_files["eval"], "GZIP").as_numpy_iterator())
    images = [r["image"] for r in linear_eval.read_records([record_files["eval"]]).as_numpy_iterator()]
    by_example = probe.signatures["serving_default"](examples=tf.constant(records))["probabilities"]
    by_image = probe.signatures["encoded_images"](image_bytes=tf.constant(images))["probabilities"]
    np.testing.assert_allclose(by_example, by_image, atol=1e-6)
    np.testing.assert_allclose(np.sum(by_example, axis=1), 1, atol=1e-5)


def test_the_reported_accuracy_is_that_of_the_exported_probe(trained, record_files, photographs):
    probe = tf.saved_model.load(trained.second.serving_model_dir)
    records = list(tf.data.TFRecordDataset(record_files["eval"], "GZIP").as_numpy_iterator())
    predicted = np.argmax(probe.signatures["serving_default"](examples=tf.constant(records))["probabilities"], axis=1)
    report = read_json(trained.second.model_run_dir, model_files.LINEAR_EVAL_REPORT)
    assert report["top1"] == pytest.approx(np.mean(predicted == photographs.labels[20:]))
    for name in ("knn_top1", "random_init_top1", "top1_at_10_percent_labels"):
        assert 0 <= report[name] <= 1


def test_the_untrained_probe_stands_on_the_untrained_network(trained, record_files):
    directory = pathlib.Path(trained.second.model_run_dir, model_files.UNTRAINED_PROBE)
    _, record = load_backbone(trained.first.serving_model_dir)
    assert values_inside(str(directory)) == values(untrained_network(record))


def test_a_tampered_keras_file_cannot_run_code(tmp_path):
    """Keras' safe mode refuses a network with a lambda in it."""
    inputs = keras.Input((16, 16, 3))
    network = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2, output_shape=(16, 16, 3))(inputs))
    network.save(tmp_path / model_files.BACKBONE_KERAS)
    with pytest.raises(ValueError, match="[Ll]ambda"):
        load_backbone(str(tmp_path))


def test_evaluation_views_are_batched_like_single_ones():
    image = tf.io.encode_png(np.zeros((9, 5, 3), np.uint8))
    assert evaluation_views(tf.stack([image, image]), 16).shape == (2, 16, 16, 3)
