"""`flowers doctor`'s checks of Python, system, processor, memory, installed packages, and the disk below DIR.

They need only Python itself and `packaging`, and leave nothing behind.
"""

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator

from packaging.requirements import Requirement

from contracts import memory as limits
from contracts.cores import cores
from contracts.layout import Layout, active_run
from pipeline import preconditions
from pipeline_config import ConfigurationError

# What the pinned lists are made for (pyproject.toml), and what the prepared libraries need (environment/glibc_backport.py).
PYTHONS = ((3, 11), (3, 13))

OLDEST_GLIBC = (2, 34)

# A run of the preset `quick` leaves 12 MB; photographs are copied once, at most data.max_side pixels large. Below the first, not
# even checkpoints and MLflow's database are sure to fit.
LEAST_BYTES, ENOUGH_BYTES = 200e6, 2e9

# File systems on which SQLite's locks do not hold (sqlite.org/faq.html, question 5), so that two runs could damage the metadata.
WITHOUT_LOCKS = ("nfs", "nfs4", "cifs", "smb3", "smbfs")

# File systems on which they may or may not hold.
DOUBTFUL = ("fuse", "9p", "ceph", "lustre", "glusterfs", "overlay2")

MOST_SKEW_SECONDS = 2

STALE_DAYS = 30

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
      level: OK; WARN: a run works, but not as well as it could, or the check could not be made; FAIL: a run would not work.
      subject: a few words.
      says: what was found.
      fix: what to do; "" if nothing is wrong.
    """

    level: str
    subject: str
    says: str
    fix: str = ""


def judge(good: bool, subject: str, says: str, fix: str, otherwise: str = FAIL) -> Finding:
    """OK if `good`, else `otherwise` with the fix."""
    return Finding(OK, subject, says) if good else Finding(otherwise, subject, says, fix)


def python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Finding:
    """Whether TFX and its companions exist for this Python."""
    text = ".".join(map(str, version))
    return judge(PYTHONS[0] <= version[:2] <= PYTHONS[1], "Python", text, "make PYTHON=python3.12 setup (3.11 to 3.13 work)")


def system(name: str = platform.system(), machine: str = platform.machine(), libc: str | None = None) -> Finding:
    """Whether TFX publishes its libraries for this system; `libc` is such as "glibc 2.36"."""
    libc = (os.confstr("CS_GNU_LIBC_VERSION") if libc is None else libc) or "another C library"
    family, _, number = libc.partition(" ")
    new_enough = family == "glibc" and tuple(map(int, number.split(".")[:2])) >= OLDEST_GLIBC
    return judge(name == "Linux" and machine == "x86_64" and new_enough, "system", f"{name} {machine}, {libc}",
                 "use x86-64 Linux with glibc 2.34 or newer, or the container image")  # fmt: skip


def processor(cpuinfo: pathlib.Path = pathlib.Path("/proc/cpuinfo"), count: int | None = None, machine: int | None = None) -> Finding:
    """How many cores this process may use, by its affinity and its container's quota, and the instructions that TensorFlow's kernels
    are built for; `count` and `machine` are these cores and the machine's."""
    count, machine = count or cores(), machine or os.cpu_count() or 1
    fewer = f" of {machine}, by affinity or a container's quota" if count < machine else ""
    flags = next((line.split(":")[1].split() for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), [])
    if "avx" not in flags:
        return Finding(FAIL, "processor", "has no AVX, which TensorFlow's packages are built for", "use another machine")
    fast = {"avx2", "fma"} <= set(flags)
    return judge(fast, "processor", f"{count} core{'s' if max(count, machine) > 1 else ''}{fewer}{'' if fast else ' without AVX2 and FMA'}",
                 "training takes several times as long; a newer processor is faster", WARN)  # fmt: skip


