"""Puts a blessed backbone with its probe into a registry. Called by `registry_pusher`.

Promises: files first, then the version with its tags, last the alias `champion`; one writer at a time. A crash anywhere leaves
the former champion readable, and publishing again completes what is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from registry import champions, files
from registry.backend import (
    ACCURACY,
    BASELINE_VERSION,
    CARD_HASH,
    CHAMPION,
    CONTENT_HASH,
    EVAL_SPLIT,
    PROBE_CONTENT_HASH,
    RUN_ID,
    WITHHELD,
    Backend,
    Version,
)
from registry.champions import Succession
from registry.reading import champion_of


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
    card: str,
) -> Publication:
    """Registers a blessed backbone with its probe and makes it champion.

    The alias moves if the champion still is the version that the blessing was judged against, or if it is another one by now
    and the candidate reached more on the same eval split; otherwise the version is registered without it, with the reason in
    the tag WITHHELD. A backbone whose content is registered already gets no second version; a version that a crash or a race
    left without the alias gets it if this judgement allows, but not if it was rolled back from.

    Args:
      backbone, probe: directories to copy.
      backbone_hash, probe_hash: their `contracts.content_hash`.
      tags: names to text, beyond those that the registry sets itself: ACCURACY, EVAL_SPLIT and RUN_ID are read here.
      judged_against: version that was champion when the gate judged; None where there was none.
      card: text of the model card. A version that is registered already and undamaged keeps the card that it has.

    Raises:
      RegistryError: the directories changed while they were copied.
    """
    with registry.writing():
        line, _ = champions.settle(registry)
        versions = registry.versions()
        current = champion_of(versions)
        existing = next((v for v in versions if v.tags.get(CONTENT_HASH) == backbone_hash), None)

        if existing and existing.tags.get(PROBE_CONTENT_HASH) != probe_hash:
            is_champion = CHAMPION in existing.aliases
            return Publication(existing, False, is_champion, f"this backbone is version {existing.version} already, with another "
                               f"probe{', and is the champion' if is_champion else '; its alias was left as it is'}")  # fmt: skip

        identity = {CONTENT_HASH: backbone_hash, PROBE_CONTENT_HASH: probe_hash}
        registered = {CARD_HASH: existing.tags[CARD_HASH]} if existing and CARD_HASH in existing.tags else {}
        card_hash = files.publish_files(registry.files_path(backbone_hash), backbone, probe, identity | registered, card)
        if existing and CHAMPION in existing.aliases:
            _write_version(registry, backbone_hash, {CARD_HASH: card_hash}, existing)
            return Publication(existing, False, True, f"this backbone is version {existing.version} already, and is the champion")

        crowned, reason = _decide(tags, judged_against, current, existing, line)
        tags = {
            **tags, **identity, CARD_HASH: card_hash, BASELINE_VERSION: judged_against or "", WITHHELD: "" if crowned else reason,
        }  # fmt: skip
        number = _write_version(registry, backbone_hash, tags, existing)
        if crowned:
            champions.make_champion(registry, line, number, champions.PUBLISHED, f"run {tags.get(RUN_ID, '')}", reason)
        published = next(v for v in registry.versions() if v.version == number)
        return Publication(published, existing is None, crowned, reason)


def _decide(
    tags: dict[str, str], judged_against: str | None, current: Version | None, existing: Version | None,
    line: Sequence[Succession],
) -> tuple[bool, str]:  # fmt: skip
    """Whether a blessed backbone becomes champion, and in words why or why not."""
    ended = champions.ending(line, existing.version) if existing else None
    if ended and ended.kind == champions.ROLLED_BACK:
        return False, (
            f"this backbone is version {existing.version} already, which was rolled back from at {ended.at} ({ended.reason}); "
            f"`flowers registry promote {existing.version}` would make it champion again"
        )
    if current is None:
        return True, "the first champion"
    if current.version == judged_against:
        return True, f"champion in place of version {current.version}, which it was judged against"
    judged = f"version {judged_against}" if judged_against else "no champion"
    came = f"judged against {judged}, but the champion is version {current.version} by now"
    if not tags.get(EVAL_SPLIT) or tags[EVAL_SPLIT] != current.tags.get(EVAL_SPLIT):
        return False, (
            f"{came}, and that was measured on other photographs: registered without the alias; run again to have it judged "
            "against that version"
        )
    # Both were measured by the gate on the same photographs, so that nothing has to be run again to know the better one.
    mine, theirs = float(tags[ACCURACY]), float(current.tags[ACCURACY])
    if mine > theirs:
        return True, f"{came}; accuracy {mine:.4f} on the same photographs is above its {theirs:.4f}"
    return False, (
        f"{came}; accuracy {mine:.4f} on the same photographs is not above its {theirs:.4f}: registered without the alias"
    )


def _write_version(registry: Backend, backbone_hash: str, tags: dict[str, str], existing: Version | None) -> str:
    if existing is None:
        return registry.create_version(backbone_hash, tags)
    for key, value in tags.items():
        if existing.tags.get(key) != value:
            registry.set_version_tag(existing.version, key, value)
    return existing.version
