"""Divides labelled photographs into train and eval, and keeps what eval shows out of everything that is learned from.

The same picture is an identical file, or a re-encoded, scaled or converted copy. The search for near-duplicates is exact (it
finds each pair within the threshold); 100,000 photographs take under half a minute and 1 GB. Deterministic: content decides,
never names, order or chance, and adding photographs moves few others.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from components.example_gen.photograph import DESCRIPTOR_SIDE
from contracts.examples import EVAL, TRAIN, UNLABELLED

# Two photographs are the same picture if their thumbnails differ by at most this share of their contrast (root mean square of
# the difference over root mean square of the deviation from each channel's mean; the smaller contrast of the two).
# Measured on 3,033 Flowers photographs: 2,700 copies of 300 of them (JPEG at quality 50 and 75, WebP at 50, GIF, half and double
# size with four filters) differ from their originals by at most 0.20; among 4.6 million pairs of the photographs themselves
# five differ by less (0 to 0.15, each the same picture on inspection), and the next pair, two takes of one meadow, by 0.29.
THRESHOLD = 0.22

# Lowest frequencies of each channel that the search tree compares. Their transform is orthonormal, so the distance of two
# thumbnails in them is never larger than the true one: the tree may find pairs too many, which are then checked, but misses none.
SEARCH_FREQUENCIES = 2
CHUNK = 256  # photographs whose neighbours are looked up at a time, and
CHECKED = 16_384  # pairs whose thumbnails are compared at a time: both bound the memory


def group(descriptors: list[bytes]) -> np.ndarray:
    """Group number of each photograph, int [n]; photographs of one group show the same picture.

    Args:
      descriptors: thumbnails, RGB of 16 x 16 pixels, 768 bytes each, as `photograph.prepare` makes them.

    Same-picture is made transitive: a chain of near-identical photographs is one group. Photographs without any contrast
    (one plain colour) are the same only if their thumbnails are identical.
    """
    if not descriptors:
        return np.zeros(0, int)
    number_of: dict[bytes, int] = {}
    member_of = np.array([number_of.setdefault(descriptor, len(number_of)) for descriptor in descriptors])
    thumbnails = np.frombuffer(b"".join(number_of), np.uint8).reshape(len(number_of), DESCRIPTOR_SIDE, DESCRIPTOR_SIDE, 3)
    return _connected(thumbnails)[member_of]


def _connected(thumbnails: np.ndarray) -> np.ndarray:
    """Group number of each of the (different) thumbnails, uint8 [n, 16, 16, 3]."""
    thumbnails = thumbnails.astype(np.float32)
    contrast = np.sqrt(((thumbnails - thumbnails.mean((1, 2), keepdims=True)) ** 2).sum((1, 2, 3)))
    reach = THRESHOLD * contrast  # Euclidean like the distances below: the common factor of both root mean squares cancels
    points = _low_frequencies(thumbnails)
    tree = cKDTree(points)
    pairs = []
    for start in range(0, len(points), CHUNK):
        ours = slice(start, start + CHUNK)
        found = tree.query_ball_point(points[ours], reach[ours], return_sorted=False, workers=-1)
        left = start + np.repeat(np.arange(len(found)), [len(others) for others in found])
        right = np.fromiter(itertools.chain.from_iterable(found), int, len(left))
        pairs.append(_same_picture(thumbnails, reach, left[left < right], right[left < right]))
    left, right = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(points), len(points)))
    return connected_components(graph, directed=False)[1]


def _low_frequencies(thumbnails: np.ndarray) -> np.ndarray:
    spectrum = dctn(thumbnails, axes=(1, 2), norm="ortho")
    return spectrum[:, :SEARCH_FREQUENCIES, :SEARCH_FREQUENCIES].reshape(len(thumbnails), -1).astype(np.float64)


def _same_picture(thumbnails: np.ndarray, reach: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The pairs, int [2, m], whose thumbnails are close enough; checked in pieces to bound the memory."""
    close = [
        np.sqrt(((thumbnails[left[i : i + CHECKED]] - thumbnails[right[i : i + CHECKED]]) ** 2).sum((1, 2, 3)))
        <= np.minimum(reach[left[i : i + CHECKED]], reach[right[i : i + CHECKED]])
        for i in range(0, len(left), CHECKED)
    ]
    kept = np.concatenate(close) if close else np.zeros(0, bool)
    return np.stack([left[kept], right[kept]])


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
