"""The rule by which photographs are chosen to be labelled next, from their vectors and from what is labelled already.

Without labels it is TypiClust (Hacohen et al., arXiv 2202.02794, section 3): the photographs are divided into as many clusters as
there will be labels, and the most typical photograph of each of the largest clusters is chosen. With labels, a photograph weighs
as much as its class is uncertain. What is labelled takes part in the clustering, and clusters without it come first, so that
what is chosen is uncertain, typical of many others, and far from what is labelled.

The same rows in the same order give the same choice. Memory: a photograph takes 4 x DIMENSIONS bytes, for any size of
vector; distances are computed among at most SAMPLE of them at a time.
"""

from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

# Principal components that are compared: k-means and nearest neighbours say little in hundreds of dimensions.
DIMENSIONS = 64
# Photographs, drawn at random, by which components and clusters are found; the others join the nearest cluster. Photographs among
# which typicality looks for neighbours, drawn from a cluster that has more.
SAMPLE, MEMBERS = 20_000, 5_000
# Most clusters, neighbours that say how typical a photograph is, and members below which a cluster is left for last: the paper's
# (appendix D.2 and its released code).
MAX_CLUSTERS, NEIGHBOURS, MIN_MEMBERS = 500, 20, 5
# Below this a weight would take a photograph out of the clustering altogether.
MIN_WEIGHT = 1e-3


class Space(NamedTuple):
    """Where photographs are compared: `(vector - mean) @ components`, scaled to length 1.

    mean: `[d]`. components: `[d, dimensions]`. Both float32.
    """

    mean: np.ndarray
    components: np.ndarray

    def points(self, vectors: np.ndarray) -> np.ndarray:
        """`[count, d]` float32 -> `[count, dimensions]` float32 of length 1."""
        points = (vectors - self.mean) @ self.components
        return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)


def fit_space(vectors: np.ndarray) -> Space:
    """The space of the first DIMENSIONS principal components of `[count, d]` float32 vectors.

    Unlike the probe's, features are not standardised: small ones, which say little of most photographs, count little.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    centred = vectors - mean
    with threadpool_limits(1, "blas"):
        _, rotation = np.linalg.eigh(centred.T @ centred)
    return Space(mean.astype(np.float32), rotation[:, ::-1][:, :DIMENSIONS].astype(np.float32))


def uncertainty(probabilities: np.ndarray) -> np.ndarray:
    """(1 - (p1 - p2))^2, where p1 and p2 are the largest of each row of `[count, classes]`: `[count]` in [0, 1]."""
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    return (1 - (two[:, 1] - two[:, 0])) ** 2


class Choice(NamedTuple):
    """A chosen photograph.

    row: which. score: the share of all weight that its cluster has, in [0, 1]. alike: photographs of its cluster, itself included;
    near-duplicates count once. covered: how many of those were labelled or chosen before it.
    """

    row: int
    score: float
    alike: int
    covered: int


def choose(
    points: np.ndarray, count: int, *, labelled: np.ndarray, groups: np.ndarray, weights: np.ndarray | None = None, seed: int = 0
) -> list[Choice]:
    """The photographs to label next, the most useful first; fewer than `count` if there are no more.

    Args:
      points: `[n, dimensions]` float32 of length 1, as from Space.points.
      count: how many, at least 1.
      labelled: `[n]` bool; these are never chosen, nor are photographs that show the same picture as one of them.
      groups: `[n]` integers; photographs of one group show the same picture, and at most one of them is chosen.
      weights: `[n]`, how uncertain each one's class is, in [0, 1]; None while nothing can be said about it.
      seed: of the clusters.
    """
    rows = _one_of_each(groups, labelled)
    points, labelled = points[rows], labelled[rows]
    weights = np.ones(len(rows)) if weights is None else np.maximum(weights[rows], MIN_WEIGHT)
    weights[labelled] = 1
    clusters = _cluster(points, min(int(labelled.sum()) + count, MAX_CLUSTERS, len(rows)), weights, seed)
    members = np.bincount(clusters)
    covered = np.bincount(clusters[labelled], minlength=len(members))
    mass = np.bincount(clusters, weights * ~labelled, len(members))
    total, free, chosen = mass.sum(), ~labelled, []
    typical: dict[int, np.ndarray] = {}
    while len(chosen) < count and free.any():
        waiting = np.unique(clusters[free])
        cluster = min(waiting, key=lambda one: (members[one] < MIN_MEMBERS, covered[one], -mass[one], one))
        inside = np.flatnonzero(clusters == cluster)
        if cluster not in typical:
            typical[cluster] = _typicality(points[inside], seed)
        worth = typical[cluster] * weights[inside] * _distance(points[inside], points[inside][~free[inside]]) * free[inside]
        best = inside[worth.argmax()] if worth.max() > 0 else inside[free[inside].argmax()]
        chosen.append(Choice(int(rows[best]), float(mass[cluster] / total), int(members[cluster]), int(covered[cluster])))
        free[best] = False
        covered[cluster] += 1
    return chosen


def _one_of_each(groups: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """The row that stands for each group: a labelled one if there is one, else the first; sorted."""
    order = np.argsort(~labelled, kind="stable")
    return np.sort(order[np.unique(groups[order], return_index=True)[1]])


def _cluster(points: np.ndarray, count: int, weights: np.ndarray, seed: int) -> np.ndarray:
    """The cluster of each point, `[n]` integers."""
    sample = sampled(len(points), max(SAMPLE, count), seed)
    with threadpool_limits(1):  # sums in an order that does not depend on the machine
        fitted = KMeans(count, n_init=1, random_state=seed).fit(points[sample], sample_weight=weights[sample])
        return fitted.predict(points)


def _typicality(points: np.ndarray, seed: int) -> np.ndarray:
    """The inverse of the mean distance to the nearest NEIGHBOURS of the same cluster, `[members]`."""
    if len(points) == 1:
        return np.ones(1)
    among = points[sampled(len(points), MEMBERS, seed)]
    distances, _ = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(among)), algorithm="brute").fit(among).kneighbors(points)
    # The first is the point itself.
    return 1 / np.maximum(distances[:, 1:].mean(axis=1), 1e-6)


def _distance(points: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """The distance of each point to the nearest of `taken`; 1 if there are none."""
    if not len(taken):
        return np.ones(len(points))
    return NearestNeighbors(n_neighbors=1, algorithm="brute").fit(taken).kneighbors(points)[0][:, 0]


def sampled(count: int, size: int, seed: int) -> np.ndarray:
    """At most `size` of `count` rows, at random, sorted."""
    if count <= size:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, size, replace=False))
