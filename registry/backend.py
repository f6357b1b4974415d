"""What a registered version is, and the interface of a backend, which stores versions and decides nothing.

A backend keeps versions of one registered model: rows (number, tags, alias), tags of the model as a whole, and a directory of
files for each version. `publishing` and `lifecycle` decide which version is champion, what is pruned and what a crash left; they
change things only inside `writing()`. To add a backend, add a file here and a line in `opening`.

A crash between any two calls loses nothing, as long as a backend promises that

- each call takes effect completely or not at all, and the next reader sees it;
- `create_version` makes the row together with its tags;
- numbers count up and are never reused, not even after `delete_version`;
- tags hold at least 4,000 characters of any text (where a service allows fewer, keep them in a file beside the version's).

Files are read and written at `Version.path`. Where the place itself is no file system, that is a copy: `fetch` brings what the
place has into it, and `store` brings it to the place.
"""

import datetime
import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

CHAMPION = "champion"  # alias of the one version that is in use and that candidates are compared with

# Tags that the registry itself reads; components/pusher adds the others.
CONTENT_HASH = "content_hash"  # of the backbone directory, by contracts.content_hash
PROBE_CONTENT_HASH = "probe_content_hash"  # of the probe directory
BASELINE_VERSION = "baseline_version"  # the champion that this version was judged against; empty: there was none
CARD_HASH = "card_sha256"  # SHA-256 of MODEL_CARD.md
MLMODEL_HASH = "mlmodel_sha256"  # of the files that make it a model of MLflow; missing in versions without them
WITHHELD = "champion_withheld"  # why a blessed version did not become champion when it was published; empty: it did
ACCURACY = "accuracy"  # of the probe on the eval split, in [0, 1], as the gate measured it
FIGURE = "figure"  # by which the gate judged it (gate.metric), in [0, 1]; missing in earlier versions: ACCURACY
BEST_VERSION = "best_version"  # the best version so far, to which it was compared besides; empty: that was the champion
EVAL_SPLIT = "eval_split"  # SHA-256 of the eval split's content: accuracies on the same one can be compared
RUN_ID = "run_id"  # the run that published it last
SIGNED_BY = "signed_by_key"  # id of the key that signed it, by registry.keys; missing where none did
RECIPE = "recipe"  # SHA-256 of everything that determines a candidate


def whole_recipe(settings_and_code: str, data_fingerprint: str, start: str) -> str:
    """The tag RECIPE: SHA-256 (hex) of the part that settings and code give, of the data's fingerprint, and of the content hash of the
    backbone that pre-training started from, "" for random weights."""
    return hashlib.sha256("\0".join([settings_and_code, data_fingerprint, *filter(None, [start])]).encode()).hexdigest()


class RegistryError(RuntimeError):
    """The registry cannot do what was asked; the message says why and what would help."""


class NoSuchVersion(RegistryError):
    """There is no version of that number or alias."""


@dataclass(frozen=True)
class Version:
    """One registered version.

    Attributes:
      name: the registered model.
      version: "1", "2", …; a string, as every registry has it.
      aliases: sorted; `champion` is in it for the version in use.
      tags: names to text.
      path: directory that holds backbone/ and probe/, absolute at the time of reading; filled by `Backend.fetch`.
      created: UTC.
    """

    name: str
    version: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    path: str
    created: datetime.datetime


@dataclass(frozen=True)
class Difference:
    """One way in which the files of a version are not what was registered.

    Attributes:
      version: the version.
      path: file below the version's directory, or "." for the directory as a whole.
      problem: what is wrong, for messages.
    """

    version: str
    path: str
    problem: str


class Backend(Protocol):
    """The versions of one registered model at one place.

    Attributes:
      name: the registered model.
      place: where it is kept, for messages.
      keys: directory, local or remote, of the keys with which versions are signed, see registry.keys. It stands beside that of the
        files, not in it; "" while nothing says where they are.
    """

    name: str
    place: str
    keys: str

    def versions(self) -> list[Version]:
        """All versions, oldest first, with their aliases and tags; empty if nothing was registered yet. Creates nothing."""
        ...

    def model_tags(self) -> dict[str, str]:
        """Tags of the registered model as a whole; empty if it does not exist yet."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Creates what is missing (database, registered model) and locks out other writers for the block.

        If the process dies inside, others can write again. Not re-entrant.
        """
        ...

    def files_path(self, content_hash: str) -> str:
        """The directory, local or remote, for the files of the backbone with that hash; not created yet.

        `files.publish_files` fills it through tf.io.gfile, before `create_version`.
        """
        ...

    def fetch(self, version: Version, anew: bool = False) -> None:
        """Lets `version.path` have the files as the place has them, damaged or not: who uses them compares them first.

        Args:
          anew: also where an undamaged copy of them is there: to find out what the place has.
        """
        ...

    def store(self, version: Version, signature_alone: bool) -> None:
        """Lets the place have the files of a registered version as `version.path` has them; or of them the signature alone."""
        ...

    def create_version(self, content_hash: str, tags: Mapping[str, str]) -> str:
        """Registers the files at `files_path(content_hash)` with these tags and returns the new number."""
        ...

    def set_version_tag(self, version: str, key: str, value: str) -> None:
        """Sets one tag of a version, replacing its former value."""
        ...

    def set_model_tag(self, key: str, value: str) -> None:
        """Sets one tag of the registered model, replacing its former value."""
        ...

    def set_alias(self, alias: str, version: str) -> None:
        """Moves `alias` to this version in one step: at any moment it names the former version or the new one."""
        ...

    def delete_version(self, version: str) -> None:
        """Removes the row of a version that has no alias. Its files become leftovers."""
        ...

    def leftovers(self) -> list[str]:
        """Files that belong to no version, left by an interrupted publication or deletion, as `remove` takes them. Call in
        `writing()`."""
        ...

    def remove(self, leftover: str) -> None:
        """Deletes files that `leftovers` returned."""
        ...
