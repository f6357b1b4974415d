"""Finds photographs that show the same picture: an identical file, or a re-encoded, scaled or converted copy.

Two photographs are the same picture if their thumbnails differ by at most `data.near_duplicate_distance` of their contrast (root
mean square of the difference over root mean square of the deviation from each channel's mean; the smaller contrast of the two).

Time and memory grow in proportion to the photographs, however alike they are: a photograph is compared with its nearest
candidates; the few that have too many candidates (a fixed camera, digits on black) are compared in blocks, and never with those
that are already known to be of their group. Every pair is found, unless that would take more than COMPARED comparisons for each
photograph: then those that remain count as one group. So groups may be too large there, but no pair is ever in two.
"""

import hashlib
import itertools
from collections.abc import Sequence

import numpy as np
from scipy.fft import dct
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

import pipeline_config
from components.example_gen.photograph import DESCRIPTOR_SIDE

# Lowest frequencies, of brightness and two differences of colours, that the search tree compares, and as one number more how strong
# all others are together: photographs of one composition differ in that. See `_search_points`.
SEARCH_FREQUENCIES = 2
COLOURS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])  # orthonormal
ROUNDING = 1e-3  # of distances in them: far more than float64 loses

# How many candidates of a photograph are looked up, first and then for those that have more. Of 3,033 Flowers two have more than 16.
CANDIDATES = (16, 256)
LOOKED_UP = 65_536  # candidates looked up at a time,
CHECKED = 16_384  # pairs checked at a time, and
BLOCK, PIECE = 512, 4096  # photographs compared with how many others at a time: all three bound the memory
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
    number_of: dict[bytes, int] = {}
    member_of = np.array([number_of.setdefault(hashlib.sha256(one).digest(), len(number_of)) for one in every])
    if len(number_of) < len(every):
        every = every[np.unique(member_of, return_index=True)[1]]
    del number_of
    return _connected(every, distance)[member_of]


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


def _connected(thumbnails: np.ndarray, distance: float) -> np.ndarray:
    """Group number of each of the (different) thumbnails, uint8 [n, 768]."""
    reach = _squared_reach(thumbnails, distance)
    tree = cKDTree(_search_points(thumbnails))
    groups = np.arange(len(thumbnails))
    waiting = np.argsort(reach, kind="stable")  # the tree takes one reach for all that are looked up at a time
    for candidates in CANDIDATES:
        groups, waiting = _look_up(thumbnails, reach, tree, waiting, groups, candidates)
    with threadpool_limits(1, "blas"):  # beside other work, threads that wait for each other take ten times as long
        return _compare(thumbnails, reach, waiting, groups, COMPARED * len(thumbnails))


def _search_points(thumbnails: np.ndarray) -> np.ndarray:
    """float [n, 13], whose distances are never larger than those of the thumbnails: the tree may find pairs too many, which are then
    checked, but misses none.

    The lowest frequencies are coordinates in an orthonormal basis; the last number is the length of what remains of a thumbnail, and
    two lengths differ by no more than what they are lengths of.
    """
    cosines = dct(np.eye(DESCRIPTOR_SIDE), axis=0, norm="ortho")[:SEARCH_FREQUENCIES]
    basis = np.kron(np.kron(cosines, cosines), COLOURS)  # [12, 768], as a thumbnail's values are: rows, columns, channels
    points = np.empty((len(thumbnails), len(basis) + 1))
    for part in _slices(len(thumbnails), PIECE):
        values = thumbnails[part].astype(np.float64)
        low = values @ basis.T
        points[part, :-1] = low
        points[part, -1] = np.sqrt(np.maximum(np.einsum("np,np->n", values, values) - np.einsum("nf,nf->n", low, low), 0))
    return points


def _look_up(
    thumbnails: np.ndarray, reach: np.ndarray, tree: cKDTree, waiting: np.ndarray, groups: np.ndarray, candidates: int
) -> tuple[np.ndarray, np.ndarray]:
    """Joins those that have fewer candidates than that with their same pictures; returns the groups, and those that have more."""
    more, pairs, count = [], [], 0
    for part in _slices(len(waiting), LOOKED_UP // candidates):
        ours = waiting[part]
        reaches = np.sqrt(reach[ours]) + ROUNDING
        distances, found = tree.query(tree.data[ours], k=candidates, distance_upper_bound=reaches[-1] * (1 + 1e-9), workers=-1)
        inside = distances <= reaches[:, None]
        crowded = inside.all(axis=1)
        more.append(ours[crowded])
        rows, columns = np.nonzero(inside & ~crowded[:, None])
        left, right = ours[rows], found[rows, columns]
        apart = groups[left] != groups[right]
        pairs.append(_same_picture(thumbnails, reach, left[apart], right[apart]))
        count += pairs[-1].shape[1]
        if count > KEPT_PAIRS:
            groups, pairs, count = join(groups, *np.concatenate(pairs, axis=1)), [], 0
    if pairs:
        groups = join(groups, *np.concatenate(pairs, axis=1))
    return groups, np.concatenate([waiting[:0], *more])


def _same_picture(thumbnails: np.ndarray, reach: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The pairs, int [2, m], whose thumbnails are close enough; checked in pieces to bound the memory."""
    kept = np.zeros(len(left), bool)
    for part in _slices(len(left), CHECKED):
        difference = thumbnails[left[part]].astype(np.int32) - thumbnails[right[part]]
        kept[part] = (difference**2).sum(axis=1) <= np.minimum(reach[left[part]], reach[right[part]])
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
