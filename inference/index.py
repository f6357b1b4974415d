"""Writes and reads index files: vectors with their paths and content hashes, their mean, and which backbone made them.

FILE.parquet has the columns `path`, `content_hash`, `norm` and `vector`. FILE.npy holds only the vectors, for memory mapping;
FILE.npy.paths.parquet beside it has the other columns, row for row. Either is written whole or not at all. The bytes depend on
the rows and the header alone, not on the portions in which rows were added.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import itertools
import json
import os
import shlex
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PARQUET, NPY = ".parquet", ".npy"
# Key of the header in Parquet's file metadata; its value is JSON.
HEADER = b"flowers"
# Of what is written. An index of format 1 has no mean, and was made by a release that left colour profiles unapplied.
FORMAT = 2
# Rows of a row group, which is what a reader of a Parquet file holds in memory: 24 MB with 1,440 numbers a row.
GROUP = 4096
# Rows in a block of a memory-mapped index.
BLOCK = 65_536
# Rows whose content binds a .npy file to its listing.
SAMPLED = 64


class IndexFileError(ValueError):
    """A file is not an index, or cannot become one; the message names it and says what to do."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What made an index. `version` is for people; a search compares `backbone_content_hash`.

    backbone_content_hash: `contracts.content_hash` of the backbone directory. embedding_size: numbers in a vector.
    name, version: in the registry below `root`, which is absolute. source: as given, a folder or file made absolute.
    follow_links: whether its files may be links that lead out of it.
    """

    backbone_content_hash: str
    embedding_size: int
    name: str
    version: str
    source: str
    root: str = ""
    follow_links: bool = False
    schema_version: int = FORMAT


@contextlib.contextmanager
def new_index(path: str, header: Header) -> Iterator["Writer"]:
    """Yields a Writer; the index appears at `path` when the block ends without an error.

    Raises:
      IndexFileError: the name ends in neither .parquet nor .npy, the folder does not exist, or another process writes this index.
    """
    check_name(path)
    with contextlib.ExitStack() as opened:
        unfinished = [opened.enter_context(_unfinished(name)) for name in _files(path)]
        writer = Writer(unfinished, header)
        yield writer
        writer.finish()
        for file in unfinished:
            file.flush()
            os.fsync(file.fileno())
        # The listing first: until the vectors follow, it does not fit the old .npy, and readers refuse the pair.
        for file, name in zip(reversed(unfinished), reversed(_files(path)), strict=True):
            os.replace(file.name, name)


def check_name(path: str) -> None:
    """Raises IndexFileError unless an index can be at `path`."""
    if os.path.isdir(path):
        raise IndexFileError(f"{path} is a folder; an index is a file, such as {os.path.join(path, f'photographs{PARQUET}')}")
    if not path.endswith((PARQUET, NPY)):
        raise IndexFileError(f"the name of an index must end in .parquet or .npy, got {path!r}")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise IndexFileError(f"there is no folder {folder} to write {os.path.basename(path)!r} into; make it first")


class Writer:
    """Writes rows in groups, so that memory stays constant. `count` is the number of rows so far."""

    def __init__(self, files: Sequence[IO[bytes]], header: Header):
        self._vectors = files[0] if len(files) == 2 else None
        self._header = header
        self._schema = _schema(None if self._vectors else header.embedding_size)
        self._table = pq.ParquetWriter(
            files[-1], self._schema, use_dictionary=False, write_statistics=False,
            # Paths compress well; hashes and vectors do not, and are read faster uncompressed.
            compression={"path": "zstd", "content_hash": "none", "norm": "none", "vector.list.element": "none"})  # fmt: skip
        self._waiting: list[tuple[list[str], list[str], np.ndarray]] = []
        self._sum = np.zeros(header.embedding_size, np.float64)
        self.count = 0
        if self._vectors:
            self._write_npy_header()

    def add(self, paths: Sequence[str], hashes: Sequence[str], vectors: np.ndarray) -> None:
        """Adds rows: paths, content hashes and vectors `[len(paths), embedding_size]` float32."""
        if not len(paths):
            return
        self._waiting.append((list(paths), list(hashes), vectors))
        self.count += len(paths)
        if sum(len(rows) for rows, _, _ in self._waiting) >= GROUP:
            self._write_groups(GROUP)

    def finish(self) -> None:
        """Writes the rows of the last group and the header."""
        self._write_groups(1)
        # As the shortest text that gives the same float32.
        mean = [float(str(value)) for value in (self._sum / max(self.count, 1)).astype(np.float32)]
        header = dataclasses.asdict(self._header) | {"count": self.count, "mean": mean}
        if self._vectors:
            self._vectors.seek(0)
            self._write_npy_header()
            self._vectors.flush()
            header["sample"] = _sample(np.load(self._vectors.name, mmap_mode="r"))
        self._table.add_key_value_metadata({HEADER: json.dumps(header).encode()})
        self._table.close()

    def _write_groups(self, least: int) -> None:
        """Writes groups of GROUP rows while at least `least` rows wait."""
        if not self._waiting:
            return
        paths, hashes, vectors = zip(*self._waiting, strict=True)
        paths, hashes, vectors = list(itertools.chain(*paths)), list(itertools.chain(*hashes)), np.concatenate(vectors)
        while len(paths) >= least:
            self._write_group(paths[:GROUP], hashes[:GROUP], vectors[:GROUP])
            paths, hashes, vectors = paths[GROUP:], hashes[GROUP:], vectors[GROUP:]
        self._waiting = [(paths, hashes, vectors)] if paths else []

    def _write_group(self, paths: list[str], hashes: list[str], rows: np.ndarray) -> None:
        self._sum += rows.sum(axis=0, dtype=np.float64)
        columns = [pa.array(paths), pa.array(hashes), pa.array(np.linalg.norm(rows, axis=1).astype(np.float32))]
        if self._vectors:
            self._vectors.write(np.ascontiguousarray(rows, "<f4").tobytes())
        else:
            columns.append(pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), type=self._schema.field("vector").type))
        self._table.write_table(pa.table(columns, schema=self._schema), row_group_size=len(rows))

    def _write_npy_header(self) -> None:
        # NumPy leaves room for the count to grow, so that the header can be rewritten in place.
        shape = (self.count, self._header.embedding_size)
        np.lib.format.write_array_header_1_0(self._vectors, {"descr": "<f4", "fortran_order": False, "shape": shape})


class Index:
    """An index open for reading. `header` says what made it, `count` how many rows it has, `mean` is that of its vectors,
    `[embedding_size]` float32."""

    def __init__(self, path: str, table: pq.ParquetFile, header: Header, mean: np.ndarray, vectors: np.ndarray | None):
        self.path = path
        self.header = header
        self.mean = mean
        self.count = table.metadata.num_rows
        self._table = table
        self._vectors = vectors
        sizes = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def in_memory(self) -> "Index":
        """The same index with all vectors in memory (4 x embedding_size bytes a row), for many searches."""
        vectors = np.empty((self.count, self.header.embedding_size), np.float32)
        for start, block in self.blocks():
            vectors[start : start + len(block)] = block
        return Index(self.path, self._table, self.header, self.mean, vectors)

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """All rows in order, as (first row, vectors `[rows, embedding_size]` float32)."""
        if self._vectors is not None:
            for start in range(0, self.count, BLOCK):
                yield start, self._vectors[start : start + BLOCK]
            return
        for group, start in enumerate(self._starts[:-1].tolist()):
            yield start, self._vectors_of_group(group)

    def entries(self, rows: np.ndarray) -> list[tuple[str, str]]:
        """(path, content hash) of `rows`, in their order."""
        groups = self._groups(rows)
        tables = {group: self._table.read_row_group(group, columns=["path", "content_hash"]) for group in set(groups)}
        found = ((tables[group], row - self._starts[group]) for group, row in zip(groups, rows.tolist(), strict=True))
        return [(table["path"][int(at)].as_py(), table["content_hash"][int(at)].as_py()) for table, at in found]

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of `rows`, in their order: `[len(rows), embedding_size]` float32."""
        if self._vectors is not None:
            return self._vectors[rows]
        groups = np.array(self._groups(rows), np.int64)
        found = np.empty((len(rows), self.header.embedding_size), np.float32)
        for group in np.unique(groups):
            found[groups == group] = self._vectors_of_group(int(group))[rows[groups == group] - self._starts[group]]
        return found

    def content_hashes(self) -> np.ndarray:
        """Of all rows in order, `[count]` of 32 bytes each.

        Raises:
          IndexFileError: one is none.
        """
        found = np.empty(self.count, "S32")
        for group, start in enumerate(self._starts[:-1].tolist()):
            column = self._table.read_row_group(group, columns=["content_hash"]).column("content_hash")
            try:
                found[start : start + len(column)] = [bytes.fromhex(one) for one in column.to_pylist()]
            except ValueError as error:
                raise IndexFileError(f"{self.path} is damaged: a content hash is none ({error}); make it again") from error
        return found

    def _groups(self, rows: np.ndarray) -> list[int]:
        """The row group of each row."""
        return (np.searchsorted(self._starts, rows, side="right") - 1).tolist()

    def _vectors_of_group(self, group: int) -> np.ndarray:
        column = self._table.read_row_group(group, columns=["vector"]).column("vector").combine_chunks()
        return column.flatten().to_numpy().reshape(-1, self.header.embedding_size)


