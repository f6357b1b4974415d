"""The registry's functions, on MLflow's model registry below DIR/registry: read, verify, publish.

Called by `registry_pusher` (publish), by the pipeline at its start (champion_for_gate) and by `flowers registry` (the rest).
Everywhere `directory` is DIR/registry and `name` the registered model. Promises: files first, then the version with its tags,
last the alias `champion`; a crash anywhere leaves the former champion readable, and publishing again completes what is missing.
"""

import datetime
import logging
import os
from dataclasses import dataclass
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

logger = logging.getLogger(__name__)

VERSIONS = "versions"
WITHHELD = "champion_withheld"  # tag: why a blessed version did not become champion


@dataclass(frozen=True)
class Publication:
    """What publishing did: the version, whether it is new, whether it is the champion now, and in words why or why not."""

    version: Version
    created: bool
    is_champion: bool
    reason: str


def list_versions(directory: str, name: str) -> list[Version]:
    """All versions, oldest first; empty where nothing was registered yet."""
    if not store.exists(directory):
        return []
    return _list(store.client(directory), directory, name)


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
    return _champion(list_versions(directory, name))


def champion_for_gate(directory: str, name: str, recipe: str) -> dict[str, str] | None:
    """What the gate compares a candidate of this recipe with: {"version", "probe_uri", "content_hash" (of the probe)} or None.

    That is the champion. Where the champion itself came from this recipe, it is what the champion was judged against, so that
    an unchanged run asks the same question again and is served from the cache.
    """
    versions = list_versions(directory, name)
    baseline = _champion(versions)
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


def publish(
    directory: str,
    name: str,
    *,
    backbone: str,
    probe: str,
    backbone_hash: str,
    probe_hash: str,
    tags: dict[str, str],
    judged_against: str | None,
) -> Publication:
    """Registers a blessed backbone with its probe and makes it champion.

    The alias moves only if the champion still is the version that the blessing was judged against; otherwise the version is
    registered without it, with the reason in the tag WITHHELD. A backbone whose content is registered already gets no second
    version; a version that a crash or a race left without the alias gets it if this judgement allows.

    Args:
      backbone, probe: directories to copy.
      backbone_hash, probe_hash: their `contracts.content_hash`.
      tags: names to text, beyond those that the registry sets itself.
      judged_against: version that was champion when the gate judged; None where there was none.

    Raises:
      RegistryError: the directories changed while they were copied.
    """
    from components.registry import files  # imports TensorFlow

    with store.lock(directory):
        store.create(directory)
        client = store.client(directory)
        _ensure_model(client, name)
        versions = _list(client, directory, name)
        current = _champion(versions)
        existing = next((v for v in versions if v.tags.get(CONTENT_HASH) == backbone_hash), None)

        if existing and existing.tags.get(PROBE_CONTENT_HASH) != probe_hash:
            is_champion = CHAMPION in existing.aliases
            return Publication(existing, False, is_champion, f"this backbone is version {existing.version} already, with another "
                               f"probe{', and is the champion' if is_champion else '; its alias was left as it is'}")  # fmt: skip

        source = f"{VERSIONS}/{backbone_hash}"
        files.publish(os.path.join(store.registry_path(directory), source), backbone, probe, backbone_hash, probe_hash)
        if existing and CHAMPION in existing.aliases:
            return Publication(existing, False, True, f"this backbone is version {existing.version} already, and is the champion")

        withheld = _why_withheld(current, judged_against)
        tags = {
            **tags, CONTENT_HASH: backbone_hash, PROBE_CONTENT_HASH: probe_hash, BASELINE_VERSION: judged_against or "",
            WITHHELD: withheld,
        }  # fmt: skip
        number = _write_version(client, name, source, tags, existing)
        if not withheld:
            client.set_registered_model_alias(name, CHAMPION, number)
        published = next(v for v in _list(client, directory, name) if v.version == number)
        reason = withheld or (f"champion in place of version {current.version}" if current else "the first champion")
        return Publication(published, existing is None, not withheld, reason)


def _why_withheld(current: Version | None, judged_against: str | None) -> str:
    if current is None or current.version == judged_against:
        return ""
    judged = f"version {judged_against}" if judged_against else "no champion"
    return (
        f"judged against {judged}, but the champion is version {current.version} by now: registered without the alias; "
        "run again to have it judged against that version"
    )


def _write_version(client: "MlflowClient", name: str, source: str, tags: dict[str, str], existing: Version | None) -> str:
    if existing is None:
        # One transaction: no reader sees the version without its tags.
        return str(client.create_model_version(name, source=source, tags=tags).version)
    for key, value in tags.items():
        if existing.tags.get(key) != value:
            client.set_model_version_tag(name, existing.version, key, value)
    return existing.version


def _ensure_model(client: "MlflowClient", name: str) -> None:
    if not any(model.name == name for model in client.search_registered_models(f"name = '{name}'")):
        client.create_registered_model(name)


def _champion(versions: list[Version]) -> Version | None:
    return next((v for v in versions if CHAMPION in v.aliases), None)


def _list(client: "MlflowClient", directory: str, name: str) -> list[Version]:
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
