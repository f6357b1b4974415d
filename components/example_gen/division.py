"""Divides labelled photographs into train and eval, and keeps what eval shows out of everything that is learned from.

Deterministic: content decides, never names, order or chance, and adding photographs moves few others.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from contracts.examples import EVAL, TRAIN, UNLABELLED

LEFT_OUT = "left out"


def held_out(sizes: Mapping[str, int], eval_fraction: float, min_eval: int) -> dict[str, int]:
    """How many photographs of each class eval should have.

    A class gives its share, round(eval_fraction x size). Where the shares of all classes are fewer than `min_eval` photographs,
    it gives its part of `min_eval` instead, rounded up, but at most half of its photographs; always at least 1, and never all.

    Args:
      sizes: labelled photographs of each class, 1 or more.
      eval_fraction: in (0, 1).
      min_eval: 0 or more.
    """
    labelled = sum(sizes.values())
    return {
        name: min(max(1, round(eval_fraction * size), min(-(-min_eval * size // labelled), size // 2)), size - 1)
        for name, size in sizes.items()
    }


def divide(classes: Sequence[str], hashes: Sequence[str], groups: np.ndarray, eval_fraction: float, min_eval: int) -> list[str]:
    """TRAIN or EVAL for each labelled photograph of a source that has no splits of its own.

    Args:
      classes: class name of each of the n photographs.
      hashes: content hash of each photograph, hex.
      groups: int [n]; photographs of one group go to the same side, also across classes.
      eval_fraction, min_eval: as in `held_out`.

    Groups are taken in the order of their smallest content hash. A group joins eval unless one of its classes would then exceed
    what `held_out` wants of it. A class without a group that is small enough gives eval its smallest group that leaves
    photographs for train. A class that is a single group stays in train.
    """
    members: dict[int, list[int]] = {}
    for photograph in sorted(range(len(classes)), key=lambda i: hashes[i]):
        members.setdefault(int(groups[photograph]), []).append(photograph)
    sizes = Counter(classes)
    wanted = held_out(sizes, eval_fraction, min_eval)
    counts = {group: Counter(classes[i] for i in photographs) for group, photographs in members.items()}
    taken: Counter = Counter()
    chosen = set()
    for group, count in counts.items():
        if all(taken[name] + n <= wanted[name] for name, n in count.items()):
            chosen.add(group)
            taken.update(count)
    for name in sorted(sizes):
        if taken[name]:
            continue
        fitting = [
            group for group, count in counts.items()
            if name in count and all(taken[other] + n < sizes[other] for other, n in count.items())
        ]  # fmt: skip
        if fitting:
            smallest = min(fitting, key=lambda group: len(members[group]))
            chosen.add(smallest)
            taken.update(counts[smallest])
    return [EVAL if int(group) in chosen else TRAIN for group in groups]


def keep_given(given: Sequence[str], groups: np.ndarray) -> list[str]:
    """The given split of each photograph, but LEFT_OUT for those in train or unlabelled that show the same picture as one in eval."""
    seen_in_eval = {int(group) for split, group in zip(given, groups, strict=True) if split == EVAL}
    return [
        LEFT_OUT if split in (TRAIN, UNLABELLED) and int(group) in seen_in_eval else split
        for split, group in zip(given, groups, strict=True)
    ]  # fmt: skip
