"""Reads, writes and hashes files, local or remote: a file is written whole or not at all, and JSON is UTF-8 with one indent.

A path with `://` is remote and goes through tf.io.gfile, which is imported then; any other is local and costs no library.
"""

import contextlib
import hashlib
import json
import os
import posixpath
import typing
from collections.abc import Iterator
from typing import IO

CHUNK_BYTES = 1 << 20
# Suffix of a file that is being written, beside its final name.
UNFINISHED = ".unfinished"

Path = str | os.PathLike


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """An existing file, to read bytes.

    Raises:
      FileNotFoundError: there is none; of a remote file, when the block reads it, as a question before costs a request.
    """
    name = os.fspath(path)
    if "://" not in name:
        with open(name, "rb") as file:
            yield file
        return
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(name, "rb") as file:
            yield file  # GFile opens when it is asked for something, and that is where a missing file is found
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(f"{name}: {error.message}") from error


@contextlib.contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A file to write bytes to. It is flushed to disk and gets its name when the block ends; missing folders are made.

    If the block raises, what was at `path` stays as it was.
    """
    name = os.fspath(path)
    unfinished = f"{name}{UNFINISHED}"
    if "://" not in name:
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        try:
            with open(unfinished, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, name)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.remove(unfinished)
            raise
        return
    import tensorflow as tf

    tf.io.gfile.makedirs(posixpath.dirname(name))
    with tf.io.gfile.GFile(unfinished, "wb") as file:
        yield file
    tf.io.gfile.rename(unfinished, name, overwrite=True)


def read_text(path: Path) -> str:
    """The UTF-8 text of a file.

    Raises:
      FileNotFoundError: there is none.
      UnicodeDecodeError, a ValueError: it is not UTF-8.
    """
    with opened(path) as file:
        return file.read().decode("utf-8")


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text."""
    with written(path) as file:
        file.write(text.encode("utf-8"))


def read_json(path: Path) -> typing.Any:
    """The content of a JSON file.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is not JSON.
    """
    return json.loads(read_text(path))


def write_json(path: Path, value: object) -> None:
    """Writes indented JSON. NaN and infinity are refused, as JSON has neither.

    Raises:
      ValueError, TypeError: `value` cannot be written as JSON; nothing was written.
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def json_sha256(value: object) -> str:
    """SHA-256 (hex) of a value as JSON with sorted keys: the same for the same value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read piece by piece.

    Raises:
      FileNotFoundError: there is none.
    """
    return size_and_sha256(path)[1]


def size_and_sha256(path: Path) -> tuple[int, str]:
    """A file's bytes, counted and hashed (hex) in one pass.

    Raises:
      FileNotFoundError: there is none.
    """
    digest, size = hashlib.sha256(), 0
    with opened(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
