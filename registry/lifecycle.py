"""What a person does with registered versions: promote one, roll back, prune; and what the next run repairs after a crash.

The champion stays readable throughout, and an interrupted function can be called again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from registry import champions, comparison, reading, trust
from registry.backend import CHAMPION, Backend, RegistryError, Version
from registry.champions import ChampionChange

# Characters: any backend can keep as many (see `backend`), and nobody reads more in a table.
LONGEST_REASON = 1000


@dataclass(frozen=True)
class Pruning:
    """Which versions were deleted (or would be), and why each of the others stayed, by number."""

    pruned: tuple[Version, ...]
    kept: dict[str, str]


def promote(registry: Backend, wanted: str, by: str, reason: str) -> ChampionChange | None:
    """Makes the version with the number or alias `wanted` champion. Returns None if it is champion already.

    Raises:
      RegistryError: no such version, one that may not be used (`trust.require_usable`), or the reason is too long. Nothing was changed.
    """
    _require_reason(reason)
    reading.get_version(registry, wanted)  # before `writing`, which would make an empty registry
    with registry.writing():
        history, _ = champions.reconcile(registry)
        version = reading.get_version(registry, wanted)
        if CHAMPION in version.aliases:
            return None
        trust.require_usable(registry, version, anew=True)
        return champions.make_champion(registry, history, version.version, champions.PROMOTED, by, reason)


def rollback(registry: Backend, by: str, reason: str) -> ChampionChange:
    """Makes the previous champion champion again. The version rolled back from stays, without the alias.

    If a rollback was killed after it had moved the alias, the next one completes it and goes no further back.

    Raises:
      RegistryError: there is no champion, or none before it; that one may not be used (`trust.require_usable`); the reason is empty
        or too long. Nothing was changed.
    """
    _require_reason(reason)
    if not reason.strip():
        raise RegistryError(f"a rollback needs a reason, such as what the champion gets wrong; got {reason!r}")
    if reading.champion(registry) is None:
        raise RegistryError(f"{registry.name} at {registry.place} has no champion to roll back from")
    with registry.writing():
        history, interrupted = champions.reconcile(registry)
        if interrupted and interrupted.kind == champions.ROLLED_BACK:
            return interrupted
        versions = registry.versions()
        former = champions.predecessor(history, versions)
        if former is None:
            raise RegistryError(
                f"{registry.name} at {registry.place} has no champion before version {history[-1].version}; "
                "`flowers registry promote VERSION` makes another version champion"
            )
        trust.require_usable(registry, former, anew=True)
        return champions.make_champion(registry, history, former.version, champions.ROLLED_BACK, by, reason)


def prune(registry: Backend, keep: int, dry_run: bool = False) -> Pruning:
    """Deletes all versions but the newest `keep`, the champion, the one before it, the best so far, and any with an alias.

    Rows are deleted before files, so that a version that is listed has its files.

    Args:
      keep: 0 or more.
      dry_run: only find out what would be deleted.
    """
    if not registry.versions():
        return Pruning((), {})
    if dry_run:
        return _chosen(registry, _history(registry), keep)
    with registry.writing():
        history, _ = champions.reconcile(registry)
        pruning = _chosen(registry, history, keep)
        for version in pruning.pruned:
            registry.delete_version(version.version)
        _remove_leftovers(registry)
        return pruning


def repair(registry: Backend) -> list[Version]:
    """Completes what a crash left: enters a champion whose alias had moved, deletes files that belong to no version.

    Versions of earlier releases get the files that make them models of MLflow; those that did are returned.
    """
    if not registry.versions():
        return []
    from registry import older_versions  # imports TensorFlow

    with registry.writing():
        champions.reconcile(registry)
        _remove_leftovers(registry)
        return older_versions.complete(registry)


def _chosen(registry: Backend, history: Sequence[ChampionChange], keep: int) -> Pruning:
    versions = registry.versions()
    former, champion = champions.predecessor(history, versions), reading.champion_of(versions)
    best = comparison.best_so_far(registry, versions, history, champion) if champion else None
    newest = {version.version for version in versions[len(versions) - min(keep, len(versions)) :]}
    kept = {}
    for version in versions:
        if version.aliases:
            kept[version.version] = ", ".join(version.aliases)
        elif former is not None and version.version == former.version:
            kept[version.version] = "the previous champion, which a rollback returns to"
        elif best is not None and version.version == best.version:
            kept[version.version] = "the best so far, which the gate compares with"
        elif version.version in newest:
            kept[version.version] = f"among the newest {keep}"
    return Pruning(tuple(version for version in versions if version.version not in kept), kept)


def _history(registry: Backend) -> list[ChampionChange]:
    return champions.history_of(registry.model_tags(), reading.champion(registry))


def _remove_leftovers(registry: Backend) -> None:
    for leftover in registry.leftovers():
        registry.remove(leftover)


def _require_reason(reason: str) -> None:
    if len(reason) > LONGEST_REASON:
        raise RegistryError(f"a reason has at most {LONGEST_REASON} characters, got {len(reason)}; shorten it")
