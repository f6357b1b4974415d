"""Folders in the place of buckets, and what was written where. Called by `walk` and `task`.

Every gs:// path that a task is given is replaced by a path below one folder before the task sees it. So a rehearsal proves that
the tasks read and write where they are told to, and nowhere else; it does not prove that the same works against gs:// itself
(TensorFlow's and Beam's file systems, permissions, object semantics). A registry in Vertex AI becomes one of this machine, in the
folder of its files.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable

GS = "gs://"
# As registry.vertex_backend has it: project, region, the address of the files, and options.
VERTEX_REGISTRY = re.compile(r"vertex://[^/]+/[^/]+/(gs://[^\s\"'\\,?]+)(\?[^\s\"'\\,]*)?")


@dataclasses.dataclass(frozen=True)
class Storage:
    """What stands for Google Cloud Storage.

    Attributes:
      folder: gs://BUCKET/PATH is folder/BUCKET/PATH.
      source: the gs:// folder of photographs that the pipeline reads, or "".
      data: the local folder that stands for `source`.
    """

    folder: pathlib.Path
    source: str = ""
    data: str = ""

    def local(self, text: str) -> str:
        """`text`, which may be JSON with paths in it, with every gs:// path and every registry in Vertex AI replaced."""
        text = VERTEX_REGISTRY.sub(r"\1", text)
        if self.source:
            text = re.sub(re.escape(self.source) + r"(?![\w.-])", lambda _: self.data, text)
        return text.replace(GS, f"{self.folder}/")

    def folders_named_in(self, text: str) -> set[str]:
        """All paths below the buckets that stand in `text`."""
        return set(re.findall(re.escape(str(self.folder)) + r"/[^\s\"'\\,]+", text))


def snapshot(folders: Iterable[pathlib.Path | str]) -> dict[str, tuple[int, int]]:
    """Size and time of change (nanoseconds) of every file below the folders."""
    found = {}
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(parent, name)
                status = os.lstat(path)
                found[path] = (status.st_size, status.st_mtime_ns)
    return found


def written_outside(before: dict, after: dict, allowed: Iterable[str]) -> list[str]:
    """Files that are new, changed or gone and lie in none of the allowed folders."""
    inside = tuple(f"{folder.rstrip('/')}/" for folder in allowed)
    changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    return sorted(path for path in changed if not path.startswith(inside))
