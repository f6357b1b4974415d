"""Which points lie within reach of each other, found without comparing all with all.

Points are parted in two, again and again, where they differ most. Others that are further from the box around a part than its points
reach are out of reach of all of them, so that the smaller a part, the fewer are left; with those each block of points is compared.
Of the points of photographs (near_duplicates.py) an eighth of all pairs is compared where there are 100,000, and a twelfth where there
are 300,000; a search tree that is asked for each point alone looks at more, and at one after the other.
"""

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from contracts.cores import cores
from contracts.threads import in_order

# Those that have more candidates than that, themselves among them, are named as crowded: more to check one by one than in blocks.
CANDIDATES = 256
BLOCK, PIECE = 512, 2048  # points compared with how many others at a time: 4 MB of results
FILTERED = 8192  # others looked at at a time for a part of the points: half a megabyte, which stays in a core's cache
REGION = 8192  # points that a thread searches at a time
# What rounding may add. A coordinate below 8,192 errs by less than 2^-12 in float32, and the distance of two points of 18 coordinates by
# less than 0.01. The error of a sum of k products is at most k / 2^24 of their sizes in whatever order (Higham, Accuracy and Stability of
# Numerical Algorithms, 2nd edition, section 3.1), here less than 2^-18 of both squares.
POINT_ERROR = 0.01
SQUARE_ERROR = 2.0**-18


class Found(NamedTuple):
    """What the search says of some of the points, all of them int arrays of numbers of points.

    `left` [m] and `right` [m] are pairs that may lie within reach; `crowded` [c] have more candidates than CANDIDATES, so that of
    their pairs only those with others that are not crowded are named, which is done where these are searched.
    """

    left: np.ndarray
    right: np.ndarray
    crowded: np.ndarray


class _Space(NamedTuple):
    """Points and how far they reach.

    `right` is float32 [f + 2, n]: the coordinates, 1, and the square of their length, a little less. `_left` of a point times this
    of another is their squared distance less the first one's squared reach. `reach` is float32 [n], squared.
    """

    right: np.ndarray
    reach: np.ndarray

    @property
    def points(self) -> np.ndarray:
        return self.right[:-2]


def search(points: np.ndarray, reach: np.ndarray, most: float) -> Iterator[Found]:
    """Every pair whose distance is at most the smaller reach of the two, in parts, with pairs too many: check them.

    Uses every core; what it finds, and in which order, does not depend on their number.

    Args:
      points: float32 [n, f], at most 18 coordinates of at most 8,192 each, best around zero.
      reach: float [n], squared.
      most: comparisons for each point, on average. Points that are not searched by then are named as crowded.
    """
    space, everyone = _space(points, reach), np.arange(len(points))
    searched, remaining = np.zeros(len(points), bool), most * len(points)
    regions = _parts(space, everyone, everyone, REGION)
    with ThreadPoolExecutor(cores()) as threads:
        for rows, found, compared in in_order(threads, functools.partial(_search_region, space), regions, cores()):
            remaining -= compared
            if remaining < 0:
                yield Found(everyone[:0], everyone[:0], np.flatnonzero(~searched))
                return
            searched[rows] = True
            yield found


def _space(points: np.ndarray, reach: np.ndarray) -> _Space:
    right = np.empty((points.shape[1] + 2, len(points)), np.float32)
    right[:-2] = points.T
    right[-2] = 1
    right[-1] = np.einsum("fn,fn->n", right[:-2], right[:-2], dtype=np.float64) * (1 - SQUARE_ERROR)
    return _Space(right, ((np.sqrt(reach) + POINT_ERROR) ** 2).astype(np.float32))


def _left(space: _Space, rows: np.ndarray) -> np.ndarray:
    """float32 [rows, f + 2]"""
    return np.stack([*(-2 * space.points[:, rows]), space.right[-1, rows] - space.reach[rows], np.ones(len(rows), np.float32)], axis=1)


def _parts(space: _Space, rows: np.ndarray, columns: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows in parts of at most `size` that lie close together, each with those of the columns that one of them may reach."""
    columns = _near(space, rows, columns)
    if len(rows) <= size:
        yield rows, columns
        return
    widest = np.argmax(space.points[:, rows].var(axis=1))
    for half in np.array_split(np.argpartition(space.points[widest, rows], len(rows) // 2), [len(rows) // 2]):
        yield from _parts(space, rows[half], columns, size)


def _near(space: _Space, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The columns that are no further from the box around the rows than the rows reach, and than the column itself does."""
    points, far = space.points[:, rows], space.reach[rows].max()
    low, high = points.min(axis=1), points.max(axis=1)
    centre, half = (low + high)[:, None] / 2, (high - low)[:, None] / 2
    near = np.empty(len(columns), bool)
    for start in range(0, len(columns), FILTERED):
        some = columns[start : start + FILTERED]
        gap = space.points.take(some, axis=1)
        np.abs(np.subtract(gap, centre, out=gap), out=gap)
        np.maximum(np.subtract(gap, half, out=gap), 0, out=gap)
        near[start : start + FILTERED] = np.einsum("fn,fn->n", gap, gap) <= np.minimum(space.reach[some], far)
    return columns[near]


def _search_region(space: _Space, region: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, Found, int]:
    """The region's rows, what was found of them, and how many comparisons that took."""
    found, compared = zip(*(_search_block(space, *block) for block in _parts(space, *region, BLOCK)), strict=True)
    return region[0], Found(*map(np.concatenate, zip(*found, strict=True))), sum(compared)


def _search_block(space: _Space, rows: np.ndarray, columns: np.ndarray) -> tuple[Found, int]:
    """What is found of the rows among the columns, and how many comparisons that took; none is made of a row that is known to be
    crowded."""
    ours, counts, waiting, compared = _left(space, rows), np.zeros(len(rows), int), np.arange(len(rows)), 0
    lefts, rights = [waiting[:0]], [waiting[:0]]
    for start in range(0, len(columns), PIECE):
        piece = columns[start : start + PIECE]
        within = np.flatnonzero(ours[waiting] @ space.right[:, piece] <= 0)
        compared += len(waiting) * len(piece)
        if not len(within):
            continue
        row, column = np.divmod(within, len(piece))
        lefts.append(waiting[row])
        rights.append(piece[column])
        counts += np.bincount(lefts[-1], minlength=len(rows))
        if counts.max() > CANDIDATES:
            waiting = np.flatnonzero(counts <= CANDIDATES)
            if not len(waiting):
                break
    left, right = np.concatenate(lefts), np.concatenate(rights)
    kept = (counts[left] <= CANDIDATES) & (rows[left] != right)
    return Found(rows[left[kept]], right[kept], rows[counts > CANDIDATES]), compared
