"""Settings that say how a trainer runs without changing its output: how often it saves, how much memory it uses, what it shows.

The caches of TFX and Vertex AI compare a node's parameters, so these settings must not be among them. They travel as JSON in an
environment variable of the process or container that trains.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping

VARIABLE = "FLOWERS_HOW_TO_RUN"


def as_text(settings: Mapping[str, object]) -> str:
    """The variable's value: the same text for the same settings."""
    return json.dumps(settings, sort_keys=True)


def settings(environment: Mapping[str, str]) -> dict[str, object]:
    """The settings in the variable; empty if it is not set, so that each has its default of pipeline_config."""
    return json.loads(environment.get(VARIABLE) or "{}")


@contextlib.contextmanager
def in_this_process(text: str) -> Iterator[None]:
    """Sets the variable for the block, and restores its former value afterwards."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = text
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
