"""The control groups of this process, by which Linux limits containers and services: where their files are, of both versions."""

import pathlib
from collections.abc import Iterator


def folders(controller: str, files: pathlib.Path = pathlib.Path("/")) -> Iterator[tuple[int, pathlib.Path]]:
    """Version (1 or 2) and folder of each group whose limits may hold for this process: its own and every one above it (Linux,
    admin-guide/cgroup-v2 and cgroup-v1). Folders may be missing; there are none where there are no control groups.

    Args:
      controller: of version 1, such as `cpu`; version 2 has one hierarchy for all.
      files: where /proc and /sys are.
    """
    try:
        lines = (files / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no control groups
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = files / "sys/fs/cgroup" / controllers
        # In a container the file system may begin at its own group, under whose full name there is nothing then.
        inside = pathlib.PurePosixPath(place.lstrip("/"))
        for folder in {root, *(root / part for part in (inside, *inside.parents))}:
            yield (1 if controllers else 2), folder
