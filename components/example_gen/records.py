"""The Beam pipeline of ExampleGen, one path for every source: read and normalise, divide, write TFRecords and the report.

Nothing of a photograph is in a collection of Beam's, which a runner may keep or send: a worker is given the name of a list of files,
reads and normalises them, writes records and descriptions to scratch files and passes on where these are. One worker reads all
descriptions, divides them and names, shard by shard, the records that workers then copy into the output files. So image bytes need
constant memory for any amount of data.
"""

import contextlib
import posixpath
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.runners.portability.fn_api_runner import fn_runner
from tfx.dsl.io import fileio

import pipeline_config
from components.example_gen import descriptions, division, near_duplicates, processes, report
from components.example_gen.data_set import DataSet
from components.example_gen.descriptions import Gathered, Part
from components.example_gen.folder import Folder
from components.example_gen.normalise import Normalise
from contracts import examples, files
from contracts.cores import cores

# One reader reads a shard: small enough to spread over workers, large enough to read in one go.
SHARD_EXAMPLES = 1000
SHARD_BYTES = 64 << 20
# Shards that are written at a time: each opens every part, of which there is one for each process, and the usual limit of open files
# is 1,024.
WRITERS = 4


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
    step = Normalise(scratch, source.classes, max_side, max_pixels, min_side)
    try:
        elements = source.elements(scratch)
        if isinstance(pipeline.runner, fn_runner.FnApiRunner) and processes.worthwhile(source.size, elements):
            normalised = beam.Create(processes.parts(elements, step))
        else:  # another engine has processes of its own
            normalised = beam.Create(elements) | "Normalise" >> beam.ParDo(step)
        with pipeline as p:
            about = {"path": report_path, "source": source.name, "kind": source.kind, "fingerprint": fingerprint,
                     "classes": source.classes, "split_rule": source.split_rule, "unused": source.unused, "licence": source.licence,
                     "citation": source.citation}  # fmt: skip
            (
                p
                | "Parts" >> normalised
                | "Gather" >> beam.combiners.ToList()
                # In one step, between whose parts no runner keeps or sends anything.
                | "Divide" >> beam.FlatMap(
                    divide_all, source.given_splits, eval_fraction, min_eval, near_duplicate_distance, group_by, about, examples_uri)
                | beam.Reshuffle()
                | "Write" >> beam.ParDo(Write(scratch))
            )  # fmt: skip
    finally:
        fileio.rmtree(scratch)


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


class Write(beam.DoFn):
    """Writes shards, several at a time: TensorFlow, which writes them, lets others run meanwhile."""

    def __init__(self, scratch: str):
        self.scratch = scratch

    def setup(self):
        self.threads = ThreadPoolExecutor(min(cores(), WRITERS))

    def teardown(self):
        self.threads.shutdown(cancel_futures=True)

    def start_bundle(self):
        self.written = []

    def process(self, shard: Shard) -> None:
        self.written.append(self.threads.submit(write_shard, shard, self.scratch))

    def finish_bundle(self) -> None:
        for one in self.written:
            one.result()


def write_shard(shard: Shard, scratch: str) -> None:
    """Copies the shard's records from the scratch files into one gzip TFRecord file, which appears only when it is complete."""
    unfinished = posixpath.join(scratch, uuid.uuid4().hex)
    # Stored as they are: compressing photographs takes ten times as long to write and three times to read, for one per cent.
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=0)
    with contextlib.ExitStack() as opened:
        parts = {part: opened.enter_context(files.opened(part)) for part in sorted({part for part, _, _ in shard.records})}
        with tf.io.TFRecordWriter(unfinished, options) as writer:
            for part, offset, length in shard.records:
                parts[part].seek(offset)
                writer.write(parts[part].read(length))
    fileio.rename(unfinished, shard.path, overwrite=True)
