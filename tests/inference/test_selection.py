"""The rule of `select` on points whose clusters are known: what is chosen first, what never, and what labels change."""

import numpy as np
import pytest

from inference import selection
from inference.selection import Choice, choose, fit_space, uncertainty

SIZES = (40, 30, 20, 12)


@pytest.fixture(scope="module")
def points():
    """Four bunches on a sphere, around its axes; the first of each lies exactly on the axis."""
    random = np.random.default_rng(0)
    found = []
    for axis, size in enumerate(SIZES):
        bunch = 0.15 * random.normal(size=(size, 4))
        bunch[0] = 0
        bunch[:, axis] += 1
        found.append(bunch)
    rows = np.concatenate(found).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


BUNCH = np.repeat(range(4), SIZES)
FIRST = np.searchsorted(BUNCH, range(4))


def labelled_rows(*rows):
    mask = np.zeros(len(BUNCH), bool)
    mask[list(rows)] = True
    return mask


def chosen(points, count, labelled=(), **more):
    return choose(points, count, labelled=labelled_rows(*labelled), **{"groups": np.arange(len(points))} | more)


def test_without_labels_the_largest_bunches_come_first_each_with_its_most_typical_photograph(points):
    found = chosen(points, 4)
    assert [BUNCH[one.row] for one in found] == [0, 1, 2, 3] and [one.alike for one in found] == list(SIZES)
    assert [one.score for one in found] == pytest.approx([size / sum(SIZES) for size in SIZES])
    for one in found:
        inside = np.flatnonzero(BUNCH == BUNCH[one.row])
        between = np.linalg.norm(points[inside][:, None] - points[inside], axis=2)
        mean = np.sort(between, axis=1)[:, 1:21].mean(axis=1)  # of 20 neighbours, or of all the others
        assert one.row == inside[mean.argmin()] and one.covered == 0


def test_what_is_labelled_is_never_chosen_and_its_bunch_comes_last(points):
    found = chosen(points, 2, labelled=(FIRST[0], FIRST[1] + 3))
    assert {BUNCH[one.row] for one in found} == {2, 3}
    every = chosen(points, len(points), labelled=range(50))
    assert sorted(one.row for one in every) == list(range(50, len(points)))
    assert chosen(points, 5, labelled=range(len(points))) == []


def test_near_duplicates_are_chosen_once_and_not_at_all_if_one_is_labelled(points):
    """Bunch 0 shows one picture, so that it counts as one photograph; bunch 1 too, and that one is labelled."""
    groups = np.where(BUNCH == 0, 0, np.where(BUNCH == 1, 1, np.arange(len(BUNCH)) + 2))
    found = chosen(points, len(points), labelled=(FIRST[1] + 7,), groups=groups)
    assert [BUNCH[one.row] for one in found].count(0) == 1 and [BUNCH[one.row] for one in found].count(1) == 0
    assert len(found) == 1 + SIZES[2] + SIZES[3]


def test_bunches_of_uncertain_photographs_come_before_larger_ones_that_are_certain(points):
    weights = np.where(BUNCH == 3, 0.9, 0.01)
    found = chosen(points, 1, labelled=(FIRST[0], FIRST[1], FIRST[2]), weights=weights)
    assert BUNCH[found[0].row] == 3 and found[0].score == pytest.approx(0.9 * 12 / (0.9 * 12 + 0.01 * (39 + 29 + 19)))


def test_in_a_bunch_the_uncertain_photograph_is_preferred_to_one_that_is_as_typical(points):
    """Two photographs at one place are equally typical."""
    twice = points.copy()
    twice[FIRST[0] + 1] = twice[FIRST[0]]
    weights = np.full(len(points), 0.1)
    weights[FIRST[0] + 1] = 1
    assert FIRST[0] + 1 in [one.row for one in chosen(twice, 4, weights=weights)]


def test_the_same_seed_gives_the_same_choice(points):
    assert chosen(points, 9, seed=3) == chosen(points, 9, seed=3)


def test_photographs_beyond_the_sample_join_the_nearest_cluster(points, monkeypatch):
    whole = chosen(points, 4)
    monkeypatch.setattr(selection, "SAMPLE", 60)
    monkeypatch.setattr(selection, "MEMBERS", 10)
    assert [(BUNCH[one.row], one.alike) for one in chosen(points, 4)] == [(BUNCH[one.row], one.alike) for one in whole]


def test_one_photograph_is_a_choice():
    (only,) = choose(np.ones((1, 2), np.float32), 3, labelled=np.zeros(1, bool), groups=np.zeros(1, int))
    assert only == Choice(row=0, score=1.0, alike=1, covered=0)


def test_uncertainty_is_the_square_of_what_the_margin_leaves():
    assert uncertainty(np.array([[0.5, 0.5, 0], [0, 1, 0], [0.2, 0.7, 0.1]])) == pytest.approx([1, 0, 0.25])


def test_the_space_is_that_of_the_principal_components():
    """Three vectors on the line (3, 4, 0) through (1, 1, 5): one component explains all, and of each only the side is left."""
    vectors = np.array([[1, 1, 5]] * 3 + np.outer([-2, -1, 3], [3, 4, 0]), np.float32)
    space = fit_space(vectors)
    assert space.components.shape == (3, 3) and np.abs(space.components[:, 0]) == pytest.approx([0.6, 0.8, 0], abs=1e-6)
    assert space.points(vectors)[:, 0] * np.sign(space.components[0, 0]) == pytest.approx([-1, -1, 1], abs=1e-6)
