"""Blocks cover every row once; rows on disk are those that were added, and leave no file behind."""

import os
import tempfile

import numpy as np
import pytest

from trainer import blocks


@pytest.mark.parametrize(("count", "width", "sizes"), [(10, 4, [3, 3, 3, 1]), (2, 100, [1, 1]), (3, 4, [3]), (0, 4, [])])
def test_blocks_are_as_large_as_allowed(count, width, sizes, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 12)
    found = blocks.blocks(count, width)
    assert [rows.stop - rows.start for rows in found] == sizes
    assert np.concatenate([np.arange(count)[rows] for rows in found] or [[]]).tolist() == list(range(count))


def test_moments_are_those_of_the_whole(monkeypatch):
    features = (100 + np.random.default_rng(0).normal(size=(57, 5))).astype(np.float32)
    monkeypatch.setattr(blocks, "BLOCK", 20)
    mean, deviation = blocks.moments(features)
    assert mean == pytest.approx(features.mean(axis=0, dtype=float)) and deviation == pytest.approx(features.std(axis=0, dtype=float))


@pytest.mark.parametrize("in_memory", [0, 100, 10**6])
def test_rows_come_back_as_they_were_added_and_leave_nothing(in_memory, monkeypatch, tmp_path):
    monkeypatch.setattr(blocks, "IN_MEMORY", in_memory)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    parts = [np.full((count, 3), count, np.float32) for count in (4, 1, 7, 2)]
    rows = blocks.Rows()
    for part in parts:
        rows.add(part)
    found = rows.array()
    assert found.dtype == np.float32 and (found == np.concatenate(parts)).all()
    assert os.listdir(tmp_path) == []


def test_columns_of_another_order_are_rows_all_the_same(monkeypatch):
    monkeypatch.setattr(blocks, "IN_MEMORY", 0)
    rows = blocks.Rows()
    rows.add(np.arange(6.0).reshape(3, 2).T)
    assert rows.array().tolist() == [[0, 2, 4], [1, 3, 5]]