def open_index(path: str) -> Index:
    """Opens an index; vectors are read or memory-mapped on demand.

    Raises:
      IndexFileError: there is no such file, it is not an index or of another format, or the .npy file and its listing do not
        belong together.
    """
    check_name(path)
    vectors_file, listing = _files(path)[0], _files(path)[-1]
    for name in _files(path):
        if not os.path.isfile(name):
            raise IndexFileError(f"there is no index {name}; `flowers embed SOURCE -o {path}` makes one")
    try:
        # The vectors first: a listing that is replaced meanwhile does not fit them.
        vectors = np.load(vectors_file, mmap_mode="r", allow_pickle=False) if path.endswith(NPY) else None
        table = pq.ParquetFile(listing, memory_map=True)
        fields = json.loads((table.metadata.metadata or {})[HEADER])
        if fields["schema_version"] != FORMAT:
            raise IndexFileError(_another_format(path, fields))
        count, sample = fields.pop("count"), fields.pop("sample", None)
        mean = np.array(fields.pop("mean"), np.float32)
        header = Header(**fields)
        expected = _schema(None if path.endswith(NPY) else header.embedding_size)
        if not table.schema_arrow.equals(expected) or table.metadata.num_rows != count or mean.shape != (header.embedding_size,):
            raise ValueError("its columns or rows are not those of an index")
    except IndexFileError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise IndexFileError(f"{path} was not made by `flowers embed`, or is damaged ({error}); make it again") from error
    if vectors is not None and (
        vectors.shape != (count, header.embedding_size) or vectors.dtype != np.dtype("<f4") or _sample(vectors) != sample
    ):
        raise IndexFileError(f"{path} and {listing} do not belong together; make them again with `flowers embed`")
    return Index(path, table, header, mean, vectors)


