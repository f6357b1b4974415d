"""A made-up /proc and /sys/fs/cgroup: what Linux says of the limits of a process."""

import pathlib


def system(root: pathlib.Path, groups: str, limits: dict[str, str], meminfo: str = "") -> pathlib.Path:
    """Writes /proc/self/cgroup, /proc/meminfo and files of /sys/fs/cgroup, by their paths there, below `root`; returns that."""
    files = {"proc/self/cgroup": groups, "proc/meminfo": meminfo, **{f"sys/fs/cgroup/{name}": text for name, text in limits.items()}}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
