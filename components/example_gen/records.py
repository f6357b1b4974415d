"""The Beam pipeline of ExampleGen, one path for every source: read and normalise, divide, write TFRecords and the report.

Image bytes are in no collection of Beam's, which a runner may keep or send: a worker is given the description of a file, reads and
normalises it, writes the record to a scratch file and passes on another description (path, hash, thumbnail, where the record is:
about a kilobyte). Descriptions are gathered, divided and sent, shard by shard, to workers that copy the records into the output
files. So image bytes need constant memory for any amount of data.
"""

import collections
import posixpath
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue
from tfx.dsl.io import fileio

import pipeline_config
from components.example_gen import division, near_duplicates, photograph, report
from components.example_gen.data_set import DataSet, RecordFile
from components.example_gen.folder import Folder
from components.example_gen.listing import Candidate
from components.example_gen.photograph import Encoded
from contracts import examples, memory
from contracts.cores import cores

# One reader reads a shard: small enough to spread over workers, large enough to read in one go.
SHARD_EXAMPLES = 1000
SHARD_BYTES = 64 << 20
# Files a thread that are read ahead, so that it need not wait for one that takes long.
AHEAD = 4
# Pixels that are decoded at once, for each core, and at least data.max_pixels: a photograph of 24 megapixels, as most cameras take,
# on every core, if memory has room. Larger ones are decoded fewer at a time. A pixel takes 3 bytes, and up to 18 while a JPEG 2000 is
# decoded.
PIXELS_A_CORE = 24_000_000
MOST_BYTES_A_PIXEL = 18


@dataclass(frozen=True)
class Description:
    """One file of the source: quarantined for `reason`, or usable, with its record at `offset` of the scratch file `part`."""

    path: str
    class_name: str
    split: str
    reason: str = ""
    detail: str = ""
    content_hash: str = ""
    width: int = 0
    height: int = 0
    thumbnail: bytes = b""
    profile: str = ""
    part: str = ""
    offset: int = 0
    length: int = 0


@dataclass(frozen=True)
class Shard:
    """One output file and where its records are, in order: tuples of part, offset, length."""

    path: str
    records: tuple[tuple[str, int, int], ...]


def ingest(
    pipeline: beam.Pipeline, source: Folder | DataSet, max_side: int, max_pixels: int, eval_fraction: float, min_eval: int,
    fingerprint: str, examples_uri: str, report_path: str, min_side: int = pipeline_config.Data.min_side,
    near_duplicate_distance: float = pipeline_config.Data.near_duplicate_distance, group_by: str = "",
) -> None:  # fmt: skip
    """Runs `pipeline` to its end: writes a folder `Split-SPLIT/` for each split below `examples_uri`, and the report.

    Files that cannot be used never stop it; the report lists them. Records are sorted by content hash, so that classes are
    mixed and the same source gives the same files.
    """
    scratch = posixpath.join(examples_uri, f"scratch-{uuid.uuid4().hex}")
    fileio.makedirs(scratch)
    for split in examples.SPLITS:
        fileio.makedirs(posixpath.join(examples_uri, f"Split-{split}"))
    try:
        with pipeline as p:
            divided = (
                p
                | "Elements" >> beam.Create(source.elements())
                | "Normalise" >> beam.ParDo(Normalise(scratch, source.classes, max_side, max_pixels, min_side))
                | "Gather" >> beam.combiners.ToList()
                | "Divide" >> beam.Map(divide, source.given_splits, eval_fraction, min_eval, near_duplicate_distance, group_by)
            )
            divided | "Report" >> beam.Map(
                report.write, path=report_path, source=source.name, kind=source.kind, fingerprint=fingerprint,
                classes=source.classes, split_rule=source.split_rule, unused=source.unused, licence=source.licence,
                citation=source.citation)  # fmt: skip
            shards = divided | "Plan" >> beam.FlatMap(plan_shards, examples_uri) | beam.Reshuffle()
            shards | "Write" >> beam.Map(write_shard, scratch)
    finally:
        fileio.rmtree(scratch)


