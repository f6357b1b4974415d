"""Content hashes of the files on this machine that are not read again, as nothing about them has changed since they were.

The cache has for each file size, time of the last change, inode, and the hash of the content that was read then. A file is read
again if one of them differs, or the time of its last change of status, which no tool can set back. A full check reads all.

A file that was changed in the same tick of the clock in which it was read could change once more and look the same (Git calls that
racy). So a file that is younger than GRANULARITY_NS when it is read is not kept. A cache that is damaged or of another release
is ignored with a note.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable

from components.example_gen import folder
from components.example_gen.listing import UNREADABLE, Candidate, is_local
from contracts import files
from contracts.text import visible

SCHEMA_VERSION = 1
# FAT counts time in steps of two seconds, other file systems in finer ones.
GRANULARITY_NS = 2_000_000_000
MOST_NAMED = 20  # files that are named on the terminal


class KnownContent:
    """The cache at `path`, for one look at a source. `content` is what `source.inspect` asks, from several threads."""

    def __init__(self, path: str | os.PathLike, full_check: bool = False, now: Callable[[], int] = time.time_ns):
        """Reads the cache.

        Args:
          path: the cache, a local file that may be missing.
          full_check: read all files, and compare them with the cache.
          now: this machine's clock, in nanoseconds since 1970.
        """
        self._path, self._full_check, self._now = path, full_check, now
        self._former, self._notes = _read(path)
        self._kept: dict[str, list] = {}
        self._read: list[str] = []
        self._unread: list[str] = []
        self._unnoticed: list[str] = []

    def content(self, candidate: Candidate) -> str:
        """As `folder.content_of`: from the cache, if the file is as it was when it was read; a remote file is always read."""
        if candidate.reason or not is_local(candidate.location) or not (before := _state(candidate.location)):
            return folder.content_of(candidate)
        known, moment = self._former.get(candidate.location), self._now()
        if known and known[:-1] == before and not self._full_check:
            self._unread.append(candidate.path)
            self._kept[candidate.location] = known
            return known[-1]
        found = folder.content_of(candidate)
        self._read.append(candidate.path)
        if found == UNREADABLE:
            return found
        # All but the last change of status are the same.
        if known and known[:-2] == before[:-1] and known[-1] != found:
            self._unnoticed.append(candidate.path)
        settled = max(before[1], before[3]) < moment - GRANULARITY_NS
        if settled and _state(candidate.location) == before:
            self._kept[candidate.location] = [*before, found]
        return found

    def save(self, complete: bool = True) -> None:
        """Writes the cache. `complete`: every file was asked about, so that what is known of others is no longer needed."""
        kept = self._kept if complete else self._former | self._kept
        if kept == self._former:
            return
        entries = json.dumps(kept)  # ASCII, as file names need not be UTF-8
        header = {"schema_version": SCHEMA_VERSION, "sha256": hashlib.sha256(entries.encode()).hexdigest()}
        files.write_text(self._path, f"{json.dumps(header)}\n{entries}\n")

    def sentences(self) -> list[str]:
        """What there is to say of this look: whether the cache was used, and which files changed without looking changed."""
        said = list(self._notes)
        if self._unread:
            total = len(self._read) + len(self._unread)
            said.append(f"Read {len(self._read):,} of {total:,} files; the others are as they were when they were read before "
                        "(--full-check reads all)")  # fmt: skip
        named = sorted(self._unnoticed)
        said += [f"{visible(path)} has another content than when it was read before, although its size and time are the same"
                 for path in named[:MOST_NAMED]]  # fmt: skip
        if len(named) > MOST_NAMED:
            said.append(f"and so have {len(named) - MOST_NAMED:,} more")
        if self._full_check and not named:
            said.append(f"Read all {len(self._read):,} files; none has changed that looked unchanged")
        return said


def _state(location: str) -> list[int] | None:
    """Size, time of the last change, inode, and time of the last change of status; None if the file cannot be asked about."""
    try:
        found = os.stat(location)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns]


def _read(path: str | os.PathLike) -> tuple[dict[str, list], list[str]]:
    """What is known, by location the state and the hash; and a note if the file could not be used."""
    try:
        header, _, entries = files.read_text(path).partition("\n")
        entries = entries.removesuffix("\n")
        expected = {"schema_version": SCHEMA_VERSION, "sha256": hashlib.sha256(entries.encode()).hexdigest()}
        if json.loads(header) == expected:
            return json.loads(entries), []
        problem = "it is damaged or of another release"
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError) as error:
        problem = str(error)
    return {}, [f"What is known of photographs, {path}, cannot be used ({visible(problem)}); all are read again"]
