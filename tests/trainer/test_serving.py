"""A backbone answers what stock TensorFlow Serving asks it: by `saved_model_cli`, and by a REST body of base64 files."""

import base64
import dataclasses
import json
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2
from tiny import PATIENCE_SECONDS

from contracts import model_files
from trainer import normalization
from trainer.backbones import build_backbone
from trainer.export import PREPARED, export_backbone, load_backbone
from trainer.photographs import evaluation_views


@pytest.fixture(scope="module")
def backbone(embedding, tmp_path_factory):
    """The directory of a small untrained backbone."""
    directory = str(tmp_path_factory.mktemp("serving") / "backbone")
    architecture = {"width": 4, "stem": "small", "seed": 1}
    network = build_backbone("small", resolution=16, normalization_layer=normalization.stock, **architecture)
    export_backbone(network, {"backbone": "small", **architecture, "embedding": dataclasses.asdict(embedding)}, directory)
    return directory


@pytest.fixture(scope="module")
def files(photographs):
    """One photograph as JPEG, one as PNG and of another size."""
    first, second = photographs.canvases[:2]
    return [tf.io.encode_jpeg(first).numpy(), tf.io.encode_png(second[:, :17]).numpy()]


@pytest.fixture(scope="module")
def expected(backbone, files):
    """By the network, of the photographs as ingest makes them of these files; tests/inference/test_served_files.py holds that."""
    network, record = load_backbone(backbone)
    as_ingested = [PREPARED(file, tf.constant(256, tf.int64), "a file") for file in files]
    return network(evaluation_views(tf.stack(as_ingested), record["photograph_side"]), training=False).numpy()


def signatures(directory):
    """By name, as they stand in the SavedModel's file."""
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString(pathlib.Path(directory, "saved_model.pb").read_bytes())
    (graph,) = saved_model.meta_graphs
    return graph.signature_def


def request_of(body, signature):
    """What TensorFlow Serving makes of a REST body (its page "RESTful API", row format).

    Where a signature has one input, each element of `instances` is a value of it; an object whose only key is `b64` stands for
    the bytes that it encodes.
    """
    ((name, info),) = signature.inputs.items()
    instances = json.loads(body)["instances"]
    assert info.dtype == tf.string.as_datatype_enum and all(set(one) == {"b64"} for one in instances)
    request = predict_pb2.PredictRequest()
    values = [base64.b64decode(one["b64"], validate=True) for one in instances]
    request.inputs[name].CopyFrom(tf.make_tensor_proto(values, tf.string, [len(values)]))
    return request


def test_a_rest_body_of_base64_files_is_answered_with_their_embeddings(backbone, files, expected):
    body = json.dumps({"instances": [{"b64": base64.b64encode(file).decode()} for file in files]})
    request = request_of(body, signatures(backbone)["serving_default"])
    serving = tf.saved_model.load(backbone).signatures["serving_default"]
    outputs = serving(**{name: tf.make_ndarray(value) for name, value in request.inputs.items()})
    ((_, embeddings),) = outputs.items()  # one output: a response's `predictions` are bare lists
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)


def test_the_name_of_the_input_says_bytes_as_googles_services_ask(backbone):
    for name in ("serving_default", model_files.SIGNATURE_ENCODED):
        (input_name,) = signatures(backbone)[name].inputs
        assert input_name.endswith("_bytes")


def test_saved_model_cli_runs_it_on_files(forked, backbone, files, expected, tmp_path):
    np.save(tmp_path / "files.npy", np.array(files))  # fixed-length bytes: neither format ends in a zero byte
    ended = forked.run(
        [pathlib.Path(sys.executable).parent / "saved_model_cli", "run", "--dir", backbone, "--tag_set", "serve",
         "--signature_def", "serving_default", "--inputs", "image_bytes=files.npy", "--outdir", tmp_path],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS)  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_allclose(np.load(tmp_path / "embedding.npy"), expected, atol=1e-5)


def test_embeddings_are_never_negative(expected):
    assert expected.min() >= 0 and expected.max() > 0
