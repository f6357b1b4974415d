"""What the user sees while a run goes on, and what goes to the log file instead. Called by the verb `run`.

TensorFlow, Beam and TFX write thousands of lines to file descriptors 1 and 2, many of them from C++. While a Console is open
both descriptors point to the log file; our own lines go to the terminal through descriptors kept aside.
"""

import contextlib
import logging
import os
import pathlib
import sys
import time
from collections.abc import Iterator

import rich.console
from absl import logging as absl_logging

# Loggers whose INFO lines are written for the user.
OUR_LOGGERS = ("pipeline", "components", "trainer")

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# The only sign that LocalDagRunner gives of where it is: two records of the logger `absl`, known by their unformatted text.
NODE_STARTS = "Component %s is running."
NODE_ENDS = "Component %s is finished."
NODE_CACHED = "A cached execution %d is used."


class Console:
    """The terminal during a run.

    Attributes:
      terminal: a rich console on the caller's own standard output.
      errors: the same on standard error.
      node: id of the node that runs now or ran last; None before the first.
      seconds: wall time by node, of those that ended.
    """

    def __init__(self, terminal: rich.console.Console, errors: rich.console.Console):
        self.terminal = terminal
        self.errors = errors
        self.node: str | None = None
        self.seconds: dict[str, float] = {}
        self._started = 0.0
        self._cached = False

    def say(self, line: str) -> None:
        """Prints one line as it is: square brackets and file names are not markup."""
        self.terminal.print(line, markup=False, highlight=False, soft_wrap=True)

    def fail(self, line: str) -> None:
        """Prints one paragraph on standard error."""
        self.errors.print(line, markup=False, highlight=False, soft_wrap=True)

    def node_starts(self, node: str) -> None:
        self.node, self._started, self._cached = node, time.monotonic(), False

    def node_cached(self) -> None:
        self._cached = True

    def node_ends(self, node: str) -> None:
        self.seconds[node] = time.monotonic() - self._started
        self.say(f"{node:<17} {'cached' if self._cached else f'{self.seconds[node]:.1f} s'}")


@contextlib.contextmanager
def console(log_file: pathlib.Path) -> Iterator[Console]:
    """Sends descriptors 1 and 2 and all logging to `log_file`, and what is meant for the user to the terminal, for the block."""
    with (
        os.fdopen(os.dup(1), "w") as out,
        os.fdopen(os.dup(2), "w") as err,
        open(log_file, "ab", buffering=0) as log,
    ):
        _redirect(log.fileno(), log.fileno())
        try:
            shown = Console(_rich(out), _rich(err))
            with _logging_to_file_and(shown):
                yield shown
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


@contextlib.contextmanager
def _logging_to_file_and(shown: Console) -> Iterator[None]:
    to_file = logging.StreamHandler(sys.stderr)  # descriptor 2, which is the log file by now
    to_file.setFormatter(logging.Formatter(LOG_FORMAT))
    to_user = _OurLines(shown)
    nodes = _NodeEvents(shown)
    root, absl = logging.getLogger(), absl_logging.get_absl_logger()
    before = root.handlers[:], root.level, absl_logging.get_verbosity()
    root.handlers[:] = [to_file]
    root.setLevel(logging.INFO)
    # Not setLevel: TensorFlow saves and restores the verbosity when it exports a model.
    absl_logging.set_verbosity(absl_logging.INFO)
    absl.addHandler(nodes)
    for name in OUR_LOGGERS:
        logging.getLogger(name).addHandler(to_user)
    try:
        yield
    finally:
        root.handlers[:], root.level = before[:2]
        absl_logging.set_verbosity(before[2])
        absl.removeHandler(nodes)
        for name in OUR_LOGGERS:
            logging.getLogger(name).removeHandler(to_user)


class _OurLines(logging.Handler):
    """Shows INFO and above of our own loggers."""

    def __init__(self, shown: Console):
        super().__init__(logging.INFO)
        self._shown = shown

    def emit(self, record: logging.LogRecord) -> None:
        self._shown.say(f"  {record.getMessage()}")


class _NodeEvents(logging.Handler):
    """Turns the runner's records into node starts and ends."""

    def __init__(self, shown: Console):
        super().__init__(logging.INFO)
        self._shown = shown

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == NODE_STARTS:
            self._shown.node_starts(record.args[0])
        elif record.msg == NODE_CACHED:
            self._shown.node_cached()
        elif record.msg == NODE_ENDS:
            self._shown.node_ends(record.args[0])
