"""Where log records go while a run goes on: all to the log file, ours and the runner's to the console too. Called by it."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from absl import logging as absl_logging

from contracts import interruption

if TYPE_CHECKING:
    from pipeline.console import Console

# Loggers whose INFO lines are written for the user.
OUR_LOGGERS = ("pipeline", "components", "trainer")

# The one that tells with every step how far pre-training is, at level DEBUG.
PROGRESS_LOGGER = "trainer.progress"

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# The only sign that LocalDagRunner gives of where it is: records of the logger `absl`, known by their unformatted text.
NODE_STARTS = "Component %s is running."
NODE_ENDS = "Component %s is finished."
NODE_CACHED = "A cached execution %d is used."


@contextlib.contextmanager
def attached_to(shown: "Console") -> Iterator[None]:
    """Sends all logging to descriptor 2, which is the log file by now, and to `shown` what it shows, for the block."""
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
            self._shown.progress = progress


class _LibrariesLines(logging.Handler):
    """Shows INFO and above of everybody else."""

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
            # A library may have swallowed the KeyboardInterrupt that broke off the node before.
            interruption.check()
            self._shown.node_starts(record.args[0])
        elif record.msg == NODE_CACHED:
            self._shown.node_cached()
        elif record.msg == NODE_ENDS:
            self._shown.node_ends(record.args[0])
