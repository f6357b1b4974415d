"""Writes synthetic flowers as ExampleGen's records, for benchmarks that need data of a certain size."""

import pathlib

import numpy as np
import tensorflow as tf

from components.synthetic_flowers import scene
from components.synthetic_flowers.species import NAMES
from contracts import examples

SHARD_EXAMPLES = 1000
SEED = 7


def draw(count: int, side: int) -> list[tuple[bytes, int]]:
    """JPEG and label of `count` flowers of `side` pixels."""
    return [(scene.draw_jpeg(SEED, index, side), scene.label(index)) for index in range(count)]


def write(drawn: list[tuple[bytes, int]], chosen: np.ndarray, folder: pathlib.Path) -> None:
    """Writes a record for each of `chosen` (positions in `drawn`), in that order, into files of SHARD_EXAMPLES or fewer."""
    folder.mkdir()
    count, shards = len(chosen), -(-len(chosen) // SHARD_EXAMPLES)
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=0)
    for shard in range(shards):
        with tf.io.TFRecordWriter(str(folder / f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz"), options) as writer:
            for number in range(count * shard // shards, count * (shard + 1) // shards):
                jpeg, label = drawn[chosen[number]]
                texts = {examples.IMAGE: jpeg, examples.CLASS_NAME: NAMES[label].encode(),
                         examples.CONTENT_HASH: b"%064d" % number, examples.SOURCE_PATH: b"%d.jpg" % number}  # fmt: skip
                feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text])) for name, text in texts.items()}
                feature[examples.LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
