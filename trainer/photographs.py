"""From encoded photographs to pixels: canvases for training, the evaluation view for everything that measures or serves."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from contracts import examples

# Photographs decoded at a time: enough to keep every core busy, little enough to stay small in memory.
DECODE_BATCH = 64


class Photographs(NamedTuple):
    """A data set decoded into memory, in the order of its records.

    canvases: `[count, side, side, 3]` uint8. aspects: width / height, `[count]` float32. labels: `[count]` int64.
    class_names: sorted as labels count them.
    """

    canvases: np.ndarray
    aspects: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]


def read_photographs(files: Sequence[str], side: int) -> Photographs:
    """Decodes all records of `files` (gzip TFRecords of contracts.examples) to canvases of `side` pixels.

    Raises:
      ValueError: the files hold no record.
    """

    def decode(record):
        image = tf.io.decode_jpeg(record[examples.IMAGE], channels=3)
        shape = tf.cast(tf.shape(image), tf.float32)
        return canvas(image, side), shape[1] / shape[0], record[examples.LABEL], record[examples.CLASS_NAME]

    records = read_records(files).map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(DECODE_BATCH).prefetch(2)
    batches = list(records.as_numpy_iterator())
    if not batches:
        raise ValueError(f"no photograph in {list(files)}; ExampleGen should have written at least one")
    canvases, aspects, labels, names = (np.concatenate(parts) for parts in zip(*batches))
    by_label = dict(zip(labels.tolist(), names.tolist()))
    class_names = tuple(by_label[label].decode() for label in sorted(by_label))
    return Photographs(canvases, aspects.astype(np.float32), labels, class_names)


def read_records(files: Sequence[str]) -> tf.data.Dataset:
    """Parsed examples of gzip TFRecords, in a fixed order: file by file, by name.

    Returns:
      A data set of dictionaries, keys as in contracts.examples.
    """
    paths = sorted(path for pattern in files for path in tf.io.gfile.glob(pattern))
    spec = examples.parsing_spec()
    records = tf.data.TFRecordDataset(paths, compression_type="GZIP")
    return records.map(lambda record: tf.io.parse_single_example(record, spec), num_parallel_calls=tf.data.AUTOTUNE)


def canvas(image: tf.Tensor, side: int) -> tf.Tensor:
    """Scales `[height, width, 3]` uint8 to a square `[side, side, 3]` uint8, antialiased; the aspect ratio is kept elsewhere."""
    scaled = tf.image.resize(image, (side, side), antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(scaled), 0, 255), tf.uint8)


def evaluation_view(encoded: tf.Tensor, resolution: int) -> tf.Tensor:
    """What a backbone sees of one photograph outside training: all of it, scaled to a square, nothing random.

    Args:
      encoded: scalar string, a JPEG, PNG, BMP or GIF file (of an animation, the first frame).
      resolution: side in pixels.

    Returns:
      `[resolution, resolution, 3]` float32 in [0, 1].
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    scaled = tf.image.resize(image, (resolution, resolution), antialias=True)
    return tf.clip_by_value(scaled / 255.0, 0.0, 1.0)


def evaluation_views(encoded: tf.Tensor, resolution: int) -> tf.Tensor:
    """evaluation_view of `[batch]` files: `[batch, resolution, resolution, 3]` float32 in [0, 1]."""
    view = tf.TensorSpec([resolution, resolution, 3], tf.float32)
    return tf.map_fn(lambda one: evaluation_view(one, resolution), encoded, fn_output_signature=view)


def views_of_canvases(canvases: np.ndarray, resolution: int) -> tf.Tensor:
    """Whole canvases `[count, side, side, 3]` uint8 as views `[count, resolution, resolution, 3]` float32 in [0, 1]."""
    return tf.image.resize(canvases, (resolution, resolution), antialias=True) / 255.0
