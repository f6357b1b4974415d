"""How a trainer runs, as far as that changes nothing of what it makes: how often it saves, what it may hold in memory, what it shows.

TFX's caches and Vertex AI's ask for a node's parameters, so that these settings must not be among them. They travel as JSON in an
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
    """What the variable says; empty where it is not set, so that each setting is as its field in pipeline_config says."""
    return json.loads(environment.get(VARIABLE) or "{}")


@contextlib.contextmanager
def in_this_process(text: str) -> Iterator[None]:
    """Sets the variable for the block; a value from outside does not count meanwhile."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = text
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
