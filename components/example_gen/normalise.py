"""Reads what elements of a source describe, and writes record and description of each image to scratch files, in parts."""

import collections
import contextlib
import posixpath
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import apache_beam as beam
import tensorflow as tf
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from components.example_gen import descriptions, photograph
from components.example_gen.data_set import RecordFile
from components.example_gen.descriptions import Description
from components.example_gen.folder import Listed
from components.example_gen.photograph import Encoded
from contracts import examples, memory
from contracts.cores import cores

# Files a thread that are read ahead, so that it need not wait for one that takes long.
AHEAD = 4
# Pixels that are decoded at once, for each core, and at least data.max_pixels: a photograph of 24 megapixels, as most cameras take,
# on every core, if memory has room. Larger ones are decoded fewer at a time. A pixel takes 3 bytes, and up to 18 while a JPEG 2000 is
# decoded.
PIXELS_A_CORE = 24_000_000
MOST_BYTES_A_PIXEL = 18


class Normalise(beam.DoFn):
    """Reads what elements of a source describe, and writes record and description of each image to scratch files: a part for each bundle.

    Files are decoded by a thread on each core of its share (Pillow and TensorFlow let others run meanwhile), and leave in the
    order in which they came, so that threads change nothing but the time.

    Attributes:
      processes: processes of this machine that do the same at once (processes.py), and share its cores and memory.
      alone: held while a photograph is decoded that is larger than a process's share of the memory.
    """

    def __init__(self, scratch: str, classes: tuple[str, ...], max_side: int, max_pixels: int, min_side: int):
        self.processes = 1
        self.alone: AbstractContextManager = contextlib.nullcontext()
        self.scratch = scratch
        self.labels = {name: label for label, name in enumerate(classes)} | {"": examples.NO_LABEL}
        self.max_side = max_side
        self.max_pixels = max_pixels
        self.min_side = min_side

    def setup(self):
        self.workers = max(1, cores() // self.processes)
        self.threads = ThreadPoolExecutor(self.workers)
        wanted = PIXELS_A_CORE * cores() * MOST_BYTES_A_PIXEL
        self.most_pixels = int(memory.budget(wanted) / MOST_BYTES_A_PIXEL / self.processes)

    def teardown(self):
        self.threads.shutdown(cancel_futures=True)

    def start_bundle(self):
        self.waiting = collections.deque()  # the pixels and the work of a thread, for each file
        self.pixels = 0
        self.part = None

    def process(self, element: Listed | RecordFile) -> None:
        for encoded in element.images(photograph.max_file_bytes(self.max_pixels)):
            # Bytes count as the fewest pixels they may be of: what is no image is held too.
            pixels = max(photograph.pixels(encoded.data), len(encoded.data) // 4)
            while self.waiting and (len(self.waiting) >= AHEAD * self.workers or self.pixels + pixels > self.most_pixels):
                self._write_next()
            self.waiting.append((pixels, self.threads.submit(self._prepare, encoded, pixels > self.most_pixels)))
            self.pixels += pixels

    def finish_bundle(self) -> Iterator[WindowedValue]:
        while self.waiting:
            self._write_next()
        if self.part is not None:
            yield WindowedValue(self.part.close(), MIN_TIMESTAMP, (GlobalWindow(),))

    def _prepare(self, encoded: Encoded, is_large: bool = False) -> tuple[Description, bytes]:
        """What a file is, and its record, b"" if it cannot be used; on a thread."""
        with self.alone if is_large else contextlib.nullcontext():
            description, jpeg = describe(encoded, self.max_side, self.max_pixels, self.min_side)
        if description.reason:
            return description, b""
        return description, _record(jpeg, self.labels[encoded.class_name], encoded, description.content_hash)

    def _write_next(self) -> None:
        """Writes what the file is that has waited longest, and its record."""
        pixels, work = self.waiting.popleft()
        self.pixels -= pixels
        description, record = work.result()
        self.part = self.part or descriptions.Writer(posixpath.join(self.scratch, uuid.uuid4().hex))
        self.part.add(description, record)


def describe(encoded: Encoded, max_side: int, max_pixels: int, min_side: int) -> tuple[Description, bytes]:
    """What a file is, with a reason if it cannot be used, and the JPEG that is kept of it, b"" if none is."""
    try:
        if encoded.reason:
            raise photograph.Unusable(encoded.reason, encoded.detail)
        prepared = photograph.prepare(encoded.data, max_side, max_pixels, min_side)
    except photograph.Unusable as unusable:
        return Description(encoded.path, encoded.class_name, encoded.split, unusable.reason, unusable.detail), b""
    return Description(
        encoded.path, encoded.class_name, encoded.split, content_hash=encoded.content_hash, width=prepared.width,
        height=prepared.height, thumbnail=prepared.descriptor, profile=prepared.profile), prepared.jpeg  # fmt: skip


def _record(jpeg: bytes, label: int, encoded: Encoded, content_hash: str) -> bytes:
    values = {
        examples.IMAGE: jpeg,
        examples.CLASS_NAME: encoded.class_name.encode(),
        examples.CONTENT_HASH: content_hash.encode(),
        examples.SOURCE_PATH: encoded.path.encode(),
    }
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for name, value in values.items()}
    features[examples.LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
