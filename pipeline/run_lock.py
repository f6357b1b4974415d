"""One run at a time below one DIR. Called by the verb `run`.

ML Metadata's SQLite file and a pre-training's checkpoints take one writer. The operating system drops the lock with the
process, however it ends, so that a killed run never blocks the next one.
"""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator


class AnotherRunIsActive(RuntimeError):
    """Another process runs the pipeline below the same DIR."""


@contextlib.contextmanager
def run_lock(path: pathlib.Path) -> Iterator[None]:
    """Holds the lock at `path` (made if it is missing, with its folder) for the length of the block.

    Raises:
      AnotherRunIsActive: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise AnotherRunIsActive(
                f"another run (process {holder}) is active below {path.parent}; wait for it, or give this one its own --root"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
