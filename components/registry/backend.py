"""What a registry has to answer: the seam between what this project does with versions and where they are kept.

A backend keeps versions of one registered model: rows (number, tags, alias), tags of the model as a whole, and a directory of
files for each version. `mlflow_backend` is one; another is a further file here and a line in `opening`. It makes no decision:
which version is champion, what is pruned and what a crash left behind is worked out by `publishing` and `lifecycle`, of which
every function that changes something does so inside `writing()`.

What they rely on, so that a crash between any two calls loses nothing:

- each call takes effect completely or not at all, and whoever reads next sees it;
- `create_version` makes the row together with its tags;
- numbers count up and are never given twice, not even after `delete_version`;
- tags hold at least 4,000 characters of any text (where a service allows fewer, keep them in a file beside the version's).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from components.registry.version import Version


class Backend(Protocol):
    """The versions of one registered model at one place.

    Attributes:
      name: the registered model.
      place: where it is kept, in words for messages.
    """

    name: str
    place: str

    def versions(self) -> list[Version]:
        """All versions, oldest first, with their aliases and tags; empty where nothing was registered yet. Makes nothing."""
        ...

    def model_tags(self) -> dict[str, str]:
        """Tags of the registered model as a whole; empty where it does not exist yet."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Makes what is missing (database, registered model) and keeps other writers out for the length of the block.

        A process that dies inside must not keep the others out for good. Not re-entrant.
        """
        ...

    def files_path(self, content_hash: str) -> str:
        """The directory, local or remote, for the files of the backbone with that hash; nothing is made yet.

        `files.publish_files` fills it through tf.io.gfile, before `create_version`.
        """
        ...

    def create_version(self, content_hash: str, tags: Mapping[str, str]) -> str:
        """Registers the files at `files_path(content_hash)` with these tags and returns the new number."""
        ...

    def set_version_tag(self, version: str, key: str, value: str) -> None:
        """Sets one tag of a version, in place of its former value."""
        ...

    def set_model_tag(self, key: str, value: str) -> None:
        """Sets one tag of the registered model, in place of its former value."""
        ...

    def set_alias(self, alias: str, version: str) -> None:
        """Lets `alias` name this version and no other, in one step: at any moment it names the former or the new one."""
        ...

    def delete_version(self, version: str) -> None:
        """Removes the row of a version that has no alias. Its files become leftovers."""
        ...

    def leftovers(self) -> list[str]:
        """Directories of files that belong to no version, left by an interrupted publication or deletion. Call in `writing()`."""
        ...
