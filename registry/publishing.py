"""Registers a blessed backbone with its probe: files first, then the version with its tags, last the alias `champion`.

One writer at a time. A crash anywhere leaves the former champion readable, and publishing again completes what is missing.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.text import percent
from registry import champions, files, keys, reading, trust
from registry.backend import (
    ACCURACY,
    BASELINE_VERSION,
    CARD_HASH,
    CHAMPION,
    CONTENT_HASH,
    EVAL_SPLIT,
    FIGURE,
    MLMODEL_HASH,
    PROBE_CONTENT_HASH,
    RUN_ID,
    SIGNED_BY,
    WITHHELD,
    Backend,
    Version,
)
from registry.champions import ChampionChange


@dataclass(frozen=True)
class Publication:
    """What publishing did: the version, whether it is new, whether it is the champion now, and why or why not."""

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
    sbom: str = "",
    model: Mapping[str, bytes] | None = None,
    withheld: str = "",
    signing_key: str = "",
) -> Publication:
    """Registers a blessed backbone with its probe and makes it champion, unless the gate withholds that.

    The alias moves if `withheld` is empty and the champion is still the version that the gate compared with, or if another version
    became champion meanwhile and the candidate is more accurate on the same eval split. Otherwise the version is registered without
    the alias, with the reason in the tag WITHHELD. A backbone whose content is registered already gets no second version; a version that a
    crash or a race left without the alias gets it if this judgement allows, unless it was rolled back from or has another probe. An
    equal probe that was fitted again is no other one (`files.same_probe`).

    Args:
      backbone, probe: directories to copy.
      backbone_hash, probe_hash: their `contracts.content_hash`.
      tags: names to text, besides those that the registry sets itself; FIGURE (or ACCURACY), EVAL_SPLIT and RUN_ID are read here.
      judged_against: version that was champion when the gate judged; None if there was none.
      withheld: the gate's sentence that says that the candidate is not proven to be better than that version; empty if it is.
      card, sbom: texts of the model card and of the bill of materials, "" for none.
      model: what makes the version a model of MLflow, as `mlflow_model.model_documents` returns it; None for nothing. A registered
        version that is undamaged keeps its own documents.
      signing_key: pipeline_config.Registry.signing_key. Files and tags are signed before the version is there. A champion that is
        undamaged keeps its signature, and stays unsigned if it has none.

    Raises:
      RegistryError: the directories changed while they were copied, or the key cannot be used.
    """
    with registry.writing():
        history, _ = champions.reconcile(registry)
        versions = registry.versions()
        current = reading.champion_of(versions)
        existing = next((v for v in versions if v.tags.get(CONTENT_HASH) == backbone_hash), None)

        if existing:
            registry.fetch(existing, anew=True)
        if existing and existing.tags.get(PROBE_CONTENT_HASH) != probe_hash and _fitted_again(existing, probe):
            # LinearEval runs again for another champion, and fits an equal probe: what is registered stays.
            probe, probe_hash = posixpath.join(existing.path, files.PROBE), existing.tags[PROBE_CONTENT_HASH]
        if existing and existing.tags.get(PROBE_CONTENT_HASH) != probe_hash:
            is_champion = CHAMPION in existing.aliases
            return Publication(existing, False, is_champion, f"this backbone is already version {existing.version}, with another "
                               f"probe{', and is the champion' if is_champion else '; the alias was not moved'}")  # fmt: skip

        identity = {CONTENT_HASH: backbone_hash, PROBE_CONTENT_HASH: probe_hash}
        registered = {key: existing.tags[key] for key in (CARD_HASH, MLMODEL_HASH) if key in existing.tags} if existing else {}
        target, key = registry.files_path(backbone_hash), keys.signing_key(registry.keys, signing_key)
        is_champion = existing is not None and CHAMPION in existing.aliases
        tags = {**tags, **identity, BASELINE_VERSION: judged_against or ""}

        was_kept = False

        def seal(hashes: Mapping[str, str], is_kept: bool) -> None:
            nonlocal was_kept
            was_kept = is_kept
            if not (is_kept and is_champion):  # whose tags stay too
                stated = existing.tags if is_champion else tags
                trust.sign_files(registry, target, hashes, stated, f"run {tags.get(RUN_ID, '')}", key)

        documents = {files.MODEL_CARD: card.encode()} | ({files.SBOM: sbom.encode()} if sbom else {}) | dict(model or {})
        hashes = files.publish_files(target, backbone, probe, identity | registered, documents, seal)
        if existing and not (was_kept and is_champion):
            registry.store(existing, signature_alone=was_kept)
        if was_kept and existing and MLMODEL_HASH not in existing.tags:
            hashes.pop(MLMODEL_HASH, None)  # nothing proves that the files there are ours: `older_versions` writes them anew
        if is_champion:
            _write_version(registry, backbone_hash, hashes, existing)
            return Publication(existing, False, True, f"this backbone is already version {existing.version}, the champion")

        becomes_champion, reason = _decide(tags, judged_against, withheld, current, existing, history)
        tags |= {**hashes, SIGNED_BY: key.id if key else "", WITHHELD: "" if becomes_champion else reason}
        number = _write_version(registry, backbone_hash, tags, existing)
        if becomes_champion:
            champions.make_champion(registry, history, number, champions.PUBLISHED, f"run {tags.get(RUN_ID, '')}", reason)
        published = next(v for v in registry.versions() if v.version == number)
        return Publication(published, existing is None, becomes_champion, reason)


def _fitted_again(existing: Version, probe: str) -> bool:
    """Whether an undamaged version has an equal probe."""
    return files.same_probe(posixpath.join(existing.path, files.PROBE), probe) and not reading.verify(existing)


def _decide(
    tags: dict[str, str], judged_against: str | None, withheld: str, current: Version | None, existing: Version | None,
    history: Sequence[ChampionChange],
) -> tuple[bool, str]:  # fmt: skip
    """Whether a blessed backbone becomes champion, and why or why not."""
    ended = champions.ending(history, existing.version) if existing else None
    if ended and ended.kind == champions.ROLLED_BACK:
        return False, (
            f"this backbone is already version {existing.version}, which was rolled back from at {ended.at} ({ended.reason}); "
            f"`flowers registry promote {existing.version}` makes it champion again"
        )
    if current is None:
        return True, "the first champion"
    if withheld:
        return False, withheld if current.version == judged_against else f"{withheld}; the champion is now version {current.version}"
    if current.version == judged_against:
        return True, f"champion in place of version {current.version}, which it was judged against"
    judged = f"version {judged_against}" if judged_against else "no champion"
    changed = f"judged against {judged}, but the champion is now version {current.version}"
    if not tags.get(EVAL_SPLIT) or tags[EVAL_SPLIT] != current.tags.get(EVAL_SPLIT):
        return False, (
            f"{changed}, which was measured on other photographs: registered without the alias; run again to compare with that version"
        )
    # The gate measured both on the same photographs, so that no further run is needed to know the better one.
    candidate, champion = (float(one.get(FIGURE) or one[ACCURACY]) for one in (tags, current.tags))
    reached, before = percent(candidate), percent(champion)
    if candidate > champion:
        return True, f"{changed}; on the same photographs accuracy {reached} is above the champion's {before}"
    return False, (
        f"{changed}; on the same photographs accuracy {reached} is not above the champion's {before}: registered without the alias"
    )


def _write_version(registry: Backend, backbone_hash: str, tags: dict[str, str], existing: Version | None) -> str:
    if existing is None:
        return registry.create_version(backbone_hash, tags)
    for key, value in tags.items():
        if existing.tags.get(key) != value:
            registry.set_version_tag(existing.version, key, value)
    return existing.version