def make_anew(path: str, source: str, *options: str) -> str:
    """The command that makes an index of a source anew."""
    return shlex.join(["flowers", "embed", source, "-o", path, *options])


def _another_format(path: str, fields: dict) -> str:
    return (
        f"{path} has the format {fields['schema_version']} of another release, and this one reads format {FORMAT}, which has the "
        f"mean of the vectors; make it anew: `{make_anew(path, str(fields.get('source', 'SOURCE')))}`"
    )


def _files(path: str) -> tuple[str, ...]:
    """The files of an index: first the one with the vectors, last the one with the paths."""
    return (path, f"{path}.paths.parquet") if path.endswith(NPY) else (path,)


def _schema(embedding_size: int | None) -> pa.Schema:
    columns = [pa.field("path", pa.string(), nullable=False), pa.field("content_hash", pa.string(), nullable=False),
               pa.field("norm", pa.float32(), nullable=False)]  # fmt: skip
    if embedding_size is not None:
        element = pa.field("element", pa.float32(), nullable=False)
        columns.append(pa.field("vector", pa.list_(element, embedding_size), nullable=False))
    return pa.schema(columns)


def _sample(vectors: np.ndarray) -> str:
    """SHA-256 (hex) of up to SAMPLED rows, evenly spaced: shows that vectors and listing were written together."""
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), SAMPLED)).astype(np.int64))
    return hashlib.sha256(np.ascontiguousarray(vectors[rows]).tobytes()).hexdigest()


@contextlib.contextmanager
def _unfinished(path: str) -> Iterator[IO[bytes]]:
    """The file that becomes `path`: beside it, hidden, locked and empty; removed at the end unless it was renamed."""
    folder, name = os.path.split(os.path.abspath(path))
    unfinished = os.path.join(folder, f".{name}.unfinished")
    with open(unfinished, "ab") as locked:
        try:
            # By hand: filelock takes a file that was renamed while it waited for its lock, and leaves one of its own behind.
            fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Renamed or removed since it was opened: its writer has just finished.
            mine = os.path.samestat(os.fstat(locked.fileno()), os.stat(unfinished))
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise IndexFileError(f"another `flowers embed` is writing {path}; wait for it, or choose another name")
        with open(unfinished, "r+b") as file:
            file.truncate(0)
            try:
                yield file
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(unfinished)
