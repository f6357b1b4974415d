import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from trainer import blocks
from trainer import features as features_of
from trainer.features import knn_accuracy, nearest


def test_each_photograph_is_judged_without_its_own_vote():
    # Angles in degrees. 0 and 5 are twins, 90 and 80 are twins; 12 belongs to the second class but lies by the first.
    angles = np.radians([0, 5, 90, 80, 12])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = np.array([0, 0, 1, 1, 1])
    assert knn_accuracy(features, labels, 1) == pytest.approx(4 / 5)


def test_agrees_with_scikit_learn_on_queries():
    random = np.random.default_rng(0)
    bank, queries = random.normal(size=(300, 8)), random.normal(size=(700, 8))
    centres = random.normal(size=(3, 8)) * 0.7
    labels, truth = random.integers(0, 3, 300), random.integers(0, 3, 700)
    bank, queries = bank + centres[labels], queries + centres[truth]
    reference = KNeighborsClassifier(5, metric="cosine").fit(bank, labels)
    neighbours = reference.kneighbors(queries)
    votes = np.array([np.bincount(labels[row], minlength=3) for row in neighbours[1]])
    clear = np.sort(votes, axis=1)[:, -1] > np.sort(votes, axis=1)[:, -2]  # ties are ours to break
    expected = np.mean(reference.predict(queries[clear]) == truth[clear])
    assert knn_accuracy(bank, labels, 5, (queries[clear], truth[clear])) == pytest.approx(expected)


def test_a_tie_goes_to_the_more_similar_class():
    bank = np.array([[1, 0.1], [1, 0.9]], np.float32)
    assert knn_accuracy(bank, np.array([1, 0]), 2, (np.array([[1.0, 0.0]]), np.array([1]))) == 1


def test_more_neighbours_than_photographs_is_no_error():
    assert knn_accuracy(np.eye(3), np.array([0, 0, 0]), 20) == 1


def test_the_nearest_are_those_of_scikit_learn_most_similar_first():
    random = np.random.default_rng(1)
    bank, queries = random.normal(size=(50, 6)), random.normal(size=(4, 6))
    bank, queries = bank + 100, queries + 100  # far from the origin, as features are
    mean = bank.mean(axis=0)
    distances, expected = NearestNeighbors(n_neighbors=5, metric="cosine").fit(bank - mean).kneighbors(queries - mean)
    positions, similarity = nearest(bank, queries, 5)
    assert positions.tolist() == expected.tolist()
    assert similarity == pytest.approx(1 - distances, abs=1e-4)
    assert nearest(bank[:3], queries, 5)[0].shape == (4, 3)  # no more than there are


def test_pieces_of_the_bank_and_of_the_queries_change_nothing(monkeypatch):
    random = np.random.default_rng(2)
    labels = random.integers(0, 4, 90)
    bank = random.normal(size=(4, 6))[labels] + random.normal(size=(90, 6))
    queries = bank[:30] + 0.5 * random.normal(size=(30, 6)), labels[:30]
    expected = knn_accuracy(bank, labels, 7), knn_accuracy(bank, labels, 7, queries), nearest(bank, queries[0], 5)[0].tolist()
    monkeypatch.setattr(features_of, "QUERIES", 4)
    monkeypatch.setattr(features_of, "PIECE", 5)  # fewer than the neighbours
    monkeypatch.setattr(blocks, "BLOCK", 24)
    assert (knn_accuracy(bank, labels, 7), knn_accuracy(bank, labels, 7, queries), nearest(bank, queries[0], 5)[0].tolist()) == expected
    assert 0.3 < expected[0] < 1
