"""What a registered version is, and the registry's errors; no library behind it."""

import datetime
import hashlib
from dataclasses import dataclass

CHAMPION = "champion"  # alias of the one version that is in use and that candidates are compared with

# Tags by which the registry itself works; `registry_pusher` adds the others.
CONTENT_HASH = "content_hash"  # of the backbone directory, by contracts.content_hash
PROBE_CONTENT_HASH = "probe_content_hash"  # of the probe directory
BASELINE_VERSION = "baseline_version"  # the champion that this version was judged against; empty: there was none
CARD_HASH = "card_sha256"  # SHA-256 of MODEL_CARD.md
WITHHELD = "champion_withheld"  # why a blessed version did not become champion when it was published; empty: it did
ACCURACY = "accuracy"  # of the probe on the eval split, in [0, 1], as the gate measured it
EVAL_SPLIT = "eval_split"  # SHA-256 of the eval split's content: accuracies on the same one can be compared
RUN_ID = "run_id"  # the run that published it last
RECIPE = "recipe"  # SHA-256 of everything that determines a candidate


def recipe_with_data(recipe_without_data: str, data_fingerprint: str) -> str:
    """The tag RECIPE: SHA-256 (hex) of the part that settings and code give, and of the data's fingerprint."""
    return hashlib.sha256(f"{recipe_without_data}\0{data_fingerprint}".encode()).hexdigest()


class RegistryError(RuntimeError):
    """The registry cannot do what was asked; the message says why and what would help."""


@dataclass(frozen=True)
class Version:
    """One registered version.

    Attributes:
      name: the registered model.
      version: "1", "2", …; a string, as every registry has it.
      aliases: sorted; `champion` is in it for the version in use.
      tags: names to text.
      path: directory that holds backbone/ and probe/, absolute at the time of reading.
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
      problem: in words.
    """

    version: str
    path: str
    problem: str
