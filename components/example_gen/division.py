"""Divides labelled photographs into train and eval, and keeps what eval shows out of everything that is learned from.

Deterministic: content decides, never names, order or chance, and adding photographs moves few others.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from components.example_gen import near_duplicates
from contracts.examples import EVAL, TRAIN, UNLABELLED

LEFT_OUT = "left out"
FOLDER = "folder"  # the value of data.group_by for the folder that a photograph is in

# A group that holds more than this share of a class is cut where it may be: its two ends need not show the same picture.
CHAIN_SHARE = 0.5
# Share of a group's photographs that a cut may leave out of training: more is too high a price for figures of the rest.
CUT_SHARE = 0.5


def by_path(paths: Sequence[str], hashes: Sequence[str], pattern: str) -> np.ndarray:
    """Group number of each photograph by its path, int [n]; identical files are of one group too.

    Args:
      pattern: `data.group_by`: FOLDER, or a regular expression. Where it is found in two paths with the same text, or the same
        text in its first parentheses if it has any, the photographs are of one group; where it is not found, of none.
    """
    first: dict[str | int, int] = {}
    groups = np.array([first.setdefault(_key(path, pattern, index), index) for index, path in enumerate(paths)], int)
    _, first_of, content = np.unique(hashes, return_index=True, return_inverse=True)
    return near_duplicates.join(groups, np.arange(len(groups)), first_of[content])


def _key(path: str, pattern: str, index: int) -> str | int:
    """What photographs of one group have in common; the photograph's own number if it is of none."""
    if pattern == FOLDER:
        return path.rpartition("/")[0]
    found = re.search(pattern, path)
    text = found and found.group(min(1, found.re.groups))
    return index if text is None else text


def chains(classes: Sequence[str], groups: np.ndarray) -> dict[int, list[str]]:
    """The groups that hold more than CHAIN_SHARE of a class, or of the unlabelled photographs (class ""), and of which."""
    if not len(classes):
        return {}
    names, numbers = numbered(classes)
    sizes = np.bincount(numbers)
    both, counts = np.unique(groups * len(names) + numbers, return_counts=True)
    most = counts > np.maximum(CHAIN_SHARE * sizes[both % len(names)], 1)
    found: dict[int, list[str]] = {}
    for group, number in zip(*(part.tolist() for part in divmod(both[most], len(names))), strict=True):
        found.setdefault(group, []).append(names[number])
    return found


