"""A data set of TensorFlow Datasets as a source, downloaded and prepared: read file by file, image bytes undecoded.

For `tfds:NAME` and for the synthetic flowers, which are a TFDS data set of this project.
"""

import difflib
import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow_datasets as tfds

from components.errors import DataRefused, SourceNotFound
from components.example_gen import downloads
from components.example_gen.photograph import Encoded
from contracts import files
from contracts.examples import UNLABELLED

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
# TFDS's names of a split without labels, such as the 100,000 images of stl10.
UNLABELLED_SPLITS = ("unlabelled", "unlabeled")
# The flowers are drawn by this project's code, under its licence.
SYNTHETIC_LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class DataSet:
    """A prepared builder, which of its splits are used for what, and the names of the two features that are used.

    Attributes:
      splits: by the name of our split (contracts.examples.SPLITS), the instruction by which TFDS reads it.
      label: name of the feature with the class; "" if all photographs are unlabelled.
    """

    name: str
    kind: str
    builder: Any  # tfds.core.DatasetBuilder
    splits: dict[str, str]
    split_rule: str
    image: str
    label: str
    unused: tuple[str, ...]
    given_splits: bool = True

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted(self.builder.info.features[self.label].names)) if self.label else ()

    @property
    def licence(self) -> str:
        """As the data set states it; "" if it states none."""
        return SYNTHETIC_LICENCE if self.kind == "synthetic" else self.builder.info.redistribution_info.license

    @property
    def citation(self) -> str:
        """BibTeX, as the data set states it; "" if it states none."""
        return self.builder.info.citation or ""

    @property
    def size(self) -> int:
        """Photographs in the splits that are used."""
        return sum(self.builder.info.splits[instruction].num_examples for instruction in self.splits.values())

    def fingerprint(self) -> str:
        """SHA-256 (hex) over name, configuration, version, splits and the content of the record files."""
        total = hashlib.sha256(f"{self.builder.info.full_name}\0{sorted(self.splits.items())}\n".encode())
        for split in sorted(self.builder.info.splits):
            for path in sorted(str(path) for path in self.builder.info.splits[split].filepaths):
                total.update(f"{path.rsplit('/', 1)[-1]}\0{files.sha256(path)}\n".encode())
        return total.hexdigest()

    def photographs(self) -> None:
        """Nothing: TFDS's records are hashed as files, not one by one."""
        return

    def encoded(self, enough: set[str], max_bytes: int) -> Iterator[Encoded]:
        """Yields examples; skips classes that the caller has added to `enough`."""
        del max_bytes  # TFDS has already read each record whole
        for split, instruction in self.splits.items():
            for example in self.builder.as_dataset(split=instruction, **self._reading()):
                found = self._encoded(example, split)
                if found.class_name not in enough:
                    yield found

    def elements(self, scratch: str) -> Sequence["RecordFile"]:
        """What all splits are read by: descriptions of record files, each of which is opened when its `images` are asked for."""
        del scratch  # there are few
        return [RecordFile(self, split, instruction) for split, named in self.splits.items()
                for instruction in self.builder.info.splits[named].file_instructions]  # fmt: skip

    def _reading(self) -> dict:
        return {
            "decoders": tfds.decode.PartialDecoding(
                {name: True for name in (self.image, self.label) if name}, decoders={self.image: tfds.decode.SkipDecoding()}),
            "read_config": tfds.ReadConfig(add_tfds_id=True, try_autocache=False),
            "shuffle_files": False,
        }  # fmt: skip

    def _encoded(self, example: dict, split: str) -> Encoded:
        path, data = example["tfds_id"].numpy().decode(), example[self.image].numpy()
        label = int(example[self.label]) if self.label else -1
        if split == UNLABELLED or label < 0:  # a negative label: TFDS' in published splits without labels
            return Encoded(path, "", UNLABELLED, data)
        return Encoded(path, self.builder.info.features[self.label].int2str(label), split, data)


@dataclass(frozen=True)
class RecordFile:
    """A file of a data set, or the part of it that belongs to one of our splits."""

    data_set: DataSet
    split: str
    instruction: Any  # tfds.core.utils.shard_utils.FileInstruction

    def images(self, max_bytes: int) -> Iterator[Encoded]:
        """Its images, bytes as they are stored."""
        del max_bytes  # TFDS reads each record whole
        name = tfds.core.naming.FilenameInfo.from_str(self.instruction.filename)
        builder = self.data_set.builder
        examples = builder.as_dataset(split=f"{name.split}[{name.shard_index}shard]", **self.data_set._reading())
        # As tfds.beam.ReadFromTFDS cuts a file.
        examples = examples.skip(self.instruction.skip)
        if not self.instruction.takes_all:
            examples = examples.take(self.instruction.take)
        for example in examples:
            yield self.data_set._encoded(example, self.split)


