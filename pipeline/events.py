"""What a run tells whoever started it: log records, turned into lines and into starts and ends of nodes.

TensorFlow, Beam and TFX write thousands of lines; they belong into the log file. `attached_to` sends all logging there, and what is
for the user to an object that shows it: `Lines`, or `cli.console.Console` with its live view.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from absl import logging as absl_logging

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

# Reasons why a node runs that fit a line; run.json has all.
REASONS = 3


class Lines:
    """A run as lines, one for each event.

    Attributes:
      verbose: whether what libraries log is shown too.
      node: id of the node that runs now or ran last; None before the first.
      progress: of the pre-training, the latest; None before it.
      seconds: wall time by node, of those that ended.
      why: from the id of a node that runs to why it was not served from the cache.
      begins: called with the id of each node that begins.
    """

    verbose = False

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self.node: str | None = None
        self.progress: Progress | None = None
        self.seconds: dict[str, float] = {}
        self.why: Callable[[str], list[str]] = lambda node: []
        self.begins: Callable[[str], None] = lambda node: None
        self._began = 0.0
        self._cached = False

    def say(self, line: str) -> None:
        """Shows one line."""
        self._say(line)

    def fail(self, line: str) -> None:
        """Shows what went wrong, in one paragraph."""
        self._say(line)

    def tell(self, line: str, progress: "Progress | None" = None, lasting: bool = False) -> None:
        """Shows what the running node says; what is not `lasting` may be replaced by its next line."""
        del lasting
        if progress is not None:
            self.advance(progress)
        self.say(f"  {line}")

    def advance(self, progress: "Progress") -> None:
        """Notes the progress of pre-training."""
        self.progress = progress

    def expect(self, nodes: Sequence[str]) -> None:
        """Names the nodes that will run, in their order."""

    def interrupting(self, name: str) -> None:
        """The run was asked to end, by the signal `name`. Called in a signal handler: touches no stream that might be in use."""

    def ending_at_once(self) -> None:
        """It was asked again. Called in a signal handler, which ends the process afterwards unless this raises.

        Raises:
          KeyboardInterrupt: always, as the process is that of whoever called.
        """
        raise KeyboardInterrupt("at once")

    def node_starts(self, name: str) -> None:
        self.node, self._began, self._cached = name, time.monotonic(), False
        self.begins(name)

    def node_cached(self) -> None:
        self._cached = True

    def node_runs(self) -> None:
        """Says why the node that started was not served from the cache, if it has run before."""
        reasons = self.why(self.node)
        if reasons and reasons != [FIRST]:
            more = f" and {len(reasons) - REASONS} more" if len(reasons) > REASONS else ""
            self.say(f"{self.node} runs: {visible('; '.join(reasons[:REASONS]))}{more}")

    def node_ends(self, name: str) -> None:
        self.seconds[name] = time.monotonic() - self._began
        self._say_end(name)

    def _say_end(self, name: str) -> None:
        self.say(f"{name:<17} {'cached' if self._cached else f'{self.seconds[name]:.1f} s'}")


@contextlib.contextmanager
def attached_to(shown: Lines) -> Iterator[None]:
    """For the block, sends all logging to sys.stderr as it is now, the log file, and to `shown` what it shows."""
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

    def __init__(self, shown: Lines):
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

    def __init__(self, shown: Lines):
        super().__init__(logging.INFO)
        self._shown = shown
        self.setFormatter(logging.Formatter(LOG_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] not in OUR_LOGGERS:
            self._shown.say(self.format(record))


class _NodeEvents(logging.Handler):
    """Turns the runner's records into node starts and ends."""

    def __init__(self, shown: Lines):
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
