"""Which registered versions the gate compares a candidate with: the champion, and the best version so far; changes nothing."""

import posixpath
from collections.abc import Sequence

from registry import champions, reading, trust
from registry.backend import (
    ACCURACY,
    BASELINE_VERSION,
    BEST_VERSION,
    CONTENT_HASH,
    FIGURE,
    PROBE_CONTENT_HASH,
    RECIPE,
    Backend,
    RegistryError,
    Version,
)


def champion_for_gate(registry: Backend, recipe: str | None = None, unverified: bool = False) -> dict | None:
    """What the gate compares a candidate of this recipe with, or None: what trainer.references.Reference has, and "challenge".

    That is the champion; `challenge` counts the versions that were registered after it, and this candidate. Where another version is
    better by the figure that was registered, `best` has the same of that one, without `challenge`. A version that may not be used
    (`trust.is_usable`), that was rolled back from, or that came from this recipe is not the best so far.

    If the champion itself came from this recipe, it is the version that the champion was judged against, and the one that was best
    then, so that an unchanged run is served from the cache. Without a recipe it is always the champion.

    Args:
      unverified: compare with it in any case, see `trust.require_usable`.

    Raises:
      RegistryError: it may not be used. Without it any backbone that beats the random-init baseline would pass.
    """
    versions = registry.versions()
    by_number = {version.version: version for version in versions}
    champion = reading.champion_of(versions)
    if champion is None:
        return None
    if recipe is not None and champion.tags.get(RECIPE) == recipe:
        judged_against = champion.tags.get(BASELINE_VERSION, "")
        if not judged_against:
            return None
        former = by_number.get(judged_against, champion)
        then = by_number.get(champion.tags.get(BEST_VERSION, ""))
        best = _first_usable(registry, [then] if then and then != former else [])
        _require_usable(registry, former, unverified)
        return _reference(former) | _challenge(former, int(champion.version)) | _best(best)
    _require_usable(registry, champion, unverified)
    best = best_so_far(registry, versions, champions.history_of(registry.model_tags(), champion), champion, recipe)
    # A candidate that challenged this champion before keeps its number, so that an unchanged run is served from the cache.
    later = [int(version.version) for version in versions if int(version.version) > int(champion.version)
             and recipe is not None and version.tags.get(RECIPE) == recipe]  # fmt: skip
    number = later[0] if later else int(versions[-1].version) + 1
    return _reference(champion) | _challenge(champion, number) | _best(best)


def compared(found: dict | None) -> dict:
    """What LinearEval has to know of `champion_for_gate`: the versions without `challenge`, which changes no probe; {} if there is none."""
    return {key: value for key, value in (found or {}).items() if key != "challenge"}


def best_so_far(
    registry: Backend, versions: Sequence[Version], history: Sequence[champions.ChampionChange], champion: Version,
    recipe: str | None = None,
) -> Version | None:  # fmt: skip
    """The version with the best registered figure; None if that is the champion. The newest one of equal figures.

    Without those that may not be used, that were rolled back from, or that came from `recipe`.
    """
    others = [
        version for version in reversed(versions)
        if figure(version) > figure(champion) and not _rolled_back(history, version)
        and (recipe is None or version.tags.get(RECIPE) != recipe)
    ]  # fmt: skip
    return _first_usable(registry, sorted(others, key=figure, reverse=True))


def figure(version: Version) -> float:
    """The figure by which the gate judged a version when it was registered, in [0, 1]; -1 if it has none."""
    return float(version.tags.get(FIGURE) or version.tags.get(ACCURACY) or -1)


def _rolled_back(history: Sequence[champions.ChampionChange], version: Version) -> bool:
    ended = champions.ending(history, version.version)
    return ended is not None and ended.kind == champions.ROLLED_BACK


def _challenge(champion: Version, number: int) -> dict[str, int]:
    """`challenge`, that of the candidate whose version has that number or will have it.

    Numbers are never given twice, so that a version that was pruned since counts too. A champion that was promoted later than the
    candidate was registered is challenged for the first time.
    """
    return {"challenge": max(1, number - int(champion.version))}


def _require_usable(registry: Backend, version: Version, unverified: bool) -> None:
    try:
        trust.require_usable(registry, version, unverified)
    except RegistryError as error:
        raise RegistryError(
            f"the candidate would be compared with a version that may not be used: {error}, compare all the same with `flowers run "
            "--unverified`, or give another --root to start a registry without a champion"
        ) from error


def _first_usable(registry: Backend, versions: Sequence[Version]) -> Version | None:
    return next((version for version in versions if trust.is_usable(registry, version)), None)


def _best(version: Version | None) -> dict:
    return {"best": _reference(version)} if version else {}


def _reference(version: Version) -> dict[str, str]:
    return {
        "version": version.version,
        "backbone": posixpath.join(version.path, "backbone"),
        "probe": posixpath.join(version.path, "probe"),
        # A version that another tool registered has none; LinearEval reports that.
        "content_hash": version.tags.get(CONTENT_HASH, ""),
        "probe_content_hash": version.tags.get(PROBE_CONTENT_HASH, ""),
    }
