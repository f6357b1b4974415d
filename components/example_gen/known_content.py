"""Content hashes of the files on this machine that are not read again, as nothing about them has changed since they were.

The cache has for each file size, time of the last change, inode, and the hash of the content that was read then. A file is read
again if one of them differs, or the time of its last change of status, which no tool can set back. A full check reads all.

A file that was changed in the same tick of the clock in which it was read could change once more and look the same (Git calls that
racy). So a file that is younger than GRANULARITY_NS when it is read is not kept. A cache that is damaged or of another release
is ignored with a note. It is written and read line by line, and a file takes 64 bytes in memory beside its name, as there can be
millions.
"""

import hashlib
import json
import os
import struct
import time
from collections.abc import Callable

from components.example_gen import folder
from components.example_gen.listing import UNREADABLE, Candidate, is_local
from contracts import files
from contracts.text import visible

SCHEMA_VERSION = 2  # 1 was one JSON document
FIRST_LINE = json.dumps({"schema_version": SCHEMA_VERSION}).encode() + b"\n"
# Size, time of the last change, inode, and, last as no tool can set it back, time of the last change of status.
STATE = struct.Struct("<qqQq")
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
        self._kept: dict[str, bytes] = {}
        self._read: list[str] = []
        self._unread: list[str] = []
        self._unnoticed: list[str] = []

    def content(self, candidate: Candidate) -> str:
        """As `folder.content_of`: from the cache, if the file is as it was when it was read; a remote file is always read."""
        if candidate.reason or not is_local(candidate.location) or not (before := _state(candidate.location)):
            return folder.content_of(candidate)
        known, moment = self._former.get(candidate.location, b""), self._now()
        if known[: STATE.size] == before and not self._full_check:
            self._unread.append(candidate.path)
            self._kept[candidate.location] = known
            return known[STATE.size :].hex()
        found = folder.content_of(candidate)
        self._read.append(candidate.path)
        if found == UNREADABLE:
            return found
        kept = before + bytes.fromhex(found)
        last = STATE.size - 8  # where the time of the last change of status begins
        if known[:last] == before[:last] and known[STATE.size :] != kept[STATE.size :]:
            self._unnoticed.append(candidate.path)
        _, changed, _, status_changed = STATE.unpack(before)
        settled = max(changed, status_changed) < moment - GRANULARITY_NS
        if settled and _state(candidate.location) == before:
            self._kept[candidate.location] = kept
        return found

    def save(self, complete: bool = True) -> None:
        """Writes the cache. `complete`: every file was asked about, so that what is known of others is no longer needed."""
        kept = self._kept if complete else self._former | self._kept
        if kept == self._former:
            return
        digest = hashlib.sha256()
        with files.written(self._path) as file:
            file.write(FIRST_LINE)
            for location, known in kept.items():
                # ASCII, as file names need not be UTF-8.
                line = json.dumps([location, *STATE.unpack(known[: STATE.size]), known[STATE.size :].hex()]).encode() + b"\n"
                digest.update(line)
                file.write(line)
            file.write(json.dumps({"sha256": digest.hexdigest()}).encode() + b"\n")

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


def _state(location: str) -> bytes | None:
    """STATE of a file; None if it cannot be asked about, or has a time that no clock of 64 bits tells, as a damaged disk may have."""
    try:
        found = os.stat(location)
        return STATE.pack(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)
    except (OSError, struct.error):
        return None


def _read(path: str | os.PathLike) -> tuple[dict[str, bytes], list[str]]:
    """What is known, by location STATE and the 32 bytes of the hash; and a note if the file could not be used."""
    known, digest, last = {}, hashlib.sha256(), b""
    try:
        with files.opened(path) as lines:
            if next(lines, b"") == FIRST_LINE:
                for line in lines:
                    if line.startswith(b"{"):
                        last = line
                        break
                    digest.update(line)
                    location, *state, content = json.loads(line)
                    known[location] = STATE.pack(*state) + bytes.fromhex(content)
        if last and json.loads(last) == {"sha256": digest.hexdigest()}:
            return known, []
        problem = "it is damaged or of another release"
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError, TypeError, struct.error) as error:
        problem = str(error)
    return {}, [f"What is known of photographs, {path}, cannot be used ({visible(problem)}); all are read again"]
