"""Turns encoded photographs into pixels: canvases for training, the evaluation view for all that measures or serves.

What pre-training learns from is decoded once into memory if it fits the budget, and streamed from its records otherwise. Photographs and
StreamedPhotographs have the same methods (the batches of an epoch; views of chosen photographs), so that the training loop need
not know which of the two it has.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from contracts import examples, memory
from trainer.feeding import gathered

# Photographs decoded at a time: enough to keep every core busy, few enough to stay small in memory.
DECODE_BATCH = 64


class Photographs(NamedTuple):
    """A data set decoded into memory, in the order of its records.

    canvases: `[count, side, side, 3]` uint8. aspects: width / height, `[count]` float32. labels: `[count]` int64, NO_LABEL
    (contracts.examples) for the unlabelled. class_names: sorted; a label is an index into them.
    """

    canvases: np.ndarray
    aspects: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    def batches(self, size: int, *, seed: int, epoch: int, first: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The full batches of one epoch in random order, from the batch number `first`: canvases and aspects, `size` of each.

        The order follows from seed and epoch; an incomplete last batch is left out.
        """
        order = np.random.default_rng([seed, epoch]).permutation(len(self.canvases))
        for start in range(first * size, len(order) - size + 1, size):
            chosen = order[start : start + size]
            yield gathered(self.canvases, chosen), self.aspects[chosen]

    def views(self, chosen: np.ndarray, resolution: int, size: int) -> Iterator[tf.Tensor]:
        """Whole photographs at the ascending positions `chosen`: `[at most size, resolution, resolution, 3]` in [0, 1]."""
        for start in range(0, len(chosen), size):
            yield views_of_canvases(self.canvases[chosen[start : start + size]], resolution)


class Listing(NamedTuple):
    """What a data set's records hold besides pixels, in their order.

    labels: `[count]` int64, NO_LABEL for the unlabelled. class_names: sorted; a label is an index into them. encoded_bytes: of all
    records together.
    """

    labels: np.ndarray
    class_names: tuple[str, ...]
    encoded_bytes: int


def read_photographs(files: Sequence[str], side: int) -> Photographs:
    """Decodes all records of `files` (gzip TFRecords of contracts.examples) to canvases of `side` pixels.

    Raises:
      ValueError: the files hold no record.
    """
    listing = list_records(files)
    count = len(listing.labels)
    canvases, aspects = np.empty((count, side, side, 3), np.uint8), np.empty(count, np.float32)
    records = record_bytes(paths_of(files)).map(lambda one: decode(one, side), num_parallel_calls=tf.data.AUTOTUNE)
    start = 0
    for part, part_aspects in records.batch(DECODE_BATCH).prefetch(2).as_numpy_iterator():
        canvases[start : start + len(part)], aspects[start : start + len(part)] = part, part_aspects
        start += len(part)
    return Photographs(canvases, aspects, listing.labels, listing.class_names)


def list_records(files: Sequence[str]) -> Listing:
    """Labels and class names of all records of `files`; no photograph is decoded.

    Raises:
      ValueError: the files hold no record.
    """
    spec = {name: feature for name, feature in examples.parsing_spec().items() if name in (examples.LABEL, examples.CLASS_NAME)}

    def look(serialized):
        parsed = tf.io.parse_example(serialized, spec)
        return parsed[examples.LABEL], parsed[examples.CLASS_NAME], tf.reduce_sum(tf.strings.length(serialized))

    batches = list(record_bytes(paths_of(files)).batch(DECODE_BATCH).map(look).as_numpy_iterator())
    if not batches:
        raise ValueError(f"no photograph in {list(files)}; ExampleGen should have written at least one")
    labels, names, sizes = zip(*batches)
    by_label = dict(zip(np.concatenate(labels).tolist(), np.concatenate(names).tolist()))
    by_label.pop(examples.NO_LABEL, None)
    return Listing(np.concatenate(labels), tuple(by_label[label].decode() for label in sorted(by_label)), int(sum(map(int, sizes))))


def paths_of(patterns: Sequence[str]) -> list[str]:
    """The files that match `patterns`, sorted by name, which is the order of the records."""
    return sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))


def record_bytes(paths: Sequence[str]) -> tf.data.Dataset:
    """The serialized examples of gzip TFRecords, file by file."""
    return tf.data.TFRecordDataset(paths, compression_type="GZIP")


