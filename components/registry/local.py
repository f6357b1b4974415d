"""What the registry below DIR/registry holds: read and verified, never changed (`publishing` does that).

Called by the pipeline at its start (champion_for_gate) and by `flowers registry` (the rest). Everywhere `directory` is
DIR/registry and `name` the registered model.
"""

import datetime
import os
from typing import TYPE_CHECKING

from components.registry import store
from components.registry.version import (
    BASELINE_VERSION,
    CHAMPION,
    CONTENT_HASH,
    PROBE_CONTENT_HASH,
    RECIPE,
    Difference,
    RegistryError,
    Version,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def list_versions(directory: str, name: str) -> list[Version]:
    """All versions, oldest first; empty where nothing was registered yet."""
    if not store.exists(directory):
        return []
    return read_versions(store.client(directory), directory, name)


def get_version(directory: str, name: str, version: str) -> Version:
    """The version of that number or alias.

    Raises:
      RegistryError: there is none; the message lists those that exist.
    """
    versions = list_versions(directory, name)
    for candidate in versions:
        if version == candidate.version or version in candidate.aliases:
            return candidate
    known = ", ".join(v.version for v in versions) or "none"
    raise RegistryError(f"{name} at {directory} has no version or alias {version!r}; versions: {known}")


def champion(directory: str, name: str) -> Version | None:
    """The version that has the alias `champion`; None where there is none."""
    return champion_of(list_versions(directory, name))


def champion_for_gate(directory: str, name: str, recipe: str) -> dict[str, str] | None:
    """What the gate compares a candidate of this recipe with: {"version", "probe_uri", "content_hash" (of the probe)} or None.

    That is the champion. Where the champion itself came from this recipe, it is what the champion was judged against, so that
    an unchanged run asks the same question again and is served from the cache.
    """
    versions = list_versions(directory, name)
    baseline = champion_of(versions)
    if baseline is not None and baseline.tags.get(RECIPE) == recipe:
        predecessor = baseline.tags.get(BASELINE_VERSION, "")
        if not predecessor:
            return None
        baseline = next((v for v in versions if v.version == predecessor), baseline)
    if baseline is None:
        return None
    return {
        "version": baseline.version,
        "probe_uri": os.path.join(baseline.path, "probe"),
        "content_hash": baseline.tags[PROBE_CONTENT_HASH],
    }


def verify(directory: str, name: str, version: str | None = None) -> list[Difference]:
    """Recomputes the hashes of every file of one version (number or alias), or of all, and returns each difference.

    Raises:
      RegistryError: there is no such version.
    """
    from components.registry import files  # imports TensorFlow

    chosen = list_versions(directory, name) if version is None else [get_version(directory, name, version)]
    differences = []
    for one in chosen:
        identity = {key: one.tags.get(key, "") for key in (CONTENT_HASH, PROBE_CONTENT_HASH)}
        differences += [Difference(one.version, path, problem) for path, problem in files.differences(one.path, identity)]
    return differences


def champion_of(versions: list[Version]) -> Version | None:
    """The one among `versions` that has the alias `champion`."""
    return next((v for v in versions if CHAMPION in v.aliases), None)


def read_versions(client: "MlflowClient", directory: str, name: str) -> list[Version]:
    """As `list_versions`, with a client that is open already."""
    models = client.search_registered_models(f"name = '{name}'")
    if not models:
        return []
    aliases = {alias: str(version) for alias, version in models[0].aliases.items()}
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += [_version(entry, directory, aliases) for entry in page]
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version))


def _version(entry: "ModelVersion", directory: str, aliases: dict[str, str]) -> Version:
    return Version(
        name=entry.name,
        version=str(entry.version),
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == str(entry.version))),
        tags=dict(entry.tags),
        path=os.path.join(store.registry_path(directory), entry.source),
        created=datetime.datetime.fromtimestamp(entry.creation_timestamp / 1000, datetime.UTC),
    )
