"""The Beam pipeline of ExampleGen, one path for every source: read and normalise, divide, write TFRecords and the report.

Nothing of a photograph is in a collection of Beam's, which a runner may keep or send: a worker is given the name of a list of files,
reads and normalises them, writes records and descriptions to scratch files and passes on where these are. One worker reads all
descriptions, divides them and names, shard by shard, the records that workers then copy into the output files. So image bytes need
constant memory for any amount of data.
"""

import collections
import posixpath
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue
from tfx.dsl.io import fileio

import pipeline_config
from components.example_gen import descriptions, division, near_duplicates, photograph, report
from components.example_gen.data_set import DataSet, RecordFile
from components.example_gen.descriptions import Description, Gathered, Part
from components.example_gen.folder import Folder, Listed
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
            about = {"path": report_path, "source": source.name, "kind": source.kind, "fingerprint": fingerprint,
                     "classes": source.classes, "split_rule": source.split_rule, "unused": source.unused, "licence": source.licence,
                     "citation": source.citation}  # fmt: skip
            (
                p
                | "Elements" >> beam.Create(source.elements(scratch))
                | "Normalise" >> beam.ParDo(Normalise(scratch, source.classes, max_side, max_pixels, min_side))
                | "Gather" >> beam.combiners.ToList()
                # In one step, between whose parts no runner keeps or sends anything.
                | "Divide" >> beam.FlatMap(
                    divide_all, source.given_splits, eval_fraction, min_eval, near_duplicate_distance, group_by, about, examples_uri)
                | beam.Reshuffle()
                | "Write" >> beam.Map(write_shard, scratch)
            )  # fmt: skip
    finally:
        fileio.rmtree(scratch)


class Normalise(beam.DoFn):
    """Reads what elements of a source describe, and writes record and description of each image to scratch files: a part for each bundle.

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
        self.part = None

    def process(self, element: Listed | RecordFile) -> None:
        for encoded in element.images(photograph.max_file_bytes(self.max_pixels)):
            # Bytes count as the fewest pixels they may be of: what is no image is held too.
            pixels = max(photograph.pixels(encoded.data), len(encoded.data) // 4)
            while self.waiting and (len(self.waiting) >= AHEAD * self.workers or self.pixels + pixels > self.most_pixels):
                self._write_next()
            self.waiting.append((pixels, self.threads.submit(self._prepare, encoded)))
            self.pixels += pixels

    def finish_bundle(self) -> Iterator[WindowedValue]:
        while self.waiting:
            self._write_next()
        if self.part is not None:
            yield WindowedValue(self.part.close(), MIN_TIMESTAMP, (GlobalWindow(),))

    def _prepare(self, encoded: Encoded) -> tuple[Description, bytes]:
        """What a file is, and its record, b"" if it cannot be used; on a thread."""
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


def divide_all(
    parts: list[Part], given_splits: bool, eval_fraction: float, min_eval: int, distance: float, group_by: str, about: dict,
    examples_uri: str,
) -> Iterator[Shard]:  # fmt: skip
    """Divides what is described in all parts, writes the report, and yields the files to write.

    Args:
      distance, group_by: as `data.near_duplicate_distance` and `data.group_by`.
      about: arguments of `report.write`.
    """
    divided = divide(descriptions.gather(parts), given_splits, eval_fraction, min_eval, distance, group_by)
    report.write(divided, **about)
    return plan_shards(divided, examples_uri)


def divide(
    gathered: Gathered, given_splits: bool, eval_fraction: float, min_eval: int,
    distance: float = pipeline_config.Data.near_duplicate_distance, group_by: str = "",
) -> report.Divided:  # fmt: skip
    """Decides each usable photograph's split; see `division`."""
    usable = gathered.usable
    hashes, classes, splits = usable.columns["content_hash"], usable.column("class_name"), usable.column("split")
    if group_by:
        pictures, groups = _numbered(hashes), division.by_path(usable.paths, hashes, group_by)
    else:
        pictures = groups = near_duplicates.group(usable.thumbnails, distance) if distance else _numbered(hashes)
    by_likeness = distance > 0 and not group_by
    if not given_splits:
        labelled = np.array([index for index, split in enumerate(splits) if split != examples.UNLABELLED], int)
        divided = division.divide([classes[index] for index in labelled], hashes[labelled], groups[labelled], eval_fraction, min_eval)
        for index, split in zip(labelled, divided, strict=True):
            splits[index] = split
    chained = division.chains(classes, groups)

    def order(ours: Sequence[int]) -> np.ndarray:
        return np.argsort(near_duplicates.squared_distances(usable.thumbnails[ours], usable.thumbnails[ours[0]]), kind="stable")

    def close(ours: Sequence[int], others: Sequence[int]) -> np.ndarray | None:
        return near_duplicates.close_to(usable.thumbnails[ours], usable.thumbnails[others], distance)

    if by_likeness and not given_splits:
        splits = division.cut(splits, classes, hashes, groups, eval_fraction, min_eval, order, close)
    splits = division.keep_given(splits, groups, chained, close if by_likeness else None)
    large = report.large_groups(usable, groups, chained)
    return report.Divided(usable, splits, pictures, gathered.quarantined, large, group_by)


def _numbered(hashes: np.ndarray) -> np.ndarray:
    """The number of each content, int [n]."""
    return np.unique(hashes, return_inverse=True)[1]


def plan_shards(divided: report.Divided, examples_uri: str) -> Iterator[Shard]:
    """The output files of each split, with records in the order of their content hashes."""
    usable, sides = divided.usable, np.array(divided.splits)
    for split in examples.SPLITS:
        chosen = np.flatnonzero(sides == split)
        shards = max(1, -(-len(chosen) // SHARD_EXAMPLES), -(-int(usable.columns["length"][chosen].sum()) // SHARD_BYTES))
        for shard in range(shards):
            part = usable.columns[chosen[len(chosen) * shard // shards : len(chosen) * (shard + 1) // shards]]
            path = posixpath.join(examples_uri, f"Split-{split}", f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz")
            places = (part[name].tolist() for name in ("part", "offset", "length"))
            yield Shard(path, tuple((usable.texts[number], offset, length) for number, offset, length in zip(*places, strict=True)))


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
