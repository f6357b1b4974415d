"""Puts a blessed backbone with its probe into the registry below DIR/registry. Called by `registry_pusher`.

Promises: files first, then the version with its tags, last the alias `champion`; one writer at a time. A crash anywhere leaves
the former champion readable, and publishing again completes what is missing.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.registry import files, store
from components.registry.local import champion_of, read_versions
from components.registry.version import (
    BASELINE_VERSION,
    CHAMPION,
    CONTENT_HASH,
    PROBE_CONTENT_HASH,
    WITHHELD,
    Version,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

VERSIONS = "versions"  # directory below DIR/registry


@dataclass(frozen=True)
class Publication:
    """What publishing did: the version, whether it is new, whether it is the champion now, and in words why or why not."""

    version: Version
    created: bool
    is_champion: bool
    reason: str


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
    with store.lock(directory):
        store.create(directory)
        client = store.client(directory)
        _ensure_model(client, name)
        versions = read_versions(client, directory, name)
        current = champion_of(versions)
        existing = next((v for v in versions if v.tags.get(CONTENT_HASH) == backbone_hash), None)

        if existing and existing.tags.get(PROBE_CONTENT_HASH) != probe_hash:
            is_champion = CHAMPION in existing.aliases
            return Publication(existing, False, is_champion, f"this backbone is version {existing.version} already, with another "
                               f"probe{', and is the champion' if is_champion else '; its alias was left as it is'}")  # fmt: skip

        source = f"{VERSIONS}/{backbone_hash}"
        files.publish_files(os.path.join(store.registry_path(directory), source), backbone, probe, backbone_hash, probe_hash)
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
        published = next(v for v in read_versions(client, directory, name) if v.version == number)
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
