"""What a person does with registered versions: promote one, roll back, prune; and what the next run repairs after a crash.

Called by `flowers registry` and, for `repair`, by the pipeline at its start. Every function leaves the champion readable at any
instant; one that was interrupted can be called again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from registry import champions, reading
from registry.backend import CHAMPION, Backend, RegistryError, Version
from registry.champions import Succession

# Of a reason, in characters: what any backend can keep (see `backend`), and nobody reads more in a table.
LONGEST_REASON = 1000


@dataclass(frozen=True)
class Pruning:
    """Which versions went (or would go), and why each of the others stayed, by number."""

    pruned: tuple[Version, ...]
    kept: dict[str, str]


def promote(registry: Backend, wanted: str, by: str, reason: str) -> Succession | None:
    """Makes a version champion, given by number or alias; None if it is champion already.

    Raises:
      RegistryError: no such version, its files are damaged, or the reason is too long. Nothing was changed.
    """
    _require_reason(reason)
    reading.get_version(registry, wanted)  # before `writing`, which would make an empty registry
    with registry.writing():
        line, _ = champions.settle(registry)
        version = reading.get_version(registry, wanted)
        if CHAMPION in version.aliases:
            return None
        _require_undamaged(version)
        return champions.make_champion(registry, line, version.version, champions.PROMOTED, by, reason)


def rollback(registry: Backend, by: str, reason: str) -> Succession:
    """Makes the champion before the one of now champion again. The version rolled back from stays, without the alias.

    A rollback that was killed after it had moved the alias is completed by the next one, which goes no step further.

    Raises:
      RegistryError: there is no champion, or none before it; its files are damaged; the reason is empty or too long. Nothing
        was changed.
    """
    _require_reason(reason)
    if not reason.strip():
        raise RegistryError("a rollback needs a reason, for whoever asks later why this version is not in use")
    if reading.champion(registry) is None:
        raise RegistryError(f"{registry.name} at {registry.place} has no champion to roll back from")
    with registry.writing():
        line, interrupted = champions.settle(registry)
        if interrupted and interrupted.kind == champions.ROLLED_BACK:
            return interrupted
        versions = registry.versions()
        former = champions.predecessor(line, versions)
        if former is None:
            raise RegistryError(
                f"{registry.name} at {registry.place} has no champion before version {line[-1].version}; "
                "`flowers registry promote VERSION` chooses any other"
            )
        _require_undamaged(former)
        return champions.make_champion(registry, line, former.version, champions.ROLLED_BACK, by, reason)


def prune(registry: Backend, keep: int, dry_run: bool = False) -> Pruning:
    """Deletes all but the newest `keep` versions, the champion, the one before it, and whatever has an alias.

    The rows go first and the files afterwards: whoever finds a version finds its files.

    Args:
      registry: where.
      keep: 0 or more.
      dry_run: whether to work out only what would be deleted.
    """
    if not registry.versions():
        return Pruning((), {})
    if dry_run:
        return _chosen(registry.versions(), _line(registry), keep)
    with registry.writing():
        line, _ = champions.settle(registry)
        pruning = _chosen(registry.versions(), line, keep)
        for version in pruning.pruned:
            registry.delete_version(version.version)
        _remove_leftovers(registry)
        return pruning


def repair(registry: Backend) -> None:
    """Completes what a crash left: the record of a champion whose alias had moved, files that belong to no version."""
    if registry.versions():
        with registry.writing():
            champions.settle(registry)
            _remove_leftovers(registry)


def _chosen(versions: Sequence[Version], line: Sequence[Succession], keep: int) -> Pruning:
    former = champions.predecessor(line, versions)
    newest = {version.version for version in versions[len(versions) - min(keep, len(versions)):]}
    kept = {}
    for version in versions:
        if version.aliases:
            kept[version.version] = ", ".join(version.aliases)
        elif former is not None and version.version == former.version:
            kept[version.version] = "the champion before, which a rollback returns to"
        elif version.version in newest:
            kept[version.version] = f"among the newest {keep}"
    return Pruning(tuple(version for version in versions if version.version not in kept), kept)


def _line(registry: Backend) -> list[Succession]:
    return champions.line_of(registry.model_tags(), reading.champion(registry))


def _remove_leftovers(registry: Backend) -> None:
    from registry import files  # imports TensorFlow

    for directory in registry.leftovers():
        files.remove(directory)


def _require_undamaged(version: Version) -> None:
    differences = reading.verify(version)
    if differences:
        raise RegistryError(
            f"version {version.version} at {version.path} is not as it was registered ({differences[0].path}: "
            f"{differences[0].problem}) and cannot become champion; `flowers registry verify` lists what differs"
        )


def _require_reason(reason: str) -> None:
    if len(reason) > LONGEST_REASON:
        raise RegistryError(f"a reason can have {LONGEST_REASON} characters, this one has {len(reason)}")