def numbered(classes: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The names, sorted, and the number of each photograph's, int [n]."""
    names = sorted(set(classes))
    number_of = {name: number for number, name in enumerate(names)}
    return names, np.fromiter(map(number_of.__getitem__, classes), int, len(classes))


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
    sizes = Counter(classes)
    wanted = held_out(sizes, eval_fraction, min_eval)
    members = _in_order_of_content(groups, hashes)
    taken: Counter = Counter()
    chosen = np.zeros(len(members), bool)
    for position, photographs in enumerate(members):
        count = Counter(classes[i] for i in photographs.tolist())
        if all(taken[name] + n <= wanted[name] for name, n in count.items()):
            chosen[position] = True
            taken.update(count)
    names, numbers = numbered(classes)
    position_of = np.empty(len(classes), int)
    position_of[np.concatenate([*members, np.zeros(0, int)])] = np.repeat(np.arange(len(members)), [len(one) for one in members])
    for name in sorted(sizes.keys() - taken.keys()):
        if taken[name]:
            continue
        counts = {position: Counter(classes[i] for i in members[position].tolist())
                  for position in np.unique(position_of[numbers == names.index(name)]).tolist()}  # fmt: skip
        fitting = [position for position, count in counts.items() if all(taken[other] + n < sizes[other] for other, n in count.items())]
        if fitting:
            smallest = min(fitting, key=lambda position: len(members[position]))
            chosen[smallest] = True
            taken.update(counts[smallest])
    sides = np.full(len(classes), TRAIN, object)
    for position in np.flatnonzero(chosen):
        sides[members[position]] = EVAL
    return sides.tolist()


def _in_order_of_content(groups: np.ndarray, hashes: Sequence[str]) -> list[np.ndarray]:
    """The photographs of each group, both by their smallest content hash."""
    order = np.argsort(np.asarray(hashes), kind="stable")
    _, first, numbers = np.unique(groups[order], return_index=True, return_inverse=True)
    by_group = np.argsort(numbers, kind="stable")
    parts = np.split(order[by_group], np.cumsum(np.bincount(numbers))[:-1])
    return [parts[number] for number in np.argsort(first)] if len(first) else []


# close(photographs, others), by their numbers: which of the photographs show the same picture as any of the others, bool; None if
# that takes too long to find out, see near_duplicates.close_to.
Close = Callable[[Sequence[int], Sequence[int]], np.ndarray | None]


def cut(
    sides: Sequence[str], classes: Sequence[str], hashes: Sequence[str], groups: np.ndarray, eval_fraction: float, min_eval: int,
    order: Callable[[Sequence[int]], np.ndarray], close: Close,
) -> list[str]:  # fmt: skip
    """The sides after eval got its share of classes that are mostly one chain of photographs, each like the next.

    Where a group of `chains` leaves eval less than half of what `held_out` wants of a class, the class gives eval those of the group
    that are most like the one of the smallest content hash. Photographs of the group that show the same picture as one of these
    will be left out by `keep_given`; a cut that would leave out more than CUT_SHARE of the group's others is not made.

    Args:
      sides: what `divide` found for the labelled photographs, and UNLABELLED.
      classes: "" for the unlabelled.
      order: the positions of the given photographs by their distance to the first of them, nearest first.
    """
    sides = list(sides)
    sizes = Counter(name for name in classes if name)
    wanted = held_out(sizes, eval_fraction, min_eval) if sizes else {}
    held = Counter(name for name, side in zip(classes, sides, strict=True) if side == EVAL)
    for group, names in chains(classes, groups).items():
        members = sorted((groups == group).nonzero()[0].tolist(), key=lambda i: hashes[i])
        for name in filter(None, names):
            missing = wanted[name] - held[name]
            if 2 * missing <= wanted[name]:
                continue
            ours = [i for i in members if classes[i] == name and sides[i] == TRAIN]
            chosen = {ours[position] for position in order(ours)[:missing]}
            others = [i for i in members if i not in chosen and sides[i] != EVAL]
            lost = close(others, sorted(chosen)) if others else None
            if lost is not None and lost.sum() <= CUT_SHARE * len(others):
                held[name] += len(chosen)
                for index in chosen:
                    sides[index] = EVAL
    return sides


def keep_given(
    given: Sequence[str], groups: np.ndarray, chained: Mapping[int, Sequence[str]] | None = None, close: Close | None = None
) -> list[str]:
    """The given split of each photograph, but LEFT_OUT for those in train or unlabelled that show the same picture as one in eval.

    Args:
      groups: all of a group show the same picture, except
      chained, close: in these groups (see `chains`) only those that are close to one of eval.
    """
    seen_in_eval = {int(group) for split, group in zip(given, groups, strict=True) if split == EVAL}
    kept = [
        LEFT_OUT if split in (TRAIN, UNLABELLED) and int(group) in seen_in_eval else split
        for split, group in zip(given, groups, strict=True)
    ]  # fmt: skip
    for group in seen_in_eval.intersection(chained or ()) if close else ():
        members = (groups == group).nonzero()[0].tolist()
        learned = [i for i in members if given[i] in (TRAIN, UNLABELLED)]
        lost = close(learned, [i for i in members if given[i] == EVAL]) if learned else None
        for index, is_lost in zip(learned, lost, strict=True) if lost is not None else ():
            kept[index] = LEFT_OUT if is_lost else given[index]
    return kept
