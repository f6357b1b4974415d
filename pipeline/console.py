"""What the user sees while a run goes on, and what goes to the log file instead. Called by the verb `run`.

TensorFlow, Beam and TFX write thousands of lines to file descriptors 1 and 2, many of them from C++. While a Console is open
both descriptors point to the log file; our own lines go to the terminal through descriptors kept aside.
"""

import contextlib
import dataclasses
import enum
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import rich.console
import rich.live

from pipeline import live_view, log_handlers

if TYPE_CHECKING:
    from trainer.progress import Progress

REFRESHES_A_SECOND = 4
SHOW_CURSOR = b"\x1b[?25h\n"  # the live view hides it; DECTCEM of the VT220 and its successors


class Output(enum.Enum):
    """How much a run shows."""

    QUIET = "nothing but errors"
    NORMAL = "a live view on a terminal; a line for each event where the output is none"
    VERBOSE = "line by line, with what the libraries log"


@dataclasses.dataclass
class Node:
    """A node of the DAG. `state`: waiting, running, complete, cached, failed or interrupted; `line`: what it said last."""

    state: str = "waiting"
    started: float = 0.0
    seconds: float = 0.0
    line: str = ""


class Console:
    """The terminal during a run.

    Attributes:
      terminal: a rich console on the caller's own standard output.
      errors: the same on standard error.
      nodes: by id, in the order of the run; those that have not started are there once `expect` has named them.
      node: id of the node that runs now or ran last; None before the first.
      progress: of the pre-training, the latest; None before it.
      notice: a line below the live view.
    """

    def __init__(self, terminal: rich.console.Console, errors: rich.console.Console, output: Output = Output.NORMAL):
        self.terminal = terminal
        self.errors = errors
        self.output = output
        self.nodes: dict[str, Node] = {}
        self.node: str | None = None
        self.progress: Progress | None = None
        self.notice = ""
        self._live = rich.live.Live(
            get_renderable=lambda: live_view.picture(self), console=terminal, refresh_per_second=REFRESHES_A_SECOND,
            redirect_stdout=False, redirect_stderr=False)  # fmt: skip

    @property
    def verbose(self) -> bool:
        return self.output == Output.VERBOSE

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time by node, of those that ended."""
        return {name: node.seconds for name, node in self.nodes.items() if node.state in ("complete", "cached")}

    def start(self) -> None:
        """Begins the live view, where there is one."""
        if self.output == Output.NORMAL and self.terminal.is_terminal and not self.terminal.is_dumb_terminal:
            self._live.start()

    def settle(self, state: str | None = None) -> None:
        """Ends the live view, which stays on the screen as it was last.

        Args:
          state: of the node that was running, "failed" or "interrupted"; None where none was.
        """
        if state and self.node is not None and self.nodes[self.node].state == "running":
            self.nodes[self.node].state = state
        self.notice = ""
        if self._live.is_started:
            self._live.stop()

    def say(self, line: str) -> None:
        """Prints one line as it is: square brackets and file names are not markup."""
        if self.output != Output.QUIET:
            self.terminal.print(line, markup=False, highlight=False, soft_wrap=True)

    def tell(self, line: str, progress: "Progress | None" = None, lasting: bool = False) -> None:
        """Shows what the running node says: beside its name in the live view, or as a line if it is to last or there is none."""
        if progress is not None:
            self.progress = progress
        if self._live.is_started and self.node is not None and not lasting:
            self.nodes[self.node].line = line
        else:
            self.say(f"  {line}")

    def fail(self, line: str) -> None:
        """Prints one paragraph on standard error."""
        self.errors.print(line, markup=False, highlight=False, soft_wrap=True)

    def interrupting(self, name: str) -> None:
        """Says that the run was asked to end. Called inside a signal handler: no stream is touched that might be in use."""
        training = self.node == live_view.TRAINS and self.nodes[self.node].state == "running"
        does = "finishes its step and writes a checkpoint" if training else "ends the node that runs"
        self.notice = f"{name}: {does}; Ctrl-C again ends at once"
        if not self._live.is_started and self.output != Output.QUIET:
            os.write(self.terminal.file.fileno(), f"{self.notice}\n".encode())

    def ending_at_once(self) -> None:
        """Leaves the terminal usable. Called inside a signal handler, as the last thing."""
        if self._live.is_started:
            os.write(self.terminal.file.fileno(), SHOW_CURSOR)

    def expect(self, nodes: Sequence[str]) -> None:
        """Names the nodes that will run, in their order."""
        self.nodes = {name: Node() for name in nodes}

    def node_starts(self, name: str) -> None:
        self.node = name
        self.nodes[name] = Node("running", time.monotonic())

    def node_cached(self) -> None:
        self.nodes[self.node].state = "cached"

    def node_ends(self, name: str) -> None:
        node = self.nodes[name]
        node.seconds = time.monotonic() - node.started
        if node.state == "running":
            node.state = "complete"
        if not self._live.is_started:
            self.say(f"{name:<17} {'cached' if node.state == 'cached' else f'{node.seconds:.1f} s'}")


@contextlib.contextmanager
def console(log_file: pathlib.Path, output: Output = Output.NORMAL) -> Iterator[Console]:
    """Sends descriptors 1 and 2 and all logging to `log_file`, and what is meant for the user to the terminal, for the block."""
    with (
        os.fdopen(os.dup(1), "w", errors="replace") as out,
        os.fdopen(os.dup(2), "w", errors="replace") as err,
        open(log_file, "ab", buffering=0) as log,
    ):
        _redirect(log.fileno(), log.fileno())
        try:
            shown = Console(_rich(out), _rich(err), output)
            with log_handlers.attached_to(shown):
                shown.start()
                try:
                    yield shown
                finally:
                    shown.settle()
        finally:
            _redirect(out.fileno(), err.fileno())


@contextlib.contextmanager
def without_library_noise() -> Iterator[None]:
    """Drops what is written to descriptor 2 during the block: TensorFlow greets on it from C++, whatever the log level."""
    with os.fdopen(os.dup(2), "w") as err, open(os.devnull, "w") as nowhere:
        _redirect(1, nowhere.fileno())
        try:
            yield
        finally:
            _redirect(1, err.fileno())


def _redirect(out: int, err: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(out, 1)
    os.dup2(err, 2)


def _rich(stream) -> rich.console.Console:
    # Where the output is no terminal there is no width to fit: a table must not be cut at 80 columns in a file.
    return rich.console.Console(file=stream, width=None if stream.isatty() else 120)
