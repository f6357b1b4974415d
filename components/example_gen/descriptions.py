"""What ingest knows of every file of a source, of a million as well: workers write descriptions to disk, in parts, beside the records.

In memory are about 100 bytes a photograph, and its path; thumbnails stay in a file.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from tfx.dsl.io import fileio

from components.example_gen.photograph import DESCRIPTOR_SIDE
from contracts import files

THUMBNAIL = 3 * DESCRIPTOR_SIDE**2  # bytes
READ = 8192  # thumbnails read at a time

# A photograph in memory; texts are numbers of `Descriptions.texts`.
COLUMNS = np.dtype([
    ("content_hash", "S64"), ("class_name", np.int32), ("split", np.int32), ("profile", np.int32), ("width", np.int32),
    ("height", np.int32), ("part", np.int32), ("offset", np.int64), ("length", np.int64)])  # fmt: skip
TEXTS = ("class_name", "split", "profile", "part")


@dataclass(frozen=True, slots=True)
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


# Fields of the lines that a Writer writes.
WRITTEN = ("path", "class_name", "split", "reason", "detail", "content_hash", "width", "height", "profile", "offset", "length")


class Part(NamedTuple):
    """Of one file or more: records at `path`; beside them descriptions of all, and thumbnails of the `usable`, in the same order."""

    path: str
    usable: int

    @property
    def descriptions(self) -> str:
        return f"{self.path}.json"

    @property
    def thumbnails(self) -> str:
        return f"{self.path}.thumbnails"


class Writer:
    """Writes a part; `close` gives it."""

    def __init__(self, path: str):
        self._part = Part(path, 0)
        # TensorFlow's files, which can be remote, take 20 times as long for what is short.
        create = fileio.open if "://" in path else open
        self._records, self._descriptions, self._thumbnails = (
            create(name, "wb") for name in (path, self._part.descriptions, self._part.thumbnails)
        )
        self._offset = 0

    def add(self, description: Description, record: bytes) -> None:
        """Adds one file; of one that is quarantined there is no record."""
        values = replace(description, offset=self._offset, length=len(record))
        self._descriptions.write(json.dumps([getattr(values, name) for name in WRITTEN]).encode() + b"\n")
        if not description.reason:
            self._records.write(record)
            self._thumbnails.write(description.thumbnail)
            self._offset += len(record)
            self._part = self._part._replace(usable=self._part.usable + 1)

    def close(self) -> Part:
        for file in (self._records, self._descriptions, self._thumbnails):
            file.close()
        return self._part


class Descriptions(Sequence[Description]):
    """Usable photographs; each Description is made when it is asked for.

    Attributes:
      columns: `[n]` COLUMNS.
      texts: what the numbers in it are of.
      paths: of each.
      thumbnails: `[n, 768]` uint8, mapped from a file.
    """

    def __init__(self, columns: np.ndarray, texts: list[str], paths: list[str], thumbnails: np.ndarray):
        self.columns, self.texts, self.paths, self.thumbnails = columns, texts, paths, thumbnails

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Description:
        row = self.columns[index]
        values = {name: self.texts[row[name]] if name in TEXTS else row[name].item() for name in COLUMNS.names}
        values["content_hash"] = values["content_hash"].decode()
        return Description(self.paths[index], **values, thumbnail=self.thumbnails[index].tobytes())

    def column(self, name: str) -> list[str]:
        """One of TEXTS, of each photograph; the same text is the same object."""
        return [self.texts[number] for number in self.columns[name].tolist()]


class Gathered(NamedTuple):
    """`usable`, sorted by content hash and path, and `quarantined`, sorted by path."""

    usable: Descriptions
    quarantined: list[Description]


def gather(parts: Sequence[Part]) -> Gathered:
    """The descriptions in all parts. Their order tells nothing of the parts'.

    Raises:
      OSError: the folder for temporary files has no room for the thumbnails.
    """
    columns, paths, quarantined = np.empty(sum(part.usable for part in parts), COLUMNS), [], []
    number_of: dict[str, int] = {}
    for part in parts:
        for one in _descriptions(part):
            if one.reason:
                quarantined.append(one)
                continue
            columns[len(paths)] = tuple(
                number_of.setdefault(getattr(one, name), len(number_of)) if name in TEXTS else getattr(one, name) for name in COLUMNS.names
            )
            paths.append(one.path)
    by_path = np.array(sorted(range(len(paths)), key=paths.__getitem__), int)
    order = by_path[np.argsort(columns["content_hash"][by_path], kind="stable")]
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    usable = Descriptions(columns[order], list(number_of), [paths[index] for index in order], _thumbnails(parts, place))
    return Gathered(usable, sorted(quarantined, key=lambda one: one.path))


def gather_few(every: Iterable[Description]) -> Gathered:
    """As `gather`, of descriptions that are in memory and have no records; by a part in the folder for temporary files."""
    with tempfile.TemporaryDirectory() as folder:
        writer, every = Writer(os.path.join(folder, "part")), list(every)
        for one in every:
            writer.add(one, b"")
        return gather([writer.close()] if every else [])


def _descriptions(part: Part) -> Iterator[Description]:
    with files.opened(part.descriptions) as file:
        for line in file:
            yield Description(**dict(zip(WRITTEN, json.loads(line), strict=True)), part=part.path)


def _thumbnails(parts: Sequence[Part], place: np.ndarray) -> np.ndarray:
    """The thumbnails of all parts, one after the other, each at its `place`."""
    if not len(place):
        return np.empty((0, THUMBNAIL), np.uint8)
    with tempfile.TemporaryFile() as file:  # which the array keeps open for itself
        file.truncate(len(place) * THUMBNAIL)
        thumbnails = np.memmap(file, np.uint8, "r+", shape=(len(place), THUMBNAIL))
        first = 0
        for part in parts:
            with files.opened(part.thumbnails) as written:
                for start in range(0, part.usable, READ):
                    count = min(READ, part.usable - start)
                    thumbnails[place[first : first + count]] = np.frombuffer(written.read(count * THUMBNAIL), np.uint8).reshape(count, -1)
                    first += count
        return np.asarray(thumbnails)
