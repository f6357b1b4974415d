"""Finds photographs that show the same picture: an identical file, or a re-encoded, scaled or converted copy.

Two photographs are the same picture if their thumbnails differ by at most `data.near_duplicate_distance` of their contrast (root
mean square of the difference over root mean square of the deviation from each channel's mean; the smaller contrast of the two).

A photograph is compared with its candidates (candidates.py); the few that have too many (a fixed camera, digits on black) are
compared in blocks, and never with those that are already known to be of their group. Every pair is found, unless that would take
more than COMPARED comparisons for each photograph: then those that remain count as one group. So groups may be too large there, but
no pair is ever in two, and time and memory grow in proportion to the photographs, however alike they are.
"""

import hashlib
import itertools
from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

import pipeline_config
from components.example_gen import candidates
from components.example_gen.photograph import DESCRIPTOR_SIDE

# In how many principal components of the thumbnails candidates are looked for; one number more is how strong all others are together.
# With 12 a search of 100,000 takes 0.9 of the time, with 24 1.2 times as long (benchmarks/near_duplicates.py --kinds distinct crops); each
# one more leaves fewer candidates to check, of which there are more the more photographs there are.
COMPONENTS = 16
SAMPLE = 4096  # thumbnails that these are of: more than five for each of the 768 values
FEW = 1000  # photographs that are compared all with all within a tenth of a second

# Comparisons of search points for each photograph, on average, a nanosecond each: together as long as its ingest. Fewer than a million
# photographs cannot take as many, and a million different ones take less than a tenth of it.
SEARCHED = 1_000_000

CHECKED = 512  # pairs checked at a time, which stay in a core's cache
BLOCK, PIECE = 512, 4096  # photographs compared with how many others at a time, to bound the memory
KEPT_PAIRS = 1_000_000  # pairs found that are remembered before they are joined
# Comparisons for each photograph, on average: 20,000 photographs are always compared all with all, within seconds, and a million
# take minutes.
COMPARED = 20_000


# RGB of 16 x 16 pixels, 768 bytes each, as `photograph.prepare` makes them; or uint8 [n, 768], which may be mapped from a file.
Thumbnails = Sequence[bytes] | np.ndarray


def group(thumbnails: Thumbnails, distance: float = pipeline_config.Data.near_duplicate_distance) -> np.ndarray:
    """Group number of each photograph, int [n]; photographs of one group show the same picture.

    Args:
      distance: share of the contrast, as `data.near_duplicate_distance`.

    Same-picture is made transitive: a chain of near-identical photographs is one group. Photographs without any contrast
    (one plain colour) are the same only if their thumbnails are identical.
    """
    if not len(thumbnails):
        return np.zeros(0, int)
    every = _array(thumbnails)
    digests = np.empty(len(every), "S32")
    for number, one in enumerate(every):
        digests[number] = hashlib.sha256(one).digest()
    _, first, content = np.unique(digests, return_index=True, return_inverse=True)
    groups = _connected(every, np.sort(first), distance)
    return np.unique(groups[first[content]], return_inverse=True)[1]


def close_to(
    thumbnails: Thumbnails, others: Thumbnails, distance: float = pipeline_config.Data.near_duplicate_distance
) -> np.ndarray | None:
    """Which photographs show the same picture as any of the others, directly and not by a chain: bool [n].

    None if that would take more than COMPARED comparisons for each of the two lists' photographs.
    """
    if len(thumbnails) * len(others) > COMPARED * (len(thumbnails) + len(others)):
        return None
    ours, theirs = _array(thumbnails), _array(others)
    reach, their_reach = _squared_reach(ours, distance), _squared_reach(theirs, distance)
    found = np.zeros(len(ours), bool)
    with threadpool_limits(1, "blas"):
        for block, piece in itertools.product(_slices(len(ours), BLOCK), _slices(len(theirs), PIECE)):
            found[block] |= _close(ours[block], theirs[piece], reach[block], their_reach[piece]).any(axis=1)
    return found


