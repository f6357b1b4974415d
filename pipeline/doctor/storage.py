"""The disk below DIR: room, kind, clock, lock, and what old runs left there. Leaves nothing behind itself."""

import fcntl
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

from pipeline.doctor.finding import FAIL, OK, WARN, Finding, judge
from pipeline.layout import Layout

# A run of the preset `quick` leaves 12 MB; photographs are copied once, at most data.max_side pixels large. Below the first, not
# even checkpoints and MLflow's database are sure to fit.
LEAST_BYTES, ENOUGH_BYTES = 200e6, 2e9
# SQLite's locks do not hold there (sqlite.org/faq.html, question 5), so two runs could damage the metadata.
WITHOUT_LOCKS = ("nfs", "nfs4", "cifs", "smb3", "smbfs")
# Where they may or may not hold.
DOUBTFUL = ("fuse", "9p", "ceph", "lustre", "glusterfs", "overlay2")
MOST_SKEW_SECONDS = 2
STALE_DAYS = 30


def check(layout: Layout, mounts: pathlib.Path = pathlib.Path("/proc/self/mounts")) -> Iterator[Finding]:
    """All findings of the folder DIR, or of the one in which it would be made."""
    folder = layout.root
    while not folder.exists():
        folder = folder.parent
    try:
        written = _write(folder)
    except OSError as error:
        yield Finding(FAIL, "DIR", f"{folder} cannot be written to: {error.strerror}", "give another folder with --root")
        return
    yield Finding(OK, "DIR", f"{layout.root} can be {'written to' if folder == layout.root else f'made in {folder}'}")
    yield room(folder)
    yield file_system(folder, mounts)
    skew = abs(written - time.time())
    yield judge(skew <= MOST_SKEW_SECONDS, "clock", f"of {folder} is {skew:.0f} s off this machine's" if skew > MOST_SKEW_SECONDS
                else "of the file system agrees with this machine's",
                "set both by NTP: runs are ordered by time", WARN)  # fmt: skip
    yield lock(layout)
    yield checkpoints(layout)


def room(folder: pathlib.Path, free: int | None = None) -> Finding:
    """Whether the disk has room for a run."""
    free = shutil.disk_usage(folder).free if free is None else free
    mend = "free some, or give a folder on another disk with --root; docs/operations.md says what may be deleted"
    return Finding(OK if free >= ENOUGH_BYTES else WARN if free >= LEAST_BYTES else FAIL, "disk", f"{free / 1e9:.1f} GB free",
                   "" if free >= ENOUGH_BYTES else mend)  # fmt: skip


def file_system(folder: pathlib.Path, mounts: pathlib.Path) -> Finding:
    """Whether SQLite's locks hold on the file system of `folder`; `mounts` is as proc(5) describes /proc/self/mounts."""
    kind, longest = "unknown", -1
    for line in mounts.read_text().splitlines():
        place, found = (part.encode().decode("unicode_escape") for part in line.split()[1:3])
        if len(place) >= longest and folder.is_relative_to(place):
            kind, longest = found, len(place)
    mend = "give a folder on a local disk with --root: ML Metadata and the registry are SQLite databases"
    if kind in WITHOUT_LOCKS:
        return Finding(FAIL, "file system", f"{kind}, where SQLite's locks do not hold", mend)
    return judge(not kind.startswith(DOUBTFUL), "file system", kind, mend, WARN)


def lock(layout: Layout) -> Finding:
    """Whether a run is active below DIR."""
    if not layout.lock.exists():
        return Finding(OK, "lock", "no run is active")
    with open(layout.lock, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return Finding(FAIL, "lock", f"process {file.read().strip() or 'unknown'} runs below this DIR",
                           "wait for it, or give this run its own --root")  # fmt: skip
    return Finding(OK, "lock", "no run is active")


def checkpoints(layout: Layout, now: float | None = None) -> Finding:
    """What pre-trainings left: those not touched for STALE_DAYS are of no use unless that very run is to be continued."""
    now = time.time() if now is None else now
    sizes, stale = 0, []
    for folder in sorted(layout.checkpoints.glob("*/")):
        files = [path.stat() for path in folder.rglob("*") if path.is_file()]
        sizes += sum(file.st_size for file in files)
        if files and now - max(file.st_mtime for file in files) > STALE_DAYS * 86400:
            stale.append(str(folder))
    says = f"{sizes / 1e6:.0f} MB" + (f", {len(stale)} folders not touched for {STALE_DAYS} days" if stale else "")
    return judge(not stale, "checkpoints", says, f"rm -r {' '.join(stale)}", WARN)


def _write(folder: pathlib.Path) -> float:
    """Writes a file and removes it; returns the time that the file system gave it."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".flowers-doctor-") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
        return os.stat(file.name).st_mtime
