"""Python, system, processor and installed packages. Nothing here needs more than Python itself and `packaging`."""

import importlib.metadata
import os
import pathlib
import platform
import sys
from collections.abc import Callable, Iterator

from packaging.requirements import Requirement

from pipeline.doctor.finding import FAIL, OK, WARN, Finding, judge

# What the pinned lists are made for (pyproject.toml), and what the prepared libraries need (environment/glibc_backport.py).
PYTHONS = ((3, 11), (3, 13))
OLDEST_GLIBC = (2, 34)


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
                 "x86-64 Linux with glibc 2.34 or newer is needed; the container image brings it")  # fmt: skip


def processor(cpuinfo: pathlib.Path = pathlib.Path("/proc/cpuinfo")) -> Finding:
    """Number of usable cores, and the instructions that TensorFlow's kernels are built for."""
    cores = len(os.sched_getaffinity(0))
    flags = next((line.split(":")[1].split() for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), [])
    if "avx" not in flags:
        return Finding(FAIL, "processor", "has no AVX, which TensorFlow's packages are built for", "use another machine")
    fast = {"avx2", "fma"} <= set(flags)
    return judge(fast, "processor", f"{cores} core{'s' if cores > 1 else ''}{'' if fast else ' without AVX2 and FMA'}",
                 "training works, but several times as slow", WARN)  # fmt: skip


def packages(
    requirements: list[str] | None = None, version_of: Callable[[str], str] = importlib.metadata.version
) -> Iterator[Finding]:
    """Whether what pyproject.toml asks for is installed, in the version that it asks for."""
    if requirements is None:
        try:
            requirements = importlib.metadata.requires("flowers") or []
        except importlib.metadata.PackageNotFoundError:
            yield Finding(WARN, "packages", "the project itself is not installed: cannot tell what it needs", "make setup")
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
    yield judge(not wrong, "packages", "; ".join(wrong) or f"{len(needed)} as pyproject.toml asks", "make setup")


def variables(environment: dict[str, str] | None = None) -> Iterator[Finding]:
    """Variables that change what libraries do; the command line has set those that the user left alone."""
    environment = dict(os.environ) if environment is None else environment
    onednn = environment.get("TF_ENABLE_ONEDNN_OPTS")
    yield judge(onednn != "0", "oneDNN", "on" if onednn != "0" else "switched off by TF_ENABLE_ONEDNN_OPTS=0",
                "unset TF_ENABLE_ONEDNN_OPTS: a training step can take several times as long without it", WARN)  # fmt: skip
    telemetry = environment.get("MLFLOW_DISABLE_TELEMETRY", "").lower() in ("true", "1")
    yield judge(telemetry, "MLflow telemetry", "off" if telemetry else "on", "export MLFLOW_DISABLE_TELEMETRY=true", WARN)
    if "TF_CONFIG" in environment:
        yield Finding(FAIL, "TF_CONFIG", "names other machines; flowers run is one process", "unset TF_CONFIG (see docs/gpu.md)")


def memory(needed_bytes: int, what_for: str, meminfo: pathlib.Path = pathlib.Path("/proc/meminfo"),
           limit: pathlib.Path = pathlib.Path("/sys/fs/cgroup/memory.max")) -> Finding:  # fmt: skip
    """Whether the memory that is available, within the limit of a container, holds what a run needs."""
    available = int(next(line.split()[1] for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable"))) * 1024
    if limit.exists() and limit.read_text().strip().isdigit():
        available = min(available, int(limit.read_text()))
    says = f"{available / 1e9:.1f} GB available, about {needed_bytes / 1e9:.1f} GB needed for {what_for}"
    if available >= needed_bytes:
        return Finding(OK, "memory", says)
    return Finding(WARN, "memory", says, "lower pretrain.batch_size or pretrain.memory_megabytes, or end other programs")