def read_records(files: Sequence[str]) -> tf.data.Dataset:
    """Parsed examples of gzip TFRecords, in a fixed order: file by file, by name.

    Returns:
      A data set of dictionaries, keys as in contracts.examples.
    """
    spec = examples.parsing_spec()
    return record_bytes(paths_of(files)).map(lambda record: tf.io.parse_single_example(record, spec), num_parallel_calls=tf.data.AUTOTUNE)


def decode(serialized: tf.Tensor, side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """One record's canvas `[side, side, 3]` uint8 and its photograph's width / height."""
    image = tf.io.parse_single_example(serialized, {examples.IMAGE: examples.parsing_spec()[examples.IMAGE]})[examples.IMAGE]
    photograph = tf.io.decode_jpeg(image, channels=3)
    shape = tf.cast(tf.shape(photograph), tf.float32)
    return canvas(photograph, side), shape[1] / shape[0]


@contextlib.contextmanager
def naming_undecodable(files: Sequence[str]) -> Iterator[None]:
    """Names the photograph if one of `files` (patterns) cannot be decoded inside: TensorFlow's own error does not.

    Raises:
      ValueError: there is such a record.
    """
    try:
        yield
    except Exception as error:
        about_images = isinstance(error, tf.errors.InvalidArgumentError) or "decode" in str(error)
        if about_images and (found := first_undecodable(files)):
            raise ValueError(f"{found}. ExampleGen proves every record before it writes it: this file has changed "
                             "since. Delete it, and run again, so that ExampleGen writes it anew") from error  # fmt: skip
        raise


def first_undecodable(files: Sequence[str]) -> str:
    """Says which is the first record of `files` whose photograph cannot be decoded, and where it is; "" if all can."""
    spec = {name: examples.parsing_spec()[name] for name in (examples.IMAGE, examples.SOURCE_PATH)}
    for path in paths_of(files):
        for number, serialized in enumerate(record_bytes([path])):
            record = tf.io.parse_single_example(serialized, spec)
            try:
                tf.io.decode_jpeg(record[examples.IMAGE], channels=3)
            except tf.errors.InvalidArgumentError as error:
                name = record[examples.SOURCE_PATH].numpy().decode("utf-8", "replace")
                return f"{path}, record {number}, the photograph {name!r}, cannot be decoded: {error.message.splitlines()[0]}"
    return ""


def canvas_bytes(side: int) -> int:
    """Bytes of one canvas."""
    return side * side * 3


def canvas(image: tf.Tensor, side: int) -> tf.Tensor:
    """Scales `[height, width, 3]` uint8 to a square `[side, side, 3]` uint8, antialiased; the aspect ratio is kept elsewhere."""
    scaled = tf.image.resize(image, (side, side), antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(scaled), 0, 255), tf.uint8)


def evaluation_view(encoded: tf.Tensor, resolution: int) -> tf.Tensor:
    """A backbone's input for one photograph outside training: the whole photograph, scaled to a square, nothing random.

    Args:
      encoded: scalar string, a JPEG, PNG, BMP or GIF file (of an animation, the first frame).
      resolution: side in pixels.

    Returns:
      `[resolution, resolution, 3]` float32 in [0, 1].
    """
    return evaluation_views_at(encoded, (resolution,))[resolution]


