"""How many processor cores this process may use: what it was given, not what the machine has."""

import os
import pathlib

from contracts import control_groups


def cores(files: pathlib.Path = pathlib.Path("/")) -> int:
    """The cores of the process's affinity (`taskset`), or fewer where a container's or a service's quota is less; at least 1.

    A quota is processor time per period (Linux, admin-guide/cgroup-v2, `cpu.max`; scheduler/sched-bwc for version 1); one of 1.5
    cores counts as 2. The quota of every control group above the process's own holds too.

    Args:
      files: where /proc and /sys are.
    """
    quotas = [_version_1(folder) if version == 1 else _version_2(folder) for version, folder in control_groups.folders("cpu", files)]
    return max(1, min([len(os.sched_getaffinity(0)), *(quota for quota in quotas if quota is not None)]))


def _version_2(folder: pathlib.Path) -> int | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else -(-int(quota) // int(period))


def _version_1(folder: pathlib.Path) -> int | None:
    try:
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):
        return None
    return None if quota < 0 else -(-quota // period)
