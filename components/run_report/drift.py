"""How far the photographs have moved from those that the champion came from. Called by `page`; pure.

Distances are Jensen-Shannon's (J. Lin, IEEE Trans. Inf. Theory 37, 1991) to base 2: 0, the same distribution, to 1, nothing in
common. Each stands beside its floor: the distance between train and eval of this run, which come from one source.
"""

from collections.abc import Mapping, Sequence

from scipy.spatial.distance import jensenshannon

MEASURES = ("brightness", "contrast", "saturation")


def drift(now: dict, then: dict) -> list[dict]:
    """`what`, its `distance` from then to now, and its `floor`; None where one of the two has nothing to compare.

    Args:
      now, then: the section `data` of run.json, of this run and of the run that the champion came from.
    """
    rows = [{
        "what": "share of each class",
        "distance": _distance(_classes(now), _classes(then)),
        "floor": _distance(now["train_by_class"], now["eval_by_class"]),
    }]  # fmt: skip
    for measure in MEASURES:
        train, held_out = (now["appearance"][split][measure] for split in ("train", "eval"))
        earlier = then.get("appearance", {})
        rows.append({
            "what": measure,
            "distance": _distance(_both(now["appearance"], measure), _both(earlier, measure)) if earlier else None,
            "floor": _distance(_numbered(train), _numbered(held_out)),
        })  # fmt: skip
    return rows


def _classes(data: dict) -> dict[str, int]:
    return {name: count + data["eval_by_class"][name] for name, count in data["train_by_class"].items()}


def _both(appearance: Mapping[str, dict], measure: str) -> dict[int, int]:
    return _numbered([train + held_out for train, held_out in zip(*(appearance[split][measure] for split in ("train", "eval")))])


def _numbered(counts: Sequence[int]) -> dict[int, int]:
    return dict(enumerate(counts))


def _distance(one: Mapping, other: Mapping) -> float | None:
    """Between two tables of counts; what one of them lacks counts 0."""
    if not sum(one.values()) or not sum(other.values()):
        return None
    keys = sorted(one.keys() | other.keys())
    distance = jensenshannon([one.get(key, 0) for key in keys], [other.get(key, 0) for key in keys], base=2)
    return max(0.0, float(distance))
