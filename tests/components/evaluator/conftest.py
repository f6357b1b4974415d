"""Stand-ins for what LinearEval and ExampleGen leave: probes that classify by mean colour, and splits of plain colours."""

import dataclasses
import hashlib
import io
import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from contracts import examples as features

CLASSES = ("daisy", "rose", "tulip")


class MeanColourProbe(tf.Module):
    """softmax(mean colour x weights): the interface of LinearEval's probe, and figures that NumPy can work out."""

    def __init__(self, weights):
        super().__init__()
        self.weights = tf.Variable(weights, dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_default(self, examples):
        images = tf.io.parse_example(examples, features.parsing_spec())[features.IMAGE]
        colours = tf.map_fn(self._mean_colour, images, fn_output_signature=tf.TensorSpec([3], tf.float32))
        return {"probabilities": tf.nn.softmax(colours @ self.weights)}

    @staticmethod
    def _mean_colour(encoded):
        pixels = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
        return tf.reduce_mean(tf.cast(pixels, tf.float32), [0, 1]) / 255


@pytest.fixture
def save_probe(tmp_path):
    """save_probe(name, weights, classes=…, **record) writes a probe directory and returns its path."""

    def save(directory, weights, classes=CLASSES, **record):
        directory = tmp_path / directory
        module = MeanColourProbe(weights)
        tf.saved_model.save(module, str(directory), signatures={"serving_default": module.serving_default})
        (directory / "probe.json").write_text(json.dumps({"schema_version": 1, "classes": list(classes), **record}))
        return str(directory)

    return save


@dataclasses.dataclass
class EvalSplit:
    """Photographs as (mean colour in [0, 1], label), and the files they are in."""

    colours: np.ndarray
    labels: np.ndarray
    files: list[str]


@pytest.fixture
def write_split(tmp_path):
    """write_split(folder, colours, labels, shards=…) writes gzip TFRecords of `contracts.examples`."""

    def write(folder, colours, labels, shards=1, classes=CLASSES):
        directory = pathlib.Path(tmp_path / folder)
        directory.mkdir(parents=True)
        files, decoded = [], np.zeros((len(labels), 3))
        for shard in range(shards):
            path = directory / f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz"
            files.append(str(path))
            with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
                for index in range(shard, len(labels), shards):
                    encoded = _jpeg(colours[index])
                    decoded[index] = np.asarray(Image.open(io.BytesIO(encoded)), np.float64).mean((0, 1)) / 255
                    writer.write(_example(encoded, int(labels[index]), classes[labels[index]]))
        return EvalSplit(decoded, np.asarray(labels), files)

    return write


def _jpeg(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), tuple(int(c) for c in colour)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _example(image, label, class_name):
    def text(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    return tf.train.Example(features=tf.train.Features(feature={
        features.IMAGE: text(image),
        features.LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        features.CLASS_NAME: text(class_name.encode()),
        features.CONTENT_HASH: text(hashlib.sha256(image).hexdigest().encode()),
        features.SOURCE_PATH: text(b"photograph.jpg"),
    })).SerializeToString()  # fmt: skip


@dataclasses.dataclass
class Expected:
    """The gate's figures for a MeanColourProbe, by NumPy alone."""

    accuracy: float
    macro_f1: float
    cross_entropy: float
    confusion_matrix: list
    correct: np.ndarray  # of each photograph, bool


@pytest.fixture
def expect():
    """expect(split, weights) works out the figures from colours and weights, without TensorFlow or TFMA."""

    def by_hand(split, weights):
        logits = split.colours @ np.asarray(weights, np.float64)
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        probabilities = shifted / shifted.sum(1, keepdims=True)
        predicted = probabilities.argmax(1)
        size = probabilities.shape[1]
        matrix = [[int(np.sum((split.labels == t) & (predicted == p))) for p in range(size)] for t in range(size)]
        scores = []
        for k in range(size):
            hits, called, real = matrix[k][k], sum(row[k] for row in matrix), sum(matrix[k])
            precision, recall = hits / called if called else 0, hits / real if real else 0
            if called + real:
                scores.append(2 * precision * recall / (precision + recall) if hits else 0)
        return Expected(
            accuracy=float(np.mean(predicted == split.labels)),
            macro_f1=math.fsum(scores) / len(scores),
            cross_entropy=-math.fsum(math.log(probabilities[i, t]) for i, t in enumerate(split.labels)) / len(split.labels),
            confusion_matrix=matrix,
            correct=predicted == split.labels,
        )

    return by_hand