def squared_distances(thumbnails: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squared distance of each thumbnail, uint8 [n, 768], to another, uint8 [768], over all values: int [n]."""
    return np.concatenate([_squared_distances(thumbnails[part], other[None])[:, 0] for part in _slices(len(thumbnails), PIECE)])


def _array(thumbnails: Thumbnails) -> np.ndarray:
    """uint8 [n, 768]"""
    if isinstance(thumbnails, np.ndarray):
        return thumbnails
    return np.frombuffer(b"".join(thumbnails), np.uint8).reshape(len(thumbnails), 3 * DESCRIPTOR_SIDE**2)


def _slices(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _squared_reach(thumbnails: np.ndarray, distance: float) -> np.ndarray:
    """The largest squared distance at which a thumbnail of at least its contrast is the same picture: float [n].

    Euclidean like the distances: the common factor of both root mean squares cancels.
    """
    reach = np.empty(len(thumbnails))
    for part in _slices(len(thumbnails), PIECE):
        values = thumbnails[part].astype(np.float64)  # which holds all of these integers
        totals = (values[:, channel::3].sum(axis=1) for channel in range(3))
        reach[part] = np.einsum("np,np->n", values, values) - sum(total**2 for total in totals) / DESCRIPTOR_SIDE**2
    return distance**2 * reach


def _squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of each thumbnail in `left`, uint8 [l, 768], to each in `right`, uint8 [r, 768]: int32 [l, r], exact.

    In the range of -128 to 127 every sum of products stays below 2^24, up to which float32 holds every integer.
    """
    ours, theirs = (values.astype(np.float32) - 128 for values in (left, right))
    squares = ((ours**2).sum(axis=1).astype(np.int32)[:, None], (theirs**2).sum(axis=1).astype(np.int32)[None, :])
    return squares[0] + squares[1] - 2 * (ours @ theirs.T).astype(np.int32)


def _close(left: np.ndarray, right: np.ndarray, left_reach: np.ndarray, right_reach: np.ndarray) -> np.ndarray:
    """bool [l, r]"""
    return _squared_distances(left, right) <= np.minimum(left_reach[:, None], right_reach[None, :])


def _connected(thumbnails: np.ndarray, waiting: np.ndarray, distance: float) -> np.ndarray:
    """Group number of each of the thumbnails, uint8 [n, 768], of which those that are `waiting` differ; the others are not looked at."""
    reach, groups = _squared_reach(thumbnails, distance), np.arange(len(thumbnails))
    with threadpool_limits(1, "blas"):  # beside other work, threads that wait for each other take ten times as long
        while len(waiting) > FEW:
            before = len(waiting)
            groups, waiting = _join_candidates(thumbnails, reach, waiting, groups)
            if len(waiting) > before / 2:  # their own principal components tell a crowd apart, but only if others were there before
                break
        return _compare(thumbnails, reach, waiting, groups, COMPARED * len(thumbnails))


def _join_candidates(thumbnails: np.ndarray, reach: np.ndarray, waiting: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joins the `waiting` that show the same picture; returns the groups, and those of them still to be compared with each other."""
    crowded, pairs, count = [], [], 0
    for found in candidates.search(_search_points(thumbnails, waiting), reach[waiting], SEARCHED):
        crowded.append(waiting[found.crowded])
        pairs.append(_same_picture(thumbnails, reach, waiting[found.left], waiting[found.right]))
        count += pairs[-1].shape[1]
        if count > KEPT_PAIRS:
            groups, pairs, count = join(groups, *np.concatenate(pairs, axis=1)), [], 0
    return join(groups, *np.concatenate([*pairs, np.zeros((2, 0), int)], axis=1)), np.concatenate(crowded)


def _search_points(thumbnails: np.ndarray, waiting: np.ndarray) -> np.ndarray:
    """float32 [waiting, 17], whose distances are never larger than those of the thumbnails but for rounding: candidates may be too
    many, which are then checked, but none is missed.

    The coordinates are principal components, which are an orthonormal basis; the last number is the length of what remains of a
    thumbnail, and two lengths differ by no more than what they are lengths of.
    """
    sample = thumbnails[waiting[:: -(-len(waiting) // SAMPLE)]].astype(np.float64)
    mean = sample.mean(axis=0)
    sample -= mean
    basis = eigh(sample.T @ sample, subset_by_index=(len(mean) - COMPONENTS, len(mean) - 1))[1]  # [768, 16]
    points = np.empty((len(waiting), COMPONENTS + 1), np.float32)
    for part in _slices(len(waiting), PIECE):
        values = thumbnails[waiting[part]] - mean
        strongest = values @ basis
        points[part, :-1] = strongest
        remaining = np.einsum("np,np->n", values, values) - np.einsum("nc,nc->n", strongest, strongest)
        points[part, -1] = np.sqrt(np.maximum(remaining, 0))
    return points


def _same_picture(thumbnails: np.ndarray, reach: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The pairs, int [2, m], whose thumbnails are close enough."""
    kept = np.zeros(len(left), bool)
    for part in _slices(len(left), CHECKED):
        difference = thumbnails[left[part]].astype(np.int32) - thumbnails[right[part]]
        squared = np.einsum("mp,mp->m", difference, difference)  # at most 768 x 255^2, which int32 holds
        kept[part] = squared <= np.minimum(reach[left[part]], reach[right[part]])
    return np.stack([left[kept], right[kept]])


def _compare(thumbnails: np.ndarray, reach: np.ndarray, waiting: np.ndarray, groups: np.ndarray, most: int) -> np.ndarray:
    """Joins the `waiting` that show the same picture, all compared with all that are not of their group already.

    Those that remain after `most` comparisons become one group.
    """
    while len(waiting):
        waiting = waiting[np.argsort(groups[waiting], kind="stable")]  # a block of one group needs to look at the others alone
        block, first, last = waiting[:BLOCK], groups[waiting[0]], groups[waiting[:BLOCK][-1]]
        others = waiting[groups[waiting] != first] if first == last else waiting
        most -= len(block) * len(others)
        if most < 0:
            return join(groups, waiting, np.repeat(waiting[:1], len(waiting)))
        for part in _slices(len(others), PIECE):
            piece = others[part]
            close = _close(thumbnails[block], thumbnails[piece], reach[block], reach[piece])
            # A pair for each photograph joins nearly all; the few pairs that are left then cost little.
            nearest, any_close = close.argmax(axis=0), close.any(axis=0)
            groups = join(groups, block[nearest[any_close]], piece[any_close])
            rows, columns = np.nonzero(close & (groups[block][:, None] != groups[piece][None, :]))
            groups = join(groups, block[rows], piece[columns])
        waiting = waiting[BLOCK:]
    return groups


def join(groups: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The groups after the photographs `left` and `right`, int [m] each, were found to be the same picture pair by pair."""
    if not len(left):
        return groups
    edges = (np.ones(len(left), bool), (groups[left], groups[right]))
    return connected_components(coo_array(edges, shape=(len(groups), len(groups))), directed=False)[1][groups]
