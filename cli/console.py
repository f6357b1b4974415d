"""What the user sees on a terminal while a run goes on.

TensorFlow, Beam and TFX write thousands of lines to file descriptors 1 and 2, many of them from C++. While a Console is open
both descriptors point to the log file; our own lines go to the terminal through descriptors kept aside.
"""

import contextlib
import enum
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import rich.console

from cli.live_view import TRAINS, LiveView
from cli.program import as_typed
from pipeline.events import Lines, attached_to
from pipeline.surroundings import descriptors_to, kept_aside

if TYPE_CHECKING:
    from trainer.loop import Progress

SHOW_CURSOR = b"\x1b[?25h\n"  # the live view hides it; DECTCEM of the VT220 and its successors


class Output(enum.Enum):
    """How much a run shows."""

    QUIET = "nothing but errors"
    NORMAL = "a live view on a terminal; a line for each event elsewhere"
    VERBOSE = "line by line, with what the libraries log"


class Console(Lines):
    """The terminal during a run: lines, or a live view in place of most of them.

    Attributes:
      terminal: a rich console on the caller's own standard output.
      errors: the same on standard error.
      view: the nodes, with their states, and their picture.
    """

    def __init__(self, terminal: rich.console.Console, errors: rich.console.Console, output: Output = Output.NORMAL):
        super().__init__(self._print)
        self.terminal = terminal
        self.errors = errors
        self.output = output
        self.verbose = output == Output.VERBOSE
        self.view = LiveView(terminal)

    def start(self) -> None:
        """Begins the live view, if the output has one."""
        if self.output == Output.NORMAL and self.terminal.is_terminal and not self.terminal.is_dumb_terminal:
            self.view.start()

    def end_live_view(self, state: str | None = None) -> None:
        """Ends the live view; its last picture stays on the screen.

        Args:
          state: of the node that was running, "failed" or "interrupted"; None where none was.
        """
        if state and self.view.state(self.node) == "running":
            self.view.set(self.node, state=state)
        self.view.notice = ""
        self.view.stop()

    def _print(self, line: str) -> None:
        """Prints one line as it is: square brackets and file names are not markup."""
        if self.output != Output.QUIET:
            self.terminal.print(line, markup=False, highlight=False, soft_wrap=True)

    def tell(self, line: str, progress: "Progress | None" = None, lasting: bool = False) -> None:
        """Shows what the running node says: beside its name in the live view, or as a line if `lasting` or without that view."""
        if not self.view.is_live or self.node is None or lasting:
            super().tell(line, progress)
            return
        if progress is not None:
            self.advance(progress)
        self.view.set(self.node, line=line.replace("\n", " "))

    def advance(self, progress: "Progress") -> None:
        """Notes the progress of pre-training."""
        super().advance(progress)
        self.view.advance(progress)

    def fail(self, line: str) -> None:
        """Prints one paragraph on standard error."""
        self.errors.print(as_typed(line), markup=False, highlight=False, soft_wrap=True)

    def interrupting(self, name: str) -> None:
        """Says that the run was asked to end. Safe in a signal handler: touches no stream that might be in use."""
        training = self.view.state(TRAINS) == "running"
        does = "finishes its step and writes a checkpoint" if training else "ends the running node"
        self.view.notice = f"{name}: {does}; Ctrl-C again ends at once"
        if not self.view.is_live and self.output != Output.QUIET:
            self._write(f"{self.view.notice}\n".encode())

    def ending_at_once(self) -> None:
        """Leaves the terminal usable. Safe in a signal handler."""
        if self.view.is_live:
            self._write(SHOW_CURSOR)

    def _write(self, text: bytes) -> None:
        with contextlib.suppress(OSError):  # the signal may be that of a terminal that has gone
            os.write(self.terminal.file.fileno(), text)

    def expect(self, nodes: Sequence[str]) -> None:
        """Names the nodes that will run, in their order."""
        self.view.expect(nodes)

    def node_starts(self, name: str) -> None:
        super().node_starts(name)
        self.view.start_node(name)

    def node_cached(self) -> None:
        super().node_cached()
        self.view.set(self.node, state="cached")

    def node_ends(self, name: str) -> None:
        self.view.end_node(name)
        super().node_ends(name)

    def _say_end(self, name: str) -> None:
        if not self.view.is_live:
            super()._say_end(name)


@contextlib.contextmanager
def console(log_file: pathlib.Path, output: Output = Output.NORMAL) -> Iterator[Console]:
    """For the block, sends descriptors 1 and 2 and all logging to `log_file`, and only what is for the user to the terminal.

    A terminal that is closed meanwhile, or a pipe that nobody reads any more, changes nothing else.
    """
    with kept_aside(1) as out, kept_aside(2) as err, descriptors_to(log_file):
        shown = Console(_rich(out), _rich(err), output)
        with attached_to(shown):
            shown.start()
            try:
                yield shown
            finally:
                shown.end_live_view()


@contextlib.contextmanager
def without_library_noise() -> Iterator[None]:
    """Drops what is written to descriptor 2 during the block: TensorFlow logs to it from C++, whatever the log level."""
    with descriptors_to(pathlib.Path(os.devnull), (2,)):
        yield


def _rich(stream) -> rich.console.Console:
    # A file has no width to fit: a table in it must not be cut at 80 columns.
    return rich.console.Console(file=stream, width=None if stream.isatty() else 120)