def evaluation_views_at(encoded: tf.Tensor, resolutions: Sequence[int]) -> dict[int, tf.Tensor]:
    """evaluation_view of one file by resolution, decoded once."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    scaled = {side: tf.image.resize(image, (side, side), antialias=True) for side in resolutions}
    return {side: tf.clip_by_value(one / 255.0, 0.0, 1.0) for side, one in scaled.items()}


def evaluation_views(encoded: tf.Tensor, resolution: int) -> tf.Tensor:
    """evaluation_view of `[batch]` files: `[batch, resolution, resolution, 3]` float32 in [0, 1]."""
    view = tf.TensorSpec([resolution, resolution, 3], tf.float32)
    return tf.map_fn(lambda one: evaluation_view(one, resolution), encoded, fn_output_signature=view)


def views_of_canvases(canvases: np.ndarray, resolution: int) -> tf.Tensor:
    """Whole canvases `[count, side, side, 3]` uint8 as views `[count, resolution, resolution, 3]` float32 in [0, 1]."""
    return tf.image.resize(canvases, (resolution, resolution), antialias=True) / 255.0


log = logging.getLogger(__name__)

# Files that are read in turns, record by record. ExampleGen sorts records by content hash, so that each file is a random sample;
# a batch has records of any of these files and from any place in the shuffle buffer.
INTERLEAVED_FILES = 16
# Most encoded records in the shuffle buffer: many times a batch; filling it delays the first batch of each epoch.
SHUFFLE_RECORDS = 8192


@dataclasses.dataclass(frozen=True)
class StreamedPhotographs:
    """A data set that stays in its files and is decoded on demand.

    Attributes:
      paths: gzip TFRecords, sorted by name.
      side: pixels of a canvas.
      labels: `[count]` int64, in the order of the records; NO_LABEL for the unlabelled.
      class_names: sorted; a label is an index into them.
      shuffle_records: encoded records in the shuffle buffer.
    """

    paths: Sequence[str]
    side: int
    labels: np.ndarray
    class_names: tuple[str, ...]
    shuffle_records: int

    def batches(self, size: int, *, seed: int, epoch: int, first: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As Photographs.batches, in another random order: the files in a new order, read in turns, through a shuffle buffer."""
        random = np.random.default_rng([seed, epoch])
        files = tf.data.Dataset.from_tensor_slices(random.permutation(self.paths))
        records = files.interleave(record_bytes, cycle_length=INTERLEAVED_FILES, num_parallel_calls=tf.data.AUTOTUNE)
        records = records.shuffle(self.shuffle_records, seed=int(random.integers(2**31)), reshuffle_each_iteration=False)
        # Records that a resumed run has used already are skipped before decoding.
        return self._decoded(records.skip(first * size)).batch(size, drop_remainder=True).prefetch(2).as_numpy_iterator()

    def views(self, chosen: np.ndarray, resolution: int, size: int) -> Iterator[tf.Tensor]:
        """As Photographs.views."""
        wanted = np.zeros(len(self.labels), bool)
        wanted[chosen] = True
        records = tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(wanted), record_bytes(self.paths))
        records = records.filter(lambda is_wanted, _: is_wanted).map(lambda _, record: record)
        for canvases, _ in self._decoded(records).batch(size).prefetch(1):
            yield views_of_canvases(canvases, resolution)

    def _decoded(self, records: tf.data.Dataset) -> tf.data.Dataset:
        return records.map(lambda record: decode(record, self.side), num_parallel_calls=tf.data.AUTOTUNE)


TrainSplit = Photographs | StreamedPhotographs


def open_train_split(files: Sequence[str], side: int, memory_megabytes: float) -> TrainSplit:
    """The photographs of `files`, in memory if their canvases of `side` pixels take at most `memory_megabytes` (10^6 bytes), and at
    most the share of what this process may use that `contracts.memory` gives to one thing.

    Raises:
      ValueError: the files hold no record.
    """
    listing = list_records(files)
    count, budget = len(listing.labels), memory.budget(memory_megabytes * 1e6)
    if budget < memory_megabytes * 1e6:
        log.info("pretrain.memory_megabytes is %g, but this process may use %.0f MB: it counts as %.0f", memory_megabytes,
                 memory.limit() / 1e6, budget / 1e6)  # fmt: skip
    needed = count * canvas_bytes(side)
    if needed <= budget:
        log.info("The photographs are decoded once: %d canvases of %d pixels take %.1f MB of pretrain.memory_megabytes %g",
                 count, side, needed / 1e6, memory_megabytes)  # fmt: skip
        return read_photographs(files, side)
    # Half the budget, as the decoded batches and the readers need some too.
    fitting = int(budget / 2 / (listing.encoded_bytes / count))
    shuffle_records = max(1, min(count, SHUFFLE_RECORDS, fitting))
    paths = paths_of(files)
    log.info("The photographs are streamed and decoded in every epoch: %d canvases of %d pixels would take %.1f MB, "
             "pretrain.memory_megabytes is %g; %d files in turns, shuffled over %d records",
             count, side, needed / 1e6, memory_megabytes, min(len(paths), INTERLEAVED_FILES), shuffle_records)  # fmt: skip
    return StreamedPhotographs(paths, side, listing.labels, listing.class_names, shuffle_records)
