"""Finds photographs that are the same picture: re-encoded, scaled or converted copies, besides identical files.

Called once by the Beam pipeline with every usable photograph's descriptor, so that no picture ends up on both sides of the
division. Exact: each pair within the threshold is found. 100,000 photographs take under half a minute and 1 GB.
"""

import itertools

import numpy as np
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from components.flowers_example_gen.photograph import DESCRIPTOR_SIDE

# Two photographs are the same picture if their thumbnails differ by at most this share of their contrast (root mean square of
# the difference over root mean square of the deviation from each channel's mean; the smaller contrast of the two).
# Measured on 3,033 Flowers photographs: 2,700 copies of 300 of them (JPEG at quality 50 and 75, WebP at 50, GIF, half and double
# size with four filters) differ from their originals by at most 0.20; among 4.6 million pairs of the photographs themselves
# five differ by less (0 to 0.15, each the same picture on inspection), and the next pair, two takes of one meadow, by 0.29.
THRESHOLD = 0.22

# Lowest frequencies of each channel that the search tree compares. Their transform is orthonormal, so that two thumbnails are
# never farther apart in them than they really are: the tree may find a pair too many, which is then checked, and never too few.
SEARCH_FREQUENCIES = 2
CHUNK = 256  # photographs whose neighbours are looked up at a time, and
CHECKED = 16_384  # pairs whose thumbnails are compared at a time: both bound the memory


def group(descriptors: list[bytes]) -> np.ndarray:
    """Group number of each photograph, int [n]; photographs with the same number show the same picture.

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
    reach = THRESHOLD * contrast  # Euclidean, as the distances below: the common factor of both root mean squares cancels
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
    """The pairs, int [2, m], whose thumbnails really are close enough; checked in pieces so that memory stays bounded."""
    close = [
        np.sqrt(((thumbnails[left[i : i + CHECKED]] - thumbnails[right[i : i + CHECKED]]) ** 2).sum((1, 2, 3)))
        <= np.minimum(reach[left[i : i + CHECKED]], reach[right[i : i + CHECKED]])
        for i in range(0, len(left), CHECKED)
    ]
    kept = np.concatenate(close) if close else np.zeros(0, bool)
    return np.stack([left[kept], right[kept]])
