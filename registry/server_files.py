"""The files of a version on an MLflow server, and their copy on this machine, which is compared with what was registered.

A copy appears as a whole, by renaming. What a server lists and sends is not trusted: MLflow's client refuses names that lead
elsewhere, and only the server's own artifacts are read, so that no address that it states sends the user's password to another
machine.
"""

import contextlib
import filecmp
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry import files
from registry.backend import RegistryError
from registry.signatures import MANIFEST, PROVENANCE, SIGNATURE

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

# Artifacts that a server serves itself, by a path and no other host.
OF_THE_SERVER = re.compile(r"mlflow-artifacts:/(?!/)[^?#]+")
UNFINISHED = "unfinished-"
LOCK = "lock"


@dataclass(frozen=True)
class ServerFiles:
    """A folder of artifacts: `server` is http(s)://HOST:PORT, `address` what MLflow calls it."""

    server: str
    address: str

    def __post_init__(self):
        if not OF_THE_SERVER.fullmatch(self.address):
            raise RegistryError(
                f"the files are at {self.address}, and not on the MLflow server at {self.server} itself: start it with "
                "--serve-artifacts, without --default-artifact-root"
            )

    def upload(self, folder: str, signature_alone: bool) -> None:
        """Lets the artifacts be the files of a local folder, the manifest last; or of them the signature alone."""
        repository = self._repository()
        paths = [PROVENANCE, SIGNATURE]
        if not signature_alone:
            paths = sorted(_contents(folder), key=lambda path: (path == MANIFEST, path))
            if repository.list_artifacts():
                repository.delete_artifacts("")
        for path in paths:
            repository.log_artifact(os.path.join(folder, path), os.path.dirname(path) or None)

    def fetch(self, target: str, identity: Mapping[str, str], anew: bool) -> None:
        """Lets the local folder `target` have the artifacts, whatever they are; it is missing if there are none.

        Args:
          identity: as in `files.differences`. A copy that does not differ, and has the server's manifest, is not read again but
            for its signature.
          anew: read all of them in any case.
        """
        import filelock

        parent = os.path.dirname(target)
        os.makedirs(parent, exist_ok=True)
        with filelock.FileLock(os.path.join(parent, LOCK), fallback_to_soft=False):
            for leftover in os.listdir(parent):
                if leftover.startswith(UNFINISHED):  # by a process that was killed
                    shutil.rmtree(os.path.join(parent, leftover))
            with tempfile.TemporaryDirectory(dir=parent, prefix=UNFINISHED) as folder:
                if anew or files.differences(target, dict(identity)) or not self._renew_signature(target, folder):
                    self._replace(target, folder)

    def delete(self) -> None:
        """Deletes the artifacts."""
        self._repository().delete_artifacts("")

    def _renew_signature(self, target: str, folder: str) -> bool:
        """Lets a copy have the artifacts that speak of the others; if its manifest is another, does nothing and returns False."""
        repository = self._repository()
        there = {one.path for one in repository.list_artifacts()}
        if MANIFEST not in there or not _same(_download(repository, MANIFEST, folder), os.path.join(target, MANIFEST)):
            return False
        for name in (PROVENANCE, SIGNATURE):
            path = os.path.join(target, name)
            if name not in there:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(path)
            elif not _same(found := _download(repository, name, folder), path):
                os.replace(found, path)
        return True

    def _replace(self, target: str, folder: str) -> None:
        repository, new = self._repository(), os.path.join(folder, "new")
        os.mkdir(new)
        is_there = bool(repository.list_artifacts())
        if is_there:
            repository.download_artifacts("", dst_path=new)
        if os.path.isdir(target):
            paths = _contents(new)
            equal = paths == _contents(target) and all(_same(os.path.join(new, one), os.path.join(target, one)) for one in paths)
            if is_there and equal:
                return  # who is reading it goes on
            os.rename(target, os.path.join(folder, "old"))
        if is_there:
            os.rename(new, target)

    def _repository(self) -> "ArtifactRepository":
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(self.address, tracking_uri=self.server)


def _download(repository: "ArtifactRepository", name: str, folder: str) -> str:
    return repository.download_artifacts(name, dst_path=folder)


def _same(one: str, other: str) -> bool:
    return os.path.exists(other) and filecmp.cmp(one, other, shallow=False)


def _contents(folder: str) -> list[str]:
    return sorted(os.path.relpath(os.path.join(where, name), folder) for where, _, names in os.walk(folder) for name in names)
