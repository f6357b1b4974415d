"""How many processor cores this process may use: what it was given, not what the machine has."""

import os
import pathlib


def cores(files: pathlib.Path = pathlib.Path("/")) -> int:
    """The cores of the process's affinity (`taskset`), or fewer where a container's or a service's quota is less; at least 1.

    A quota is processor time per period (Linux, admin-guide/cgroup-v2, `cpu.max`; scheduler/sched-bwc for version 1); one of 1.5
    cores counts as 2. The quota of every control group above the process's own holds too.

    Args:
      files: where /proc and /sys are.
    """
    return max(1, min([len(os.sched_getaffinity(0)), *_quotas(files)]))


def _quotas(files: pathlib.Path) -> list[int]:
    try:
        lines = (files / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no control groups
        return []
    found = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = files / "sys/fs/cgroup" / controllers
        # In a container the file system may begin at its own group, under whose full name there is nothing then.
        inside = pathlib.PurePosixPath(place.lstrip("/"))
        for folder in {root, *(root / part for part in (inside, *inside.parents))}:
            found += _version_1(folder) if controllers else _version_2(folder)
    return found


def _version_2(folder: pathlib.Path) -> list[int]:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return []
    return [] if quota == "max" else [-(-int(quota) // int(period))]


def _version_1(folder: pathlib.Path) -> list[int]:
    try:
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):
        return []
    return [] if quota < 0 else [-(-quota // period)]
