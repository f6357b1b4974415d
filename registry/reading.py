"""Finds versions, and compares their files with what was registered; changes nothing.

In every function `registry` is what `opening.open_registry` returned.
"""

import os

from registry.backend import (
    BASELINE_VERSION,
    CARD_HASH,
    CHAMPION,
    CONTENT_HASH,
    PROBE_CONTENT_HASH,
    RECIPE,
    Backend,
    Difference,
    RegistryError,
    Version,
)


def get_version(registry: Backend, version: str) -> Version:
    """The version of that number or alias.

    Raises:
      RegistryError: there is none; the message lists those that exist.
    """
    versions = registry.versions()
    for candidate in versions:
        if version == candidate.version or version in candidate.aliases:
            return candidate
    known = ", ".join(v.version for v in versions) or "none"
    raise RegistryError(f"{registry.name} at {registry.place} has no version or alias {version!r}; versions: {known}")


def champion(registry: Backend) -> Version | None:
    """The version that has the alias `champion`; None if there is none."""
    return champion_of(registry.versions())


def champion_of(versions: list[Version]) -> Version | None:
    """The one among `versions` that has the alias `champion`."""
    return next((v for v in versions if CHAMPION in v.aliases), None)


def champion_for_gate(registry: Backend, recipe: str | None = None) -> dict[str, str] | None:
    """What the gate compares a candidate of this recipe with: {"version", "probe_uri", "content_hash" (of the probe)} or None.

    That is the champion. If the champion itself came from this recipe, it is the version that the champion was judged against, so
    that an unchanged run is served from the cache. Without a recipe it is always the champion.
    """
    versions = registry.versions()
    baseline = champion_of(versions)
    if baseline is not None and recipe is not None and baseline.tags.get(RECIPE) == recipe:
        predecessor = baseline.tags.get(BASELINE_VERSION, "")
        if not predecessor:
            return None
        baseline = next((v for v in versions if v.version == predecessor), baseline)
    if baseline is None:
        return None
    return {
        "version": baseline.version,
        "probe_uri": os.path.join(baseline.path, "probe"),
        # A version that another tool registered has none; the gate reports that.
        "content_hash": baseline.tags.get(PROBE_CONTENT_HASH, ""),
    }


def verify(*versions: Version) -> list[Difference]:
    """Recomputes the hash of every file of these versions and returns each difference from what was registered."""
    from registry import files  # imports TensorFlow

    found = []
    for version in versions:
        identity = {key: version.tags.get(key, "") for key in (CONTENT_HASH, PROBE_CONTENT_HASH, CARD_HASH)}
        found += [Difference(version.version, path, problem) for path, problem in files.differences(version.path, identity)]
    return found
