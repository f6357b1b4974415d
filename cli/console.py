"""What the user sees while a run goes on, and what goes to the log file instead.

TensorFlow, Beam and TFX write thousands of lines to file descriptors 1 and 2, many of them from C++. While a Console is open
both descriptors point to the log file; our own lines go to the terminal through descriptors kept aside.
"""

import contextlib
import enum
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import rich.console
from absl import logging as absl_logging

from cli.live_view import TRAINS, LiveView
from cli.program import as_typed
from cli.surroundings import kept_aside
from contracts import interruption
from contracts.text import visible
from pipeline.identity import FIRST

if TYPE_CHECKING:
    from trainer.loop import Progress

# Loggers whose INFO lines are written for the user.
OUR_LOGGERS = ("pipeline", "components", "registry", "trainer", "vertex")

# Logs the progress of pre-training with every step, at level DEBUG.
PROGRESS_LOGGER = "trainer.loop"

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# LocalDagRunner shows its progress only by records of the logger `absl`, which are recognised by their unformatted text.
NODE_STARTS = "Component %s is running."
NODE_ENDS = "Component %s is finished."
NODE_CACHED = "A cached execution %d is used."
NODE_RUNS = "Going to run a new execution %d"


@contextlib.contextmanager
def attached_to(shown: "Console") -> Iterator[None]:
    """For the block, sends all logging to descriptor 2, now the log file, and to `shown` what it shows."""
    to_file = logging.StreamHandler(sys.stderr)
    to_file.setFormatter(logging.Formatter(LOG_FORMAT))
    to_file.setLevel(logging.INFO)
    everywhere = [to_file]
    if shown.verbose:
        everywhere.append(_LibrariesLines(shown))
    to_user = _OurLines(shown)
    nodes = _NodeEvents(shown)
    root, absl = logging.getLogger(), absl_logging.get_absl_logger()
    before = root.handlers[:], root.level, absl_logging.get_verbosity()
    root.handlers[:] = everywhere
    root.setLevel(logging.INFO)
    # Not setLevel: TensorFlow saves and restores the verbosity when it exports a model.
    absl_logging.set_verbosity(absl_logging.INFO)
    absl.addHandler(nodes)
    logging.getLogger(PROGRESS_LOGGER).setLevel(logging.DEBUG)
    for name in OUR_LOGGERS:
        logging.getLogger(name).addHandler(to_user)
    try:
        yield
    finally:
        root.handlers[:], root.level = before[:2]
        absl_logging.set_verbosity(before[2])
        absl.removeHandler(nodes)
        logging.getLogger(PROGRESS_LOGGER).setLevel(logging.NOTSET)
        for name in OUR_LOGGERS:
            logging.getLogger(name).removeHandler(to_user)


class _OurLines(logging.Handler):
    """Shows INFO and above of our own loggers, and notes the progress that comes with a record of any level."""

    def __init__(self, shown: "Console"):
        super().__init__(logging.DEBUG)
        self._shown = shown

    def emit(self, record: logging.LogRecord) -> None:
        progress = getattr(record, "progress", None)
        if record.levelno >= logging.INFO:
            self._shown.tell(record.getMessage(), progress, lasting=record.levelno >= logging.WARNING)
        elif progress is not None:
            self._shown.advance(progress)


