"""The train split as pre-training sees it: decoded once into memory where it fits the budget, streamed from its records otherwise.

`photographs.Photographs` and StreamedPhotographs answer the same two questions (the batches of an epoch; views of chosen
photographs), so that the training loop does not know which of the two it has.
"""

import dataclasses
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from trainer import photographs
from trainer.photographs import Photographs

log = logging.getLogger(__name__)

# Files read in turns, record by record. ExampleGen sorts records by content hash, so that each file is a random sample; what
# shares a batch then comes from any of these files and any place in the shuffle buffer.
INTERLEAVED_FILES = 16
# Encoded records at most that wait to be drawn: many times a batch; filling the buffer delays the first batch of each epoch.
SHUFFLE_RECORDS = 8192


@dataclasses.dataclass(frozen=True)
class StreamedPhotographs:
    """A data set that stays in its files and is decoded as it is needed.

    Attributes:
      paths: gzip TFRecords, sorted by name.
      side: pixels of a canvas.
      labels: `[count]` int64, in the order of the records.
      class_names: sorted as labels count them.
      shuffle_records: encoded records that wait to be drawn.
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
        records = files.interleave(photographs.record_bytes, cycle_length=INTERLEAVED_FILES, num_parallel_calls=tf.data.AUTOTUNE)
        records = records.shuffle(self.shuffle_records, seed=int(random.integers(2**31)), reshuffle_each_iteration=False)
        # What a resumed run has behind it is passed over before it would be decoded.
        return self._decoded(records.skip(first * size)).batch(size, drop_remainder=True).prefetch(2).as_numpy_iterator()

    def views(self, chosen: np.ndarray, resolution: int, size: int) -> Iterator[tf.Tensor]:
        """As Photographs.views."""
        wanted = np.zeros(len(self.labels), bool)
        wanted[chosen] = True
        records = tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(wanted), photographs.record_bytes(self.paths))
        records = records.filter(lambda is_wanted, _: is_wanted).map(lambda _, record: record)
        for canvases, _ in self._decoded(records).batch(size).prefetch(1):
            yield photographs.views_of_canvases(canvases, resolution)

    def _decoded(self, records: tf.data.Dataset) -> tf.data.Dataset:
        return records.map(lambda record: photographs.decode(record, self.side), num_parallel_calls=tf.data.AUTOTUNE)


TrainSplit = Photographs | StreamedPhotographs


def open_train_split(files: Sequence[str], side: int, memory_megabytes: float) -> TrainSplit:
    """The photographs of `files`, in memory where their canvases of `side` pixels take at most `memory_megabytes` (10^6 bytes).

    Raises:
      ValueError: the files hold no record.
    """
    listing = photographs.list_records(files)
    count, budget = len(listing.labels), memory_megabytes * 1e6
    needed = count * photographs.canvas_bytes(side)
    if needed <= budget:
        log.info("The train split is decoded once: %d canvases of %d pixels take %.1f MB of pretrain.memory_megabytes %g",
                 count, side, needed / 1e6, memory_megabytes)  # fmt: skip
        return photographs.read_photographs(files, side)
    # Half the budget, as the decoded batches and the readers need some too.
    fitting = int(budget / 2 / (listing.encoded_bytes / count))
    shuffle_records = max(1, min(count, SHUFFLE_RECORDS, fitting))
    paths = photographs.paths_of(files)
    log.info("The train split is streamed and decoded in every epoch: %d canvases of %d pixels would take %.1f MB, "
             "pretrain.memory_megabytes is %g; %d files in turns, shuffled over %d records",
             count, side, needed / 1e6, memory_megabytes, min(len(paths), INTERLEAVED_FILES), shuffle_records)  # fmt: skip
    return StreamedPhotographs(paths, side, listing.labels, listing.class_names, shuffle_records)