def prepare(name: str, data_dir: str | None = None):
    """The builder of a TFDS data set (`name`, `name/config`, `name:version`), downloaded and prepared if necessary.

    Args:
      data_dir: where data sets are kept; None is TFDS's default, which the variable TFDS_DATA_DIR changes.

    Raises:
      SourceNotFound: TFDS has no such data set (the message names the nearest), or it cannot be downloaded and prepared.
    """
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        known = sorted(set(tfds.list_builders(with_community_datasets=False)))
        nearest = difflib.get_close_matches(name.split("/")[0].split(":")[0], known, n=3)
        hint = f"; the nearest are {', '.join(nearest)}" if nearest else ""
        raise SourceNotFound(f"data.source: TensorFlow Datasets has no {name!r}{hint} ({str(error).splitlines()[0]})") from error
    if not builder.is_prepared():
        logger.info("Downloading tfds:%s to %s", name, builder.data_path)
        if why := downloads.unreachable(builder):
            raise SourceNotFound(not_reached(name, builder, why))
    try:
        builder.download_and_prepare()
    except Exception as error:  # network, disk, checksum, a missing package: in any case there is no data
        raise SourceNotFound(f"data.source: tfds:{name} could not be downloaded and prepared ({type(error).__name__}: {error})") from error
    return builder


def not_reached(name: str, builder, why: str) -> str:
    """One line about a data set that is not here and cannot be downloaded; `why` is what `downloads.unreachable` says."""
    return (f"data.source: tfds:{name} is not on this machine, and {why}; connect it (HTTPS_PROXY names a proxy), or copy the prepared "
            f"data set from another machine to {builder.data_path}, or let TFDS_DATA_DIR name the folder that has it")  # fmt: skip


def open_data_set(source: str, kind: str, builder, eval_fraction: float) -> DataSet:
    """Picks splits and features of a prepared data set.

    `train` is train; `validation`, else `test`, else the last `eval_fraction` of train is eval, so that tf_flowers is divided
    as in published results (train[:85%], train[85%:]). A split `unlabelled` is unlabelled, as is every example with the label -1.

    Raises:
      DataRefused: the data set has no split `train`, or more or less than one image and one class label.
    """
    available = builder.info.splits
    if "train" not in available:
        raise DataRefused(f"{source} must have a split called train, got {', '.join(available) or 'none'}")
    held_out = next((name for name in ("eval", "validation", "test") if name in available), "")
    if held_out:
        splits = {"train": "train", "eval": held_out}
    else:
        border = _border(available["train"].num_examples, eval_fraction)
        splits = {"train": f"train[:{border}]", "eval": f"train[{border}:]"}
    unlabelled = next((name for name in UNLABELLED_SPLITS if name in available), "")
    if unlabelled:
        splits[UNLABELLED] = unlabelled
    used = {"train", held_out, unlabelled}
    return DataSet(
        name=source,
        kind=kind,
        builder=builder,
        splits=splits,
        split_rule=f"{splits['train']} and {splits['eval']} of the data set" + (f", {unlabelled} without labels" if unlabelled else ""),
        image=_only_feature(source, builder, tfds.features.Image, "image"),
        label=_only_feature(source, builder, tfds.features.ClassLabel, "label"),
        unused=tuple(sorted(set(available) - used)),
    )


def open_unlabelled(source: str, kind: str, builder) -> DataSet:
    """A prepared data set whose photographs are all unlabelled, whatever labels they have; all of its splits.

    Raises:
      DataRefused: the data set has more or less than one image.
    """
    image = _only_feature(source, builder, tfds.features.Image, "image")
    every = "+".join(sorted(builder.info.splits))
    return DataSet(source, kind, builder, {UNLABELLED: every}, "", image, "", (), given_splits=False)


def images(source: str, builder) -> Iterator[Encoded]:
    """Every image of every split of a prepared data set, without labels.

    Raises:
      DataRefused: the data set has more or less than one image feature.
    """
    image = _only_feature(source, builder, tfds.features.Image, "image")
    reading = {
        "decoders": tfds.decode.PartialDecoding({image: True}, decoders={image: tfds.decode.SkipDecoding()}),
        "read_config": tfds.ReadConfig(add_tfds_id=True, try_autocache=False),
        "shuffle_files": False,
    }  # fmt: skip
    for split in builder.info.splits:
        for example in builder.as_dataset(split=split, **reading).as_numpy_iterator():
            yield Encoded(example["tfds_id"].decode(), "", "", example[image])


def _border(examples: int, eval_fraction: float) -> str:
    percent = 100 * (1 - eval_fraction)
    if abs(percent - round(percent)) < 1e-9:
        return f"{round(percent)}%"
    return str(min(examples - 1, max(1, round(examples * (1 - eval_fraction)))))


def _only_feature(source: str, builder, kind: type, what: str) -> str:
    names = [name for name, feature in builder.info.features.items() if isinstance(feature, kind)]
    if what in names:
        return what
    if len(names) != 1:
        raise DataRefused(f"{source} must have one feature of type {kind.__name__}, or one called {what}, got {len(names)}")
    return names[0]
