"""Puts a blessed backbone with its probe into a registry. Called by `registry_pusher`.

Promises: files first, then the version with its tags, last the alias `champion`; one writer at a time. A crash anywhere leaves
the former champion readable, and publishing again completes what is missing.
"""

from dataclasses import dataclass

from components.registry import files
from components.registry.backend import Backend
from components.registry.reading import champion_of
from components.registry.version import (
    BASELINE_VERSION,
    CHAMPION,
    CONTENT_HASH,
    PROBE_CONTENT_HASH,
    WITHHELD,
    Version,
)


@dataclass(frozen=True)
class Publication:
    """What publishing did: the version, whether it is new, whether it is the champion now, and in words why or why not."""

    version: Version
    created: bool
    is_champion: bool
    reason: str


def publish(
    registry: Backend,
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
    with registry.writing():
        versions = registry.versions()
        current = champion_of(versions)
        existing = next((v for v in versions if v.tags.get(CONTENT_HASH) == backbone_hash), None)

        if existing and existing.tags.get(PROBE_CONTENT_HASH) != probe_hash:
            is_champion = CHAMPION in existing.aliases
            return Publication(existing, False, is_champion, f"this backbone is version {existing.version} already, with another "
                               f"probe{', and is the champion' if is_champion else '; its alias was left as it is'}")  # fmt: skip

        files.publish_files(registry.files_path(backbone_hash), backbone, probe, backbone_hash, probe_hash)
        if existing and CHAMPION in existing.aliases:
            return Publication(existing, False, True, f"this backbone is version {existing.version} already, and is the champion")

        withheld = _why_withheld(current, judged_against)
        tags = {
            **tags, CONTENT_HASH: backbone_hash, PROBE_CONTENT_HASH: probe_hash, BASELINE_VERSION: judged_against or "",
            WITHHELD: withheld,
        }  # fmt: skip
        number = _write_version(registry, backbone_hash, tags, existing)
        if not withheld:
            registry.set_alias(CHAMPION, number)
        published = next(v for v in registry.versions() if v.version == number)
        reason = withheld or (f"champion in place of version {current.version}" if current else "the first champion")
        return Publication(published, existing is None, CHAMPION in published.aliases, reason)


def _why_withheld(current: Version | None, judged_against: str | None) -> str:
    if current is None or current.version == judged_against:
        return ""
    judged = f"version {judged_against}" if judged_against else "no champion"
    return (
        f"judged against {judged}, but the champion is version {current.version} by now: registered without the alias; "
        "run again to have it judged against that version"
    )


def _write_version(registry: Backend, backbone_hash: str, tags: dict[str, str], existing: Version | None) -> str:
    if existing is None:
        return registry.create_version(backbone_hash, tags)
    for key, value in tags.items():
        if existing.tags.get(key) != value:
            registry.set_version_tag(existing.version, key, value)
    return existing.version
