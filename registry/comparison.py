"""Which registered versions the gate compares a candidate with: the champion, and the best version so far; changes nothing."""

import os
from collections.abc import Sequence

from registry import champions, reading
from registry.backend import ACCURACY, BASELINE_VERSION, BEST_VERSION, FIGURE, PROBE_CONTENT_HASH, RECIPE, Backend, Version


def champion_for_gate(registry: Backend, recipe: str | None = None) -> dict | None:
    """What the gate compares a candidate of this recipe with: {"version", "probe_uri", "content_hash" (of the probe)} or None.

    That is the champion. Where another version is better by the figure that was registered, `best` has the same of that one. A
    version that is damaged, that was rolled back from, or that came from this recipe is not the best so far.

    If the champion itself came from this recipe, it is the version that the champion was judged against, and the one that was best
    then, so that an unchanged run is served from the cache. Without a recipe it is always the champion.
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
        best = by_number.get(champion.tags.get(BEST_VERSION, ""))
        return _reference(former) | _best_of(former, [best] if best and best != former else [])
    history = champions.history_of(registry.model_tags(), champion)
    left = {version.version for version in versions if _rolled_back(history, version)}
    others = [
        version for version in reversed(versions)
        if version.version not in left and (recipe is None or version.tags.get(RECIPE) != recipe)
        and figure(version) > figure(champion)
    ]  # fmt: skip
    return _reference(champion) | _best_of(champion, sorted(others, key=figure, reverse=True))


def figure(version: Version) -> float:
    """The figure by which the gate judged a version when it was registered, in [0, 1]; -1 if it has none."""
    return float(version.tags.get(FIGURE) or version.tags.get(ACCURACY) or -1)


def _rolled_back(history: Sequence[champions.ChampionChange], version: Version) -> bool:
    ended = champions.ending(history, version.version)
    return ended is not None and ended.kind == champions.ROLLED_BACK


def _best_of(champion: Version, candidates: Sequence[Version]) -> dict:
    """`best`, the first undamaged one of `candidates`; empty if there is none."""
    found = next((one for one in candidates if one.version != champion.version and not reading.verify(one)), None)
    return {"best": _reference(found)} if found else {}


def _reference(version: Version) -> dict[str, str]:
    return {
        "version": version.version,
        "probe_uri": os.path.join(version.path, "probe"),
        # A version that another tool registered has none; the gate reports that.
        "content_hash": version.tags.get(PROBE_CONTENT_HASH, ""),
    }
