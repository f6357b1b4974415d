"""A disk that is full: how it is told from other failures, and what is said. Whatever was finished before stays."""

import errno
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from contracts.text import visible

NUMBERS = (errno.ENOSPC, errno.EDQUOT)
# Libraries pass it on as text: TensorFlow, Beam and HDF5 with the system's words, SQLite with its own (SQLITE_FULL of its result
# codes), which ML Metadata and MLflow wrap.
WORDS = (*(os.strerror(number) for number in NUMBERS), "database or disk is full")

# run.json fits several times, unless a hundred thousand photographs are in quarantine.
RESERVE_BYTES = 1 << 18
RESERVE = ".reserve"


def reserve(folder: pathlib.Path) -> None:
    """Takes RESERVE_BYTES in an existing folder, to be kept until room is needed most: to record that there was none.

    Raises:
      OSError: there is no room; nothing is left of the attempt.
    """
    try:
        (folder / RESERVE).write_bytes(os.urandom(RESERVE_BYTES))  # which no file system stores in less
    except OSError:
        release(folder)
        raise


def release(folder: pathlib.Path) -> None:
    """Gives that room back, if it was taken."""
    (folder / RESERVE).unlink(missing_ok=True)


def is_full(error: BaseException) -> bool:
    """Whether a full disk, or a quota that is used up, caused an error."""
    return any(isinstance(one, OSError) and one.errno in NUMBERS or any(words in str(one) for words in WORDS) for one in _chain(error))


def sentence(*folders: str | os.PathLike) -> str:
    """What a command says whose disk is full.

    Args:
      folders: that it writes to, besides that of temporary files; the one with the least room is named.
    """
    there = [_that_exists(os.path.abspath(folder)) for folder in (*folders, tempfile.gettempdir())]
    free, place = min((shutil.disk_usage(folder).free, folder) for folder in there)
    return (f"the disk is full: {visible(place)} has {free / 1e6:,.1f} MB left; make room there, and the same command continues from "
            "what was finished")  # fmt: skip


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _that_exists(folder: str) -> str:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder
