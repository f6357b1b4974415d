"""Exact neighbours, against a search written out in float64."""

import sys

import numpy as np
import pytest

from inference import index
from inference.index import Header, new_index, open_index
from inference.search import nearest

RANDOM = np.random.default_rng(1)
VECTORS = RANDOM.random((500, 24)).astype(np.float32)
VECTORS[100:103] = VECTORS[7]  # equal photographs
VECTORS[400] = np.delete(VECTORS, 400, axis=0).mean(axis=0, dtype=np.float64)  # which makes it the mean of all
QUERIES = np.concatenate([VECTORS[7:8], RANDOM.random((4, 24))]).astype(np.float32)


@pytest.fixture(params=["index.parquet", "index.npy", "memory"])
def opened(request, tmp_path, monkeypatch):
    """In many blocks of many pieces."""
    monkeypatch.setattr(index, "GROUP", 70)
    monkeypatch.setattr(index, "BLOCK", 70)
    monkeypatch.setattr(sys.modules[nearest.__module__], "PIECE", 16)
    path = str(tmp_path / (request.param if "." in request.param else "index.npy"))
    with new_index(path, Header("a" * 64, 24, "n", "1", "s")) as writer:
        for start in range(0, 500, 35):
            part = VECTORS[start : start + 35]
            writer.add([str(start + row) for row in range(len(part))], ["h"] * len(part), part)
    return open_index(path).in_memory() if request.param == "memory" else open_index(path)


def written_out():
    mean = VECTORS.mean(axis=0, dtype=np.float64)
    bank, asked = VECTORS - mean, QUERIES - mean
    lengths = np.linalg.norm(bank, axis=1)
    lengths[400] = np.inf
    return asked @ bank.T / lengths / np.linalg.norm(asked, axis=1)[:, None]


@pytest.mark.parametrize("top", [1, 10, 100])
def test_the_nearest_are_those_of_a_search_written_out(opened, top):
    similarity, rows = nearest(opened, QUERIES, top)
    expected = written_out()
    assert similarity.shape == rows.shape == (5, top)
    np.testing.assert_allclose(similarity, -np.sort(-expected, axis=1)[:, :top], atol=1e-6)
    np.testing.assert_allclose(similarity, np.take_along_axis(expected, rows, axis=1), atol=1e-6)
    assert all(len(set(line)) == top for line in rows.tolist())


def test_equal_photographs_come_in_the_order_of_the_index(opened):
    similarity, rows = nearest(opened, QUERIES[:1], 4)
    np.testing.assert_allclose(similarity[0], 1, atol=1e-6)
    assert similarity.max() <= 1
    assert set(rows[0].tolist()) == {7, 100, 101, 102}


def test_unlike_photographs_are_not_all_similar(opened):
    """From the origin the cosines of these numbers, none of which is negative, are 0.75 on average; from the mean, 0."""
    similarity, _ = nearest(opened, QUERIES[1:], 1000)
    assert abs(similarity.mean()) < 0.02
    from_origin = QUERIES[1:] @ VECTORS.T / np.linalg.norm(QUERIES[1:], axis=1)[:, None] / np.linalg.norm(VECTORS, axis=1)
    assert from_origin.mean() > 0.7


def test_where_fewer_are_there_all_come(opened):
    similarity, rows = nearest(opened, QUERIES, 1000)
    assert all(sorted(line) == list(range(500)) for line in rows.tolist())
    assert np.all(np.diff(similarity, axis=1) <= 0)


def test_a_vector_without_direction_is_similar_to_nothing(opened):
    similarity, rows = nearest(opened, QUERIES, 1000)
    assert np.all(similarity[rows == 400] == 0)
