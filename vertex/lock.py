"""A lock that several machines share: an object in a bucket, which is created only if there is none.

Cloud Storage carries out a request with a generation precondition or not at all
(https://cloud.google.com/storage/docs/request-preconditions): of several that create the object at once one succeeds, and a lock
that was left behind is removed only if it is still the one that was found. Its holder renews it, so that a lock whose holder has
died can be told from one that is held for long.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

from pipeline_config import PIPELINE_NAME
from vertex import GoogleCloudError


@dataclasses.dataclass(frozen=True)
class Patience:
    """Seconds: between two looks at a lock of somebody else, between two renewals, until one that is not renewed is given up by its
    holder's death, and until waiting for it ends. A renewal can fail a few times before the lock counts as left behind; a publication
    lasts minutes, half an hour at most."""

    look: float = 2.0
    renew: float = 20.0
    expire: float = 120.0
    wait: float = 3600.0


class Taken(GoogleCloudError):
    """Others held the lock for the whole time that was waited."""


@contextlib.contextmanager
def held(project: str, address: str, patience: Patience = Patience(), lost: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds the lock `address` (gs://BUCKET/OBJECT) for the length of the block.

    Args:
      lost: called in a thread of its own if another process has taken the lock over, because this one could not renew it for long.

    Raises:
      Taken: others held it for the whole time that is waited.
      GoogleCloudError: it cannot be reached.
    """
    from google.api_core import exceptions
    from google.auth import exceptions as auth_exceptions
    from google.cloud import storage

    bucket, _, name = address.removeprefix("gs://").partition("/")
    try:
        blob = storage.Client(project=project).bucket(bucket).blob(name)
        generation = _acquire(blob, address, patience)
    except (exceptions.GoogleAPICallError, auth_exceptions.GoogleAuthError, OSError) as error:
        raise GoogleCloudError(f"the lock {address} cannot be taken: {error}", may_pass=True) from error
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(blob, generation, patience.renew, ended, lost), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        # Else it expires by itself; what was done under it is done.
        with contextlib.suppress(exceptions.GoogleAPICallError, OSError):
            blob.delete(if_generation_match=generation)


def _acquire(blob, address: str, patience: Patience) -> int:
    """Creates the object and returns its generation."""
    from google.api_core import exceptions

    give_up = time.monotonic() + patience.wait
    seen, since = None, 0.0
    holder = json.dumps({"process": os.getpid(), "machine": socket.gethostname(), "by": PIPELINE_NAME})
    while True:
        with contextlib.suppress(exceptions.PreconditionFailed):
            blob.upload_from_string(holder, content_type="application/json", if_generation_match=0)
            return blob.generation
        try:
            blob.reload()
        except exceptions.NotFound:
            continue  # it was released just now
        # By how long it has not changed as seen from here: the clocks of two machines differ.
        state, now = (blob.generation, blob.metageneration), time.monotonic()
        if state != seen:
            seen, since = state, now
        if now - since > patience.expire:
            with contextlib.suppress(exceptions.PreconditionFailed, exceptions.NotFound):
                blob.delete(if_generation_match=seen[0], if_metageneration_match=seen[1])
            continue
        if now > give_up:
            raise Taken(f"another process has held {address} for {patience.wait:g} s; it contains whose it is", may_pass=True)
        time.sleep(patience.look)


def _renew(blob, generation: int, seconds: float, ended: threading.Event, lost: Callable[[], None]) -> None:
    from google.api_core import exceptions
    from google.auth import exceptions as auth_exceptions

    while not ended.wait(seconds):
        try:
            blob.metadata = {"renewed": datetime.datetime.now(datetime.UTC).isoformat()}
            blob.patch(if_generation_match=generation)
        except (exceptions.PreconditionFailed, exceptions.NotFound):
            lost()
            return
        except (exceptions.GoogleAPICallError, auth_exceptions.GoogleAuthError, OSError):
            continue  # what fails now may succeed the next time, well before the lock expires
