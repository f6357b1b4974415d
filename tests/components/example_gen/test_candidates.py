"""Promises of candidates: no pair within reach is missed, whatever is left out; crowds are named and cost little."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from components.example_gen import candidates


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    for name, size in {"BLOCK": 16, "PIECE": 32, "FILTERED": 64, "REGION": 128, "CANDIDATES": 20}.items():
        monkeypatch.setattr(candidates, name, size)


@pytest.fixture
def compared(monkeypatch):
    """Comparisons of the regions that are searched."""
    counts, search_region = [], candidates._search_region

    def counting(*given):
        counts.append(search_region(*given)[2])
        return search_region(*given)

    monkeypatch.setattr(candidates, "_search_region", counting)
    return counts


def groups_of_points(count=1000, seed=1):
    """Points alone, in groups of a few, and in one crowd of a hundred, each with a reach of its own: float32 [n, 5], float [n]."""
    random = np.random.default_rng(seed)
    points = random.normal(0, 300, (count, 5))
    points[: count // 2] = points[np.arange(count // 2) // 4] + random.normal(0, 8, (count // 2, 5))
    points[-100:] = points[-1] + random.normal(0, 8, (100, 5))
    return points.astype(np.float32), random.uniform(1, 40, count) ** 2


def searched(points, reach, most=1e9):
    """Named pairs, and who is crowded: bool [n, n], bool [n]."""
    named, crowded = np.zeros((len(points), len(points)), bool), np.zeros(len(points), bool)
    for found in candidates.search(points, reach, most):
        named[found.left, found.right] = True
        crowded[found.crowded] = True
    return named, crowded


def missed(points, reach, named, crowded):
    """Pairs within reach that are neither named nor crowded both: int [m, 2]."""
    within = cdist(points.astype(float), points.astype(float)) ** 2 <= np.minimum(reach[:, None], reach[None])
    np.fill_diagonal(within, False)
    return np.argwhere(within & ~(named | named.T) & ~(crowded[:, None] & crowded[None]))


def test_every_pair_within_reach_is_named_and_few_others():
    points, reach = groups_of_points()
    named, crowded = searched(points, reach)
    assert not len(missed(points, reach, named, crowded))
    distances, squares = cdist(points.astype(float), points.astype(float)), (points.astype(float) ** 2).sum(axis=1)
    far = (np.sqrt(reach[:, None]) + 2 * candidates.POINT_ERROR) ** 2 + 2 * candidates.SQUARE_ERROR * (squares[:, None] + squares)
    assert (distances**2 <= far)[named].all() and not named.diagonal().any()
    assert 100 < named.sum() < 10_000


def test_those_with_more_candidates_than_that_are_crowded_and_no_others():
    points, reach = groups_of_points()
    distances = cdist(points.astype(float), points.astype(float))
    within = (distances <= np.sqrt(reach)[:, None]).sum(axis=1)
    certain = within == (distances <= np.sqrt(reach)[:, None] + 0.1).sum(axis=1)
    # What is out of the reach of the other one may be left out, and is then not counted.
    both = (distances <= np.sqrt(np.minimum(reach[:, None], reach[None]))).sum(axis=1)
    _, crowded = searched(points, reach)
    assert 10 < crowded.sum() < 110
    assert crowded[both > candidates.CANDIDATES].all()
    assert not crowded[certain & (within <= candidates.CANDIDATES)].any()


@pytest.mark.parametrize("step", [[3.0, -4.0] + [0.0] * 16, [5 / 18**0.5, -5 / 18**0.5] * 9], ids=["exact", "rounded"])
def test_pairs_at_the_limit_of_their_reach_are_named_wherever_they_are(monkeypatch, step):
    """Rows of points 5 apart near the greatest coordinates allowed, which float32 holds exactly or rounds; their squares it rounds."""
    monkeypatch.setattr(candidates, "CANDIDATES", 300)
    random = np.random.default_rng(2)
    starts = random.choice([-1, 1], (3, 18)) * random.uniform(7000, 7600, (3, 18)).round()
    points = (starts[:, None] + np.arange(100)[:, None] * step).reshape(300, 18).astype(np.float32)
    named, crowded = searched(points, np.full(300, 25.0))
    neighbours = np.flatnonzero(np.arange(299) % 100 != 99)
    assert named[neighbours, neighbours + 1].all() and named[neighbours + 1, neighbours].all() and not crowded.any()
    assert not named[:100, 100:].any()


def test_points_that_are_all_in_one_place_are_crowded_and_compared_with_few(compared):
    _, crowded = searched(np.ones((3000, 3), np.float32), np.full(3000, 4.0))
    assert crowded.all()
    assert sum(compared) == 3000 * candidates.PIECE


def test_of_four_times_the_points_each_is_compared_with_hardly_more(compared):
    random, each = np.random.default_rng(3), []
    for count in (2000, 8000):
        compared.clear()
        searched(random.uniform(0, 1000, (count, 3)).astype(np.float32), np.full(count, 400.0))
        each.append(sum(compared) / count)
    assert each[0] < 2000 / 3 and each[1] < 1.5 * each[0]


def test_what_takes_too_many_comparisons_is_crowded_and_nothing_is_missed():
    points, reach = groups_of_points()
    all_named, all_crowded = searched(points, reach)
    named, crowded = searched(points, reach, most=15)
    assert all_crowded.sum() < crowded.sum() < len(points)
    assert 0 < named.sum() < all_named.sum()
    assert not len(missed(points, reach, named, crowded))


def test_the_number_of_cores_changes_neither_pairs_nor_order(monkeypatch):
    points, reach = groups_of_points()
    found = []
    for count in (1, 4):
        monkeypatch.setattr(candidates, "cores", lambda count=count: count)
        found.append([[part.tolist() for part in each] for each in candidates.search(points, reach, 1e9)])
    assert found[0] == found[1] and len(found[0]) > 4


@pytest.mark.parametrize("count", [1, 2, 17])
def test_few_points(count):
    named, crowded = searched(np.zeros((count, 2), np.float32), np.ones(count))
    assert named.sum() == count * (count - 1) and not crowded.any()
