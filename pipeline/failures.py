"""Turns an exception that ended a run into an exit status and one paragraph. Called by the verb `run`; pure."""

import re

from components.errors import DataRefused, SourceNotFound
from pipeline.exit_status import ExitStatus
from pipeline_config import ConfigurationError

# A library's message may hold a whole traceback or graph; the log has all of it.
LONGEST = 600

STATUS = {
    DataRefused: ("refused", ExitStatus.DATA_REFUSED),
    SourceNotFound: ("failed", ExitStatus.BAD_ARGUMENTS),
    ConfigurationError: ("failed", ExitStatus.BAD_ARGUMENTS),
    KeyboardInterrupt: ("interrupted", ExitStatus.INTERRUPTED),
}


def classify(error: BaseException) -> tuple[str, ExitStatus]:
    """run.json's `status` and the process's exit status for `error`."""
    cause = root_error(error)
    return next((value for kind, value in STATUS.items() if isinstance(cause, kind)), ("failed", ExitStatus.NODE_FAILED))


def paragraph(error: BaseException) -> str:
    """What went wrong in one paragraph: our own errors in their words, any other with its type, cut at LONGEST characters."""
    cause = root_error(error)
    if isinstance(cause, KeyboardInterrupt):
        return f"interrupted by {cause}" if str(cause) else "interrupted"
    text = re.sub(r"\s+", " ", str(cause)).strip()
    if len(text) > LONGEST:
        text = f"{text[:LONGEST].rstrip()} …"
    return text if isinstance(cause, tuple(STATUS)) else f"{type(cause).__name__}: {text}"


def root_error(error: BaseException) -> BaseException:
    """The error of ours that `error` was raised from, as Beam and TFX wrap what they catch; else `error` itself."""
    seen, chain = error, []
    while seen is not None and seen not in chain:
        if isinstance(seen, tuple(STATUS)):
            return seen
        chain.append(seen)
        seen = seen.__cause__ or seen.__context__
    return error
