"""Where a pre-training starts: from which registered version, or from random weights.

For a schedule's run that is decided from the schedule's finished runs alone, so that a run that was killed and the one that continues
it start alike.
"""

import posixpath
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from contracts import files, model_files
from pipeline_config import ConfigurationError, WarmStart
from registry import reading, trust
from registry.backend import CHAMPION, CONTENT_HASH, Backend, RegistryError
from registry.files import BACKBONE


class Finished(NamedTuple):
    """A run of a schedule that finished: the fingerprint of its photographs, and the version it started from, "" for random weights."""

    fingerprint: str
    version: str


def starting_version(
    finished: Sequence[Finished], wanted: str, from_scratch_every: int, fingerprint: str, registered: Sequence[str]
) -> tuple[str, str]:
    """The version that the next run starts from, "" for random weights, and why, in words.

    Args:
      finished: the runs of the schedule that finished, oldest first.
      wanted: number or alias of a version, as in --warm-start.
      from_scratch_every: each run of this number starts from random weights; 0: none but the first.
      fingerprint: of the photographs now.
      registered: numbers and aliases that exist.
    """
    if finished and finished[-1].fingerprint == fingerprint:
        # Else a week without a new photograph would train on from its own result, and never be served from the cache.
        former = finished[-1].version
        if not former or former in registered:
            return former, "as its last run did, since the photographs are the same"
    if wanted == CHAMPION and wanted not in registered:
        return "", "as there is no champion yet"
    warm = next((count for count, one in enumerate(reversed(finished)) if not one.version), len(finished))
    if from_scratch_every and warm + 1 >= from_scratch_every:
        return "", f"as --from-scratch-every {from_scratch_every} says"
    return wanted, "as --warm-start says"


def registered_names(registry: Backend) -> list[str]:
    """Every number and alias by which a version can be named."""
    return [name for version in registry.versions() for name in (version.version, *version.aliases)]


# What two networks must share for the weights of one to fit the other and to mean the same there.
SAME = ("backbone", "width", "stem", "resolution")


def warm_start(registry: Backend, wanted: str, network: Mapping[str, object], unverified: bool = False) -> WarmStart:
    """The backbone of a registered version, which has been compared with what was registered and signed.

    Args:
      registry: what `opening.open_registry` returned.
      wanted: number or alias of a version.
      network: the settings of SAME in the section `pretrain`.
      unverified: start from it in any case, see `trust.require_usable`.

    Raises:
      ConfigurationError: no such version, one that may not be used, or one whose network differs from the configured one.
    """
    try:
        version = reading.get_version(registry, wanted)
    except RegistryError as error:
        raise ConfigurationError(f"--warm-start {wanted}: {error}; a run without --warm-start makes a first one") from error
    try:
        trust.require_usable(registry, version, unverified)
    except RegistryError as error:
        raise ConfigurationError(f"--warm-start {wanted}: {error}, or choose another (`flowers registry list`)") from error
    backbone = posixpath.join(version.path, BACKBONE)
    record = files.read_json(posixpath.join(backbone, model_files.BACKBONE_RECORD))
    if other := record.get("pretrain", {}).get("warm_start", {}).get("network", ""):
        # What it was built like is in its files.
        return WarmStart(version.version, backbone, version.tags[CONTENT_HASH], other)
    for field in SAME:
        if record[field] != network[field]:
            raise ConfigurationError(
                f"--warm-start {wanted}: version {version.version} has {field} {record[field]}, but pretrain.{field} is "
                f"{network[field]}; set pretrain.{field}={record[field]}, or start without --warm-start"
            )
    return WarmStart(version.version, backbone, version.tags[CONTENT_HASH])
