"""What a command finds around it: standard streams, a working directory, a folder for temporary files, semaphores.

Any of them may be missing: cron jobs and services are started without streams, a folder is deleted under an open shell, TMPDIR
names what was there on another machine, a sandbox has no shared memory.
"""

import atexit
import contextlib
import functools
import io
import multiprocessing
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from pipeline_config import ConfigurationError

# In which tempfile looks first; it passes over one that is of no use without a word, and libraries in C++ do not.
VARIABLES = ("TMPDIR", "TEMP", "TMP")

# More than a file system that is full has left in its last blocks.
PROBE_BYTES = 1 << 20


def open_standard_streams() -> None:
    """Opens standard input, output and error where they are closed, on what swallows everything.

    Else the next file that is opened would get the number of one of them, and what a library prints would be written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))


@contextlib.contextmanager
def without_arguments() -> Iterator[None]:
    """Hides the arguments from libraries during the block: TFX and Beam read sys.argv, where -v means something else to absl.

    A notebook's process has arguments of its own, such as -f.
    """
    given = sys.argv
    sys.argv = given[:1]
    try:
        yield
    finally:
        sys.argv = given


def require_working_directory() -> None:
    """Raises ConfigurationError if the working directory was removed: no relative path means anything then."""
    try:
        os.getcwd()
    except OSError as error:
        raise ConfigurationError(
            f"the working directory is gone or closed to this user ({error.strerror}); go to one that exists, such as `cd`"
        ) from None


def require_temporary_folder() -> str:
    """The folder for temporary files, in which a file could be written and removed.

    Raises:
      ConfigurationError: the folder that a variable names is missing, full or closed to this user.
    """
    name, folder = next(((name, value) for name in VARIABLES if (value := os.environ.get(name))), ("", ""))
    try:
        folder = folder or tempfile.gettempdir()
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE_BYTES))
    except OSError as error:
        what = f"{name} names {folder}, where" if name else "there is no folder for temporary files:"
        fix = f"make room or another folder, or unset {name}" if name else "set TMPDIR to a folder with room"
        raise ConfigurationError(f"{what} no file can be written ({error.strerror}); {fix}") from None
    return folder


# How TensorFlow names the modules into which it writes functions that it has converted (tensorflow/python/autograph/pyct/loader.py).
CONVERTED = "__autograph_generated_file"


@functools.cache  # once a process
def leave_no_bytecode() -> None:
    """Removes at the end of the process what Python keeps beside those modules, of which TensorFlow then removes the source alone."""
    # What is registered first is called last: TensorFlow registers its own when it converts.
    atexit.register(remove_bytecode)


def remove_bytecode() -> None:
    """Removes bytecode of converted functions whose source is gone; that of processes which still run stays."""
    with contextlib.suppress(OSError):  # no folder, or no longer empty
        folder = pathlib.Path(tempfile.gettempdir())
        for file in folder.glob(f"__pycache__/{CONVERTED}*.pyc"):
            if not (folder / f"{file.name.partition('.')[0]}.py").exists():
                file.unlink(missing_ok=True)
        (folder / "__pycache__").rmdir()


def require_semaphores() -> None:
    """Raises ConfigurationError if there are no semaphores, without which Beam cannot write a file: Linux has them in /dev/shm."""
    try:
        multiprocessing.Lock()
    except OSError as error:
        raise ConfigurationError(
            f"there are no semaphores ({error.strerror}), as /dev/shm is missing, full or closed to this user; mount a tmpfs "
            "there, and give a container its own shared memory (--shm-size)"
        ) from None


@contextlib.contextmanager
def descriptors_to(file: pathlib.Path, numbers: Sequence[int] = (1, 2)) -> Iterator[None]:
    """For the block, lets descriptors (1: standard output, 2: error) write at the end of `file`, whoever writes to them."""
    with contextlib.ExitStack() as kept, open(file, "ab", buffering=0) as log:
        before = {number: os.dup(number) for number in numbers}
        for copy in before.values():
            kept.callback(os.close, copy)
        _point({number: log.fileno() for number in numbers})
        try:
            yield
        finally:
            _point(before)


def _point(targets: Mapping[int, int]) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # a log on a full disk must not keep the terminal from its owner
            stream.flush()
    for number, target in targets.items():
        os.dup2(target, number)


class _MayGoAway(io.FileIO):
    """A terminal that may be closed, or a pipe that nobody may read to its end: what is written then is dropped."""

    def write(self, data) -> int | None:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def kept_aside(number: int) -> TextIO:
    """A copy of standard output (1) or error (2), on which no write fails."""
    raw = _MayGoAway(os.dup(number), "w")
    return io.TextIOWrapper(io.BufferedWriter(raw), errors="replace", line_buffering=raw.isatty())
