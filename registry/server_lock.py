"""A lock that machines share on an MLflow server, which knows neither locks nor transactions over several requests.

What a server does in one step is to make a registered model only if there is none of that name. So the lock is a registered model
NAME.lock.NUMBER: whoever makes the next number holds it, if the one before was released, or left behind by a process that died.
The highest number is never deleted, so that no number is made twice, and of two that want it one gets it. Its holder renews it;
one that has not changed for long, as seen from here, was left behind.
"""

import contextlib
import logging
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.text import visible
from registry.backend import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

logger = logging.getLogger(__name__)

# Tags of a lock: whose it is, how often it was renewed, and whether it is free again.
HOLDER, RENEWED, RELEASED = "flowers.holder", "flowers.renewed", "flowers.released"
# MLflow's error codes.
EXISTS, MISSING = "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True)
class Patience:
    """Seconds: between two looks at a lock of somebody else, between two renewals, until one that is not renewed counts as left
    behind, and until waiting for it ends. A renewal can fail a few times before that; a publication lasts minutes, half an hour
    at most."""

    look: float = 2.0
    renew: float = 20.0
    expire: float = 120.0
    wait: float = 3600.0


PATIENCE = Patience()


@contextlib.contextmanager
def held(client: "MlflowClient", name: str) -> Iterator[Callable[[], None]]:
    """Holds the lock of the registered model `name` for the length of the block.

    Yields:
      A function that raises RegistryError if another process has taken the lock over, as this one could not renew it for long.
      To be called before each change.

    Raises:
      RegistryError: others held it for the whole time that is waited.
      MlflowException: the server does not answer.
    """
    lock = _acquire(client, name)

    def require() -> None:
        newest = _newest(client, name)
        if newest is None or newest.name != lock:
            raise RegistryError(
                f"another process writes {name} now, as this one did not reach the server for {PATIENCE.expire:g} s: repeat the "
                "command, which completes what is missing"
            )

    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(client, lock, ended), daemon=True)
    renewing.start()
    try:
        yield require
    finally:
        ended.set()
        renewing.join()
        with _failures_passed_over():  # it expires by itself; what was done under it is done
            client.set_registered_model_tag(lock, RELEASED, "true")


def _acquire(client: "MlflowClient", name: str) -> str:
    """Makes the next lock and returns its name."""
    holder = f"{socket.gethostname()}, process {os.getpid()}, {secrets.token_hex(8)}"
    give_up = time.monotonic() + PATIENCE.wait
    seen, since, told = None, 0.0, False
    while True:
        newest, now = _newest(client, name), time.monotonic()
        # By how long it has not changed as seen from here: the clocks of two machines differ.
        state = newest and (newest.name, dict(newest.tags))
        if state != seen:
            seen, since = state, now
        if newest is None or RELEASED in newest.tags or now - since > PATIENCE.expire:
            lock = f"{name}.lock.{_number(newest) + 1:09d}"
            if _make(client, name, lock, holder) and _newest(client, name).name == lock:
                _delete_former(client, name, lock)
                return lock
            continue  # somebody else was faster
        if now > give_up:
            raise RegistryError(f"{_holder(newest)} has been writing {name} for {PATIENCE.wait:g} s; wait for it, or end it")
        if not told:
            told = True
            logger.info("Waiting for another process that is writing %s: %s", name, _holder(newest))
        time.sleep(PATIENCE.look)


def _make(client: "MlflowClient", name: str, lock: str, holder: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(lock, tags={HOLDER: holder})
    except MlflowException as error:
        if error.error_code != EXISTS:
            raise
        # It can be this process's own, if the answer to a first request was lost.
        return any(one.name == lock and one.tags.get(HOLDER) == holder for one in _locks(client, name))
    return True


def _delete_former(client: "MlflowClient", name: str, lock: str) -> None:
    from mlflow.exceptions import MlflowException

    for former in _locks(client, name):
        if former.name < lock:
            try:
                client.delete_registered_model(former.name)
            except MlflowException as error:
                if error.error_code != MISSING:
                    raise


def _renew(client: "MlflowClient", lock: str, ended: threading.Event) -> None:
    count = 0
    while not ended.wait(PATIENCE.renew):
        count += 1
        with _failures_passed_over():  # what fails now may succeed the next time, well before the lock expires
            client.set_registered_model_tag(lock, RENEWED, str(count))


@contextlib.contextmanager
def _failures_passed_over() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException, OSError):
        yield


def _newest(client: "MlflowClient", name: str) -> "RegisteredModel | None":
    return max(_locks(client, name), key=_number, default=None)


def _holder(lock: "RegisteredModel") -> str:
    return visible(lock.tags.get(HOLDER, "an unknown process")[:200])


def _number(lock: "RegisteredModel | None") -> int:
    return int(lock.name[-9:]) if lock else 0


def _locks(client: "MlflowClient", name: str) -> "list[RegisteredModel]":
    # LIKE takes an underscore in the name for any character.
    found = client.search_registered_models(f"name LIKE '{name}.lock.%'")
    return [one for one in found if re.fullmatch(rf"{re.escape(name)}\.lock\.[0-9]{{9}}", one.name)]
