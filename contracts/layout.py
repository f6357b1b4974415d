"""Where a run keeps things below DIR (`--root`), and the lock that lets one run at a time work there.

    DIR/metadata.sqlite        ML Metadata: every execution and artifact
    DIR/artifacts/             what the nodes wrote
    DIR/checkpoints/KEY/       of a pre-training, by what determines it
    DIR/datasets/              generated data sets
    DIR/photographs/           which photographs a source had, by its fingerprint: 16 bytes each; known-*.json, a line for each file read
    DIR/registry/              registered versions
    DIR/copies/                of versions in a shared registry, on a server
    DIR/keys/                  the key that signs them, and those that are trusted (registry/keys.py)
    DIR/runs/RUN_ID/           run.json and log.txt of a run
    DIR/latest                 link to the newest run

ML Metadata's SQLite file and a pre-training's checkpoints take one writer. The operating system drops the lock with the process,
however it ends, so that a killed run never blocks the next one.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import os
import pathlib
import secrets
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Layout:
    """The paths below one DIR, which is absolute: artifacts are found again from any working directory."""

    root: pathlib.Path

    @classmethod
    def at(cls, directory: str) -> "Layout":
        """The layout below `directory`, made absolute (`~` is the home directory)."""
        return cls(pathlib.Path(os.path.abspath(os.path.expanduser(directory))))

    @property
    def metadata(self) -> pathlib.Path:
        return self.root / "metadata.sqlite"

    @property
    def artifacts(self) -> pathlib.Path:
        return self.root / "artifacts"

    @property
    def datasets(self) -> pathlib.Path:
        return self.root / "datasets"

    @property
    def registry(self) -> pathlib.Path:
        return self.root / "registry"

    @property
    def copies(self) -> pathlib.Path:
        return self.root / "copies"

    @property
    def keys(self) -> pathlib.Path:
        return self.root / "keys"

    @property
    def checkpoints(self) -> pathlib.Path:
        return self.root / "checkpoints"

    @property
    def starts(self) -> pathlib.Path:
        """Copies of networks of others that pre-training started from."""
        return self.root / "starts"

    @property
    def lock(self) -> pathlib.Path:
        return self.root / "lock"

    @property
    def latest(self) -> pathlib.Path:
        return self.root / "latest"

    def photographs(self, fingerprint: str) -> pathlib.Path:
        return self.root / "photographs" / f"{fingerprint}.npy"

    def known_content(self, *sources: str) -> pathlib.Path:
        """What is known of the files of these sources: a file for each combination, so that those used in turn do not lose theirs."""
        digest = hashlib.sha256("\0".join(sources).encode("utf-8", "surrogateescape")).hexdigest()
        return self.root / "photographs" / f"known-{digest[:16]}.json"

    def run(self, run_id: str) -> pathlib.Path:
        return self.root / "runs" / run_id


def new_run_id(now: datetime.datetime) -> str:
    """A run id that sorts by time, such as `20260131-184502-3fa9`: UTC to the second, and 4 random hex digits."""
    return f"{now.astimezone(datetime.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def point_latest_at(layout: Layout, run_id: str) -> None:
    """Makes DIR/latest a link to the run's folder, in one step: a reader sees the old run or the new one, never neither."""
    beside = layout.root / f"latest.{run_id}"
    beside.unlink(missing_ok=True)
    beside.symlink_to(pathlib.Path("runs") / run_id)
    os.replace(beside, layout.latest)


class AnotherRunIsActive(RuntimeError):
    """Another process runs the pipeline below the same DIR."""


# `flowers doctor` holds the lock for an instant to see whether it is free; a run that starts just then must not be refused.
PROBE_SECONDS = 1.0


@contextlib.contextmanager
def run_lock(path: pathlib.Path) -> Iterator[None]:
    """Holds the lock at `path` (made if it is missing, with its folder) for the length of the block.

    Raises:
      AnotherRunIsActive: another process holds it.
    """
    import filelock  # not above: it takes a tenth of the time that a shell waits for a completion

    path.parent.mkdir(parents=True, exist_ok=True)
    # No fallback to filelock's soft lock, for file systems without flock: a killed run would leave it behind.
    lock = filelock.FileLock(path, timeout=PROBE_SECONDS, fallback_to_soft=False)
    try:
        held = lock.acquire()
    except filelock.Timeout:
        raise AnotherRunIsActive(
            f"another run (process {_holder(path)}) is active below {path.parent}; wait for it, or give this one its own --root"
        ) from None
    with held:
        path.write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield


def active_run(path: pathlib.Path) -> str | None:
    """The process that holds the lock at `path`: its id as text, or "unknown"; None if no run is active. Writes nothing."""
    try:
        with open(path, "rb") as file:
            # By hand, as FileLock has no shared mode: with an exclusive one two doctors would each take the other for a run.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _holder(path)
    return None


def _holder(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8").strip() or "unknown"