class _LibrariesLines(logging.Handler):
    """Shows INFO and above of all other loggers."""

    def __init__(self, shown: "Console"):
        super().__init__(logging.INFO)
        self._shown = shown
        self.setFormatter(logging.Formatter(LOG_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] not in OUR_LOGGERS:
            self._shown.say(self.format(record))


class _NodeEvents(logging.Handler):
    """Turns the runner's records into node starts and ends."""

    def __init__(self, shown: "Console"):
        super().__init__(logging.INFO)
        self._shown = shown

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == NODE_STARTS:
            # A library may have swallowed the KeyboardInterrupt that ended the previous node.
            interruption.check()
            self._shown.node_starts(record.args[0])
        elif record.msg == NODE_CACHED:
            self._shown.node_cached()
        elif record.msg == NODE_RUNS:
            self._shown.node_runs()
        elif record.msg == NODE_ENDS:
            self._shown.node_ends(record.args[0])


# Reasons why a node runs that fit a line; run.json has all.
REASONS = 3
SHOW_CURSOR = b"\x1b[?25h\n"  # the live view hides it; DECTCEM of the VT220 and its successors


class Output(enum.Enum):
    """How much a run shows."""

    QUIET = "nothing but errors"
    NORMAL = "a live view on a terminal; a line for each event elsewhere"
    VERBOSE = "line by line, with what the libraries log"


class Console:
    """The terminal during a run.

    Attributes:
      terminal: a rich console on the caller's own standard output.
      errors: the same on standard error.
      view: the nodes, with their states, and their picture.
      node: id of the node that runs now or ran last; None before the first.
      progress: of the pre-training, the latest; None before it.
      why: from the id of a node that runs to why it was not served from the cache.
      begins: called with the id of each node that begins.
    """

    def __init__(self, terminal: rich.console.Console, errors: rich.console.Console, output: Output = Output.NORMAL):
        self.terminal = terminal
        self.errors = errors
        self.output = output
        self.view = LiveView(terminal)
        self.node: str | None = None
        self.progress: Progress | None = None
        self.why: Callable[[str], list[str]] = lambda node: []
        self.begins: Callable[[str], None] = lambda node: None
        self._ended: list[str] = []

    @property
    def verbose(self) -> bool:
        return self.output == Output.VERBOSE

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time by node, of those that ended."""
        return {node: self.view.seconds(node) for node in self._ended}

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

    def say(self, line: str) -> None:
        """Prints one line as it is: square brackets and file names are not markup."""
        if self.output != Output.QUIET:
            self.terminal.print(line, markup=False, highlight=False, soft_wrap=True)

    def tell(self, line: str, progress: "Progress | None" = None, lasting: bool = False) -> None:
        """Shows what the running node says: beside its name in the live view, or as a line if `lasting` or without that view."""
        if progress is not None:
            self.advance(progress)
        if self.view.is_live and self.node is not None and not lasting:
            self.view.set(self.node, line=line.replace("\n", " "))
        else:
            self.say(f"  {line}")

    def advance(self, progress: "Progress") -> None:
        """Notes the progress of pre-training."""
        self.progress = progress
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
        self.node = name
        self.begins(name)
        self.view.start_node(name)

    def node_cached(self) -> None:
        self.view.set(self.node, state="cached")

    def node_runs(self) -> None:
        """Says why the node that started was not served from the cache, if it has run before."""
        reasons = self.why(self.node)
        if reasons and reasons != [FIRST]:
            more = f" and {len(reasons) - REASONS} more" if len(reasons) > REASONS else ""
            self.say(f"{self.node} runs: {visible('; '.join(reasons[:REASONS]))}{more}")

    def node_ends(self, name: str) -> None:
        self.view.end_node(name)
        self._ended.append(name)
        if not self.view.is_live:
            took = "cached" if self.view.state(name) == "cached" else f"{self.view.seconds(name):.1f} s"
            self.say(f"{name:<17} {took}")


@contextlib.contextmanager
def console(log_file: pathlib.Path, output: Output = Output.NORMAL) -> Iterator[Console]:
    """For the block, sends descriptors 1 and 2 and all logging to `log_file`, and only what is for the user to the terminal.

    A terminal that is closed meanwhile, or a pipe that nobody reads any more, changes nothing else.
    """
    with (
        kept_aside(1) as out,
        kept_aside(2) as err,
        open(log_file, "ab", buffering=0) as log,
    ):
        _redirect(log.fileno(), log.fileno())
        try:
            shown = Console(_rich(out), _rich(err), output)
            with attached_to(shown):
                shown.start()
                try:
                    yield shown
                finally:
                    shown.end_live_view()
        finally:
            _redirect(out.fileno(), err.fileno())


@contextlib.contextmanager
def without_library_noise() -> Iterator[None]:
    """Drops what is written to descriptor 2 during the block: TensorFlow logs to it from C++, whatever the log level."""
    with os.fdopen(os.dup(2), "w") as err, open(os.devnull, "w") as nowhere:
        _redirect(1, nowhere.fileno())
        try:
            yield
        finally:
            _redirect(1, err.fileno())


def _redirect(out: int, err: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # a log on a full disk must not keep the terminal from its owner
            stream.flush()
    os.dup2(out, 1)
    os.dup2(err, 2)


def _rich(stream) -> rich.console.Console:
    # A file has no width to fit: a table in it must not be cut at 80 columns.
    return rich.console.Console(file=stream, width=None if stream.isatty() else 120)
