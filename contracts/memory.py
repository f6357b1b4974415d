"""How much memory this process may use: what it was given, not what the machine has."""

import pathlib

from contracts import control_groups

# Of what a process may use, libraries, a training step and batches that are being read need the other half.
SHARE = 0.5


def limit(files: pathlib.Path = pathlib.Path("/")) -> int:
    """Bytes: the machine's memory, or less where the limit of a container or a service is less.

    The limit of every control group above the process's own holds too (Linux, admin-guide/cgroup-v2, `memory.max`; cgroup-v1/memory,
    `memory.limit_in_bytes`). What cannot be read does not count: without all of them it is that of the machine.

    Args:
      files: where /proc and /sys are.
    """
    return min([of_machine(files), *_limits(files)])


def of_machine(files: pathlib.Path = pathlib.Path("/")) -> int:
    """Bytes that the machine has."""
    return _stated(files, "MemTotal")


def available(files: pathlib.Path = pathlib.Path("/")) -> int:
    """Bytes that can still be used: what the machine has free or can free, or less where the limit is less."""
    return min([_stated(files, "MemAvailable"), *_limits(files)])


def budget(wanted: float, files: pathlib.Path = pathlib.Path("/")) -> float:
    """Bytes that something may take for itself: those `wanted`, but at most SHARE of the limit."""
    return min(wanted, SHARE * limit(files))


def _stated(files: pathlib.Path, name: str) -> int:
    lines = dict(line.split(":", 1) for line in (files / "proc/meminfo").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024  # stated in kB, which are 1,024 bytes (Linux, filesystems/proc)


def _limits(files: pathlib.Path) -> list[int]:
    found = []
    for version, folder in control_groups.folders("memory", files):
        try:
            # "max", or without a limit in version 1 a number that no machine has.
            found.append(int((folder / ("memory.limit_in_bytes" if version == 1 else "memory.max")).read_text()))
        except (OSError, ValueError):
            continue
    return found
