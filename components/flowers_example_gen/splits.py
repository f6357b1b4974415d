"""Divides photographs into train and eval so that the same picture is never on both sides.

Called once by the Beam pipeline with every usable photograph, and with the groups of `near_duplicates`. Deterministic: content
decides, never names, order or chance; adding photographs moves few others.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

TRAIN, EVAL, LEFT_OUT = "train", "eval", "left out"


def divide(classes: Sequence[str], hashes: Sequence[str], groups: np.ndarray, eval_fraction: float) -> list[str]:
    """TRAIN or EVAL for each photograph of a source that has no splits of its own.

    Args:
      classes: class name of each of the n photographs.
      hashes: content hash of each photograph, hex.
      groups: int [n]; photographs of one group go to the same side, also across classes.
      eval_fraction: wanted share of eval, per class.

    Groups are taken in the order of their smallest content hash; one joins eval if no class it touches then exceeds
    round(eval_fraction x photographs of the class), at least 1 and at most all but 1. A class for which no group was small
    enough gives its smallest group that leaves train something. A class that is a single group stays in train.
    """
    members: dict[int, list[int]] = {}
    for photograph in sorted(range(len(classes)), key=lambda i: hashes[i]):
        members.setdefault(int(groups[photograph]), []).append(photograph)
    sizes = Counter(classes)
    wanted = {name: min(max(1, round(eval_fraction * size)), size - 1) for name, size in sizes.items()}
    counts = {group: Counter(classes[i] for i in photographs) for group, photographs in members.items()}
    held_out: Counter = Counter()
    chosen = set()
    for group, count in counts.items():
        if all(held_out[name] + n <= wanted[name] for name, n in count.items()):
            chosen.add(group)
            held_out.update(count)
    for name in sorted(sizes):
        if held_out[name]:
            continue
        fitting = [
            group for group, count in counts.items()
            if name in count and all(held_out[other] + n < sizes[other] for other, n in count.items())
        ]  # fmt: skip
        if fitting:
            smallest = min(fitting, key=lambda group: len(members[group]))
            chosen.add(smallest)
            held_out.update(counts[smallest])
    return [EVAL if int(group) in chosen else TRAIN for group in groups]


def keep_given(given: Sequence[str], groups: np.ndarray) -> list[str]:
    """The source's own split of each photograph, but LEFT_OUT for those of train that show the same picture as one of eval."""
    seen_in_eval = {int(group) for split, group in zip(given, groups, strict=True) if split == EVAL}
    return [
        LEFT_OUT if split == TRAIN and int(group) in seen_in_eval else split
        for split, group in zip(given, groups, strict=True)
    ]  # fmt: skip