class Normalise(beam.DoFn):
    """Reads what elements of a source describe, and describes each image; records go to scratch files, one for each bundle of work.

    Files are decoded by as many threads as there are cores (Pillow and TensorFlow let others run meanwhile), and leave in the
    order in which they came, so that threads change nothing but the time.
    """

    def __init__(self, scratch: str, classes: tuple[str, ...], max_side: int, max_pixels: int, min_side: int):
        self.scratch = scratch
        self.labels = {name: label for label, name in enumerate(classes)} | {"": examples.NO_LABEL}
        self.max_side = max_side
        self.max_pixels = max_pixels
        self.min_side = min_side

    def setup(self):
        self.workers = cores()
        self.threads = ThreadPoolExecutor(self.workers)
        wanted = PIXELS_A_CORE * self.workers * MOST_BYTES_A_PIXEL
        self.most_pixels = max(self.max_pixels, int(memory.budget(wanted) / MOST_BYTES_A_PIXEL))

    def teardown(self):
        self.threads.shutdown(cancel_futures=True)

    def start_bundle(self):
        self.waiting = collections.deque()  # the pixels and the work of a thread, for each file
        self.pixels = 0
        self.part = posixpath.join(self.scratch, uuid.uuid4().hex)
        self.file = None
        self.offset = 0

    def process(self, element: Candidate | RecordFile) -> Iterator[Description]:
        for encoded in element.images(photograph.max_file_bytes(self.max_pixels)):
            # Bytes count as the fewest pixels they may be of: what is no image is held too.
            pixels = max(photograph.pixels(encoded.data), len(encoded.data) // 4)
            while self.waiting and (len(self.waiting) >= AHEAD * self.workers or self.pixels + pixels > self.most_pixels):
                yield self._next()
            self.waiting.append((pixels, self.threads.submit(self._prepare, encoded)))
            self.pixels += pixels

    def finish_bundle(self) -> Iterator[WindowedValue]:
        while self.waiting:
            yield WindowedValue(self._next(), MIN_TIMESTAMP, (GlobalWindow(),))
        if self.file is not None:
            self.file.close()

    def _prepare(self, encoded: Encoded) -> tuple[Description, bytes]:
        """What a file is, and its record, b"" if it cannot be used; on a thread."""
        description, jpeg = describe(encoded, self.max_side, self.max_pixels, self.min_side)
        if description.reason:
            return description, b""
        return description, _record(jpeg, self.labels[encoded.class_name], encoded, description.content_hash)

    def _next(self) -> Description:
        """The description of the file that has waited longest, whose record is written."""
        pixels, work = self.waiting.popleft()
        self.pixels -= pixels
        description, record = work.result()
        if description.reason:
            return description
        if self.file is None:
            self.file = fileio.open(self.part, "wb")
        self.file.write(record)
        offset, self.offset = self.offset, self.offset + len(record)
        return replace(description, part=self.part, offset=offset, length=len(record))


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


def divide(
    descriptions: list[Description], given_splits: bool, eval_fraction: float, min_eval: int,
    distance: float = pipeline_config.Data.near_duplicate_distance, group_by: str = "",
) -> report.Divided:  # fmt: skip
    """Decides each usable photograph's split; see `division`.

    Args:
      distance, group_by: as `data.near_duplicate_distance` and `data.group_by`.
    """
    usable = sorted((d for d in descriptions if not d.reason), key=lambda d: (d.content_hash, d.path))
    quarantined = sorted((d for d in descriptions if d.reason), key=lambda d: d.path)
    hashes = [d.content_hash for d in usable]
    if group_by:
        pictures, groups = _numbered(hashes), division.by_path([d.path for d in usable], hashes, group_by)
    else:
        pictures = groups = near_duplicates.group([d.thumbnail for d in usable], distance) if distance else _numbered(hashes)
    by_likeness = distance > 0 and not group_by
    splits = [d.split for d in usable]
    if not given_splits:
        labelled = [index for index, d in enumerate(usable) if d.split != examples.UNLABELLED]
        divided = division.divide([usable[index].class_name for index in labelled],
                                  [usable[index].content_hash for index in labelled], groups[labelled], eval_fraction, min_eval)  # fmt: skip
        for index, split in zip(labelled, divided, strict=True):
            splits[index] = split
    classes = [d.class_name for d in usable]
    chained = division.chains(classes, groups)

    def thumbnails(chosen: Sequence[int]) -> list[bytes]:
        return [usable[i].thumbnail for i in chosen]

    def order(ours: Sequence[int]) -> np.ndarray:
        return np.argsort(near_duplicates.squared_distances(thumbnails(ours), usable[ours[0]].thumbnail), kind="stable")

    def close(ours: Sequence[int], others: Sequence[int]) -> np.ndarray | None:
        return near_duplicates.close_to(thumbnails(ours), thumbnails(others), distance)

    if by_likeness and not given_splits:
        splits = division.cut(splits, classes, hashes, groups, eval_fraction, min_eval, order, close)
    splits = division.keep_given(splits, groups, chained, close if by_likeness else None)
    return report.Divided(usable, splits, pictures.tolist(), quarantined, report.large_groups(usable, groups, chained), group_by)


def _numbered(hashes: list[str]) -> np.ndarray:
    """The number of each content, int [n]."""
    number_of: dict[str, int] = {}
    return np.array([number_of.setdefault(content, len(number_of)) for content in hashes], int)


def plan_shards(divided: report.Divided, examples_uri: str) -> Iterator[Shard]:
    """The output files of each split, with records in the order of their content hashes."""
    for split in examples.SPLITS:
        chosen = [d for d, side in zip(divided.usable, divided.splits, strict=True) if side == split]
        shards = max(1, -(-len(chosen) // SHARD_EXAMPLES), -(-sum(d.length for d in chosen) // SHARD_BYTES))
        for shard in range(shards):
            part = chosen[len(chosen) * shard // shards : len(chosen) * (shard + 1) // shards]
            path = posixpath.join(examples_uri, f"Split-{split}", f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz")
            yield Shard(path, tuple((d.part, d.offset, d.length) for d in part))


def write_shard(shard: Shard, scratch: str) -> None:
    """Copies the shard's records from the scratch files into one gzip TFRecord file, which appears only when it is complete."""
    unfinished = posixpath.join(scratch, uuid.uuid4().hex)
    # JPEG does not compress further: the lowest level saves time.
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
    parts = {part: fileio.open(part, "rb") for part in sorted({part for part, _, _ in shard.records})}
    try:
        with tf.io.TFRecordWriter(unfinished, options) as writer:
            for part, offset, length in shard.records:
                parts[part].seek(offset)
                writer.write(parts[part].read(length))
    finally:
        for file in parts.values():
            file.close()
    fileio.rename(unfinished, shard.path, overwrite=True)


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
