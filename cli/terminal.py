"""The terminal of the verbs that use a registered version: consoles, errors in one line, a count of images, those left out."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import rich.console
import rich.progress

from cli.arguments import ExitStatus
from cli.console import without_library_noise
from cli.program import as_typed
from components.errors import DataRefused, SourceNotFound
from contracts.text import visible
from pipeline import full_disk
from registry.backend import RegistryError

if TYPE_CHECKING:
    from inference.embed import Described

# Where the output is no terminal there is no width to fit.
WIDTH_OF_FILES = 160


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def say_loading(say_line: Callable[[str], None] = _to_standard_error) -> None:
    """Says that libraries are being imported, which takes 5 to 25 seconds; nothing if they are here already."""
    if "tensorflow" not in sys.modules:
        say_line("Loading TensorFlow …")


@contextlib.contextmanager
def terminal() -> Iterator[tuple[rich.console.Console, rich.console.Console]]:
    """Consoles on standard output and on standard error; what libraries write to the latter is dropped meanwhile.

    It says first that they are loaded.
    """
    say_loading()
    with os.fdopen(os.dup(1), "w") as out, os.fdopen(os.dup(2), "w") as err, without_library_noise():
        shown, listed = (rich.console.Console(file=file, width=None if file.isatty() else WIDTH_OF_FILES) for file in (out, err))
        logger, warnings = logging.getLogger("registry"), _Warnings(listed)
        logger.addHandler(warnings)
        try:
            yield shown, listed
        finally:
            logger.removeHandler(warnings)


class _Warnings(logging.Handler):
    """Prints what a logger warns of, such as that a version is not signed: each sentence once."""

    def __init__(self, err: rich.console.Console):
        super().__init__(logging.WARNING)
        self._err, self._said = err, set()

    def emit(self, record: logging.LogRecord) -> None:
        if (sentence := record.getMessage()) not in self._said:
            self._said.add(sentence)
            say(self._err, f"flowers: {sentence}")


@contextlib.contextmanager
def mistakes(err: rich.console.Console) -> Iterator[list[ExitStatus]]:
    """Prints an error that the user can fix as one line. The list's only element is the exit status."""
    from inference.export import ExportDiffers, ExportRefused
    from inference.index import IndexFileError
    from inference.prediction_files import PredictionsRefused
    from inference.search import SearchRefused
    from inference.select import SelectionRefused

    status = [ExitStatus.FINISHED]
    try:
        yield status
    except (RegistryError, SourceNotFound, ExportRefused, IndexFileError, PredictionsRefused, SearchRefused,
            SelectionRefused) as error:  # fmt: skip
        status[0] = ExitStatus.BAD_ARGUMENTS
        say(err, f"flowers: {error}")
    except ExportDiffers as error:
        status[0] = ExitStatus.NODE_FAILED
        say(err, f"flowers: {error}")
    except DataRefused as error:
        status[0] = ExitStatus.DATA_REFUSED
        say(err, f"flowers: {error}")
    except OSError as error:  # such as a folder that may not be written
        if full_disk.is_full(error):
            raise
        status[0] = ExitStatus.NODE_FAILED
        say(err, f"flowers: {error}")


def counting(err: rich.console.Console) -> rich.progress.Progress:
    """A line that counts images; nothing if `err` is not a terminal."""
    return rich.progress.Progress(
        rich.progress.SpinnerColumn(), rich.progress.TextColumn("{task.completed:,} images"), rich.progress.TimeElapsedColumn(),
        console=err, transient=True, disable=not err.is_terminal)  # fmt: skip


def list_unreadable(progress: rich.progress.Progress, one: "Described") -> None:
    """Prints an image that is left out, above the line of `progress`."""
    # Not through the bar, which would fold long lines.
    say(progress.console, f"left out: {visible(one.path)}: {visible(f'{one.reason}: {one.detail}')}")


def say_left_out(out: rich.console.Console, unreadable: Mapping[str, int]) -> None:
    """Prints how many images were left out, by reason; nothing if there are none."""
    if unreadable:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(unreadable.items()))
        say(out, f"{sum(unreadable.values()):,} left out ({reasons}), listed above")


def say(console: rich.console.Console, line: str) -> None:
    """Prints one line as it is: not folded, square brackets are no markup."""
    console.print(as_typed(line), markup=False, highlight=False, soft_wrap=True)