def packages(requirements: list[str] | None = None, version_of: Callable[[str], str] = importlib.metadata.version) -> Iterator[Finding]:
    """Whether the packages that pyproject.toml requires are installed in the required versions."""
    if requirements is None:
        try:
            requirements = importlib.metadata.requires("flowers") or []
        except importlib.metadata.PackageNotFoundError:
            yield Finding(WARN, "packages", "the project itself is not installed, so its requirements are unknown", "make setup")
            return
    wrong = []
    needed = [one for one in map(Requirement, requirements) if one.marker is None or one.marker.evaluate({"extra": ""})]
    for one in needed:
        try:
            found = version_of(one.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{one.name} is missing")
            continue
        if not one.specifier.contains(found, prereleases=True):
            wrong.append(f"{one.name} is {found}, not {one.specifier}")
    yield judge(not wrong, "packages", "; ".join(wrong) or f"{len(needed)} as pyproject.toml requires", "make setup")


def variables(environment: dict[str, str] | None = None) -> Iterator[Finding]:
    """Environment variables that change what libraries do; the command line has set those that the user has not."""
    environment = dict(os.environ) if environment is None else environment
    onednn = environment.get("TF_ENABLE_ONEDNN_OPTS")
    yield judge(onednn != "0", "oneDNN", "on" if onednn != "0" else "switched off by TF_ENABLE_ONEDNN_OPTS=0",
                "unset TF_ENABLE_ONEDNN_OPTS: a training step can take several times as long without it", WARN)  # fmt: skip
    telemetry = environment.get("MLFLOW_DISABLE_TELEMETRY", "").lower() in ("true", "1")
    yield judge(telemetry, "MLflow telemetry", "off" if telemetry else "on", "export MLFLOW_DISABLE_TELEMETRY=true", WARN)
    if "TF_CONFIG" in environment:
        yield Finding(FAIL, "TF_CONFIG", "names other machines; flowers run is one process", "unset TF_CONFIG (see docs/gpu.md)")


def memory(needed_bytes: int, what_for: str, files: pathlib.Path = pathlib.Path("/")) -> Finding:
    """Whether the available memory, within the limit of a container, is enough for a run; `files` is where /proc and /sys are."""
    available, limit = limits.available(files), limits.limit(files)
    within = f" within a limit of {limit / 1e9:.1f} GB" if limit < limits.of_machine(files) else ""
    says = f"{available / 1e9:.1f} GB available{within}, about {needed_bytes / 1e9:.1f} GB needed for {what_for}"
    if available >= needed_bytes:
        return Finding(OK, "memory", says)
    return Finding(WARN, "memory", says, "lower pretrain.batch_size or pretrain.memory_megabytes, or close other programs")


def check(layout: Layout, mounts: pathlib.Path = pathlib.Path("/proc/self/mounts")) -> Iterator[Finding]:
    """All findings about the folder DIR, or about the one in which it would be made."""
    try:
        preconditions.require_writable(layout)
        folder, written = preconditions.write_below(layout)
    except ConfigurationError as error:
        says, _, fix = str(error).partition("; ")
        yield Finding(FAIL, "DIR", says, fix)
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
    fix = "free some space, or give a folder on another disk with --root; docs/operations.md says what may be deleted"
    return Finding(OK if free >= ENOUGH_BYTES else WARN if free >= LEAST_BYTES else FAIL, "disk", f"{free / 1e9:.1f} GB free",
                   "" if free >= ENOUGH_BYTES else fix)  # fmt: skip


def file_system(folder: pathlib.Path, mounts: pathlib.Path) -> Finding:
    """Whether SQLite's locks hold on the file system of `folder`; `mounts` is as proc(5) describes /proc/self/mounts."""
    kind, longest = "unknown", -1
    for line in mounts.read_text().splitlines():
        place, found = (part.encode().decode("unicode_escape") for part in line.split()[1:3])
        if len(place) >= longest and folder.is_relative_to(place):
            kind, longest = found, len(place)
    fix = "give a folder on a local disk with --root: ML Metadata and the registry are SQLite databases"
    if kind in WITHOUT_LOCKS:
        return Finding(FAIL, "file system", f"{kind}, where SQLite's locks do not hold", fix)
    return judge(not kind.startswith(DOUBTFUL), "file system", kind, fix, WARN)


def lock(layout: Layout) -> Finding:
    """Whether a run is active below DIR."""
    process = active_run(layout.lock)
    return judge(process is None, "lock", f"process {process} runs below this DIR" if process else "no run is active",
                 "wait for it, or give this run its own --root")  # fmt: skip


def checkpoints(layout: Layout, now: float | None = None) -> Finding:
    """The checkpoints of pre-trainings: those not touched for STALE_DAYS are useless unless their run is to be continued."""
    now = time.time() if now is None else now
    sizes, stale = 0, []
    for folder in sorted(layout.checkpoints.glob("*/")):
        files = [path.stat() for path in folder.rglob("*") if path.is_file()]
        sizes += sum(file.st_size for file in files)
        if files and now - max(file.st_mtime for file in files) > STALE_DAYS * 86400:
            stale.append(str(folder))
    says = f"{sizes / 1e6:.0f} MB" + (f", {len(stale)} folders not touched for {STALE_DAYS} days" if stale else "")
    return judge(not stale, "checkpoints", says, f"rm -r {' '.join(stale)}", WARN)
