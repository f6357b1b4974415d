"""Folders instead of buckets, and what was written where.

Every gs:// path in a task's input is replaced by a path below one folder. So a rehearsal proves that tasks read and write only
where their input says; it does not prove that the same works on gs:// itself (TensorFlow's and Beam's file systems, permissions,
object semantics). A registry in Vertex AI becomes a local one, in the folder of its files.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable

GS = "gs://"
# As in registry.vertex_backend: project, region, the address of the files, and options.
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
        """`text`, which may be JSON that contains paths, with every gs:// path and every registry in Vertex AI replaced."""
        text = VERTEX_REGISTRY.sub(r"\1", text)
        if self.source:
            text = re.sub(re.escape(self.source) + r"(?![\w.-])", lambda _: self.data, text)
        return text.replace(GS, f"{self.folder}/")

    def folders_named_in(self, text: str) -> set[str]:
        """All paths below the buckets' folders that `text` contains."""
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
