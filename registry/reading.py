"""Finds versions, and compares their files with what was registered; changes nothing.

In every function `registry` is what `opening.open_registry` returned.
"""

from registry.backend import (
    CARD_HASH,
    CHAMPION,
    CONTENT_HASH,
    MLMODEL_HASH,
    PROBE_CONTENT_HASH,
    Backend,
    Difference,
    NoSuchVersion,
    Version,
)


def get_version(registry: Backend, version: str) -> Version:
    """The version of that number or alias.

    Raises:
      NoSuchVersion: there is none; the message lists those that exist.
    """
    versions = registry.versions()
    for candidate in versions:
        if version == candidate.version or version in candidate.aliases:
            return candidate
    known = ", ".join(v.version for v in versions) or "none"
    raise NoSuchVersion(f"{registry.name} at {registry.place} has no version or alias {version!r}; versions: {known}")


def champion(registry: Backend) -> Version | None:
    """The version that has the alias `champion`; None if there is none."""
    return champion_of(registry.versions())


def champion_of(versions: list[Version]) -> Version | None:
    """The one among `versions` that has the alias `champion`."""
    return next((v for v in versions if CHAMPION in v.aliases), None)


def verify(*versions: Version) -> list[Difference]:
    """Recomputes the hash of every file of these versions and returns each difference from what was registered."""
    from registry import files  # imports TensorFlow

    found = []
    for version in versions:
        identity = {key: version.tags.get(key, "") for key in (CONTENT_HASH, PROBE_CONTENT_HASH, CARD_HASH, MLMODEL_HASH)}
        found += [Difference(version.version, path, problem) for path, problem in files.differences(version.path, identity)]
    return found
