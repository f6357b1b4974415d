"""Exact nearest neighbours by cosine similarity, block by block. Called by `searching`, and measured by benchmarks/search.py."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import threadpoolctl

from pipeline.embeddings.index import Index

# Rows that one thread compares at a time: with fewer, starting a product costs more than the product of short vectors.
PIECE = 4096
# One for each core; each runs BLAS on its own, as BLAS's own threads wait for each other at every product.
THREADS = os.cpu_count() or 1
# Below this a vector has no direction; its similarity to anything is 0.
SMALLEST_NORM = 1e-12


def nearest(index: Index, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """The `top` rows of an index that are most similar to each query, most similar first; equal ones in the index's order.

    Args:
      queries: `[count, embedding_size]` float32; their lengths do not matter.
      top: how many, at least 1; all rows where there are fewer.

    Returns:
      Similarities `[count, top]` float32 in [-1, 1], and rows `[count, top]` int64.
    """
    directions = (queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), SMALLEST_NORM)).astype(np.float32).T
    best = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    with ThreadPoolExecutor(THREADS) as threads, threadpoolctl.threadpool_limits(1, "blas"):
        for start, vectors, norms in index.blocks():
            pieces = range(0, len(vectors), PIECE)
            found = threads.map(
                lambda first, start=start, vectors=vectors, norms=norms: _nearest_of_piece(
                    vectors[first : first + PIECE], norms[first : first + PIECE], directions, top, start + first),
                pieces)  # fmt: skip
            best = _best_of([best, *found], top)
    return best


def _nearest_of_piece(
    vectors: np.ndarray, norms: np.ndarray, directions: np.ndarray, top: int, start: int
) -> tuple[np.ndarray, np.ndarray]:
    # Rounding may lead a little over 1.
    similarity = np.clip(vectors @ directions / np.maximum(norms, SMALLEST_NORM)[:, None], -1, 1).T
    rows = np.broadcast_to(np.arange(start, start + len(vectors)), similarity.shape)
    return (similarity, rows) if top >= len(vectors) else _best_of([(similarity, rows)], top)


def _best_of(parts: list[tuple[np.ndarray, np.ndarray]], top: int) -> tuple[np.ndarray, np.ndarray]:
    """The best `top` of each line over all parts; equal ones stay in the order in which they come."""
    similarity = np.concatenate([part[0] for part in parts], axis=1)
    rows = np.concatenate([part[1] for part in parts], axis=1)
    if top < similarity.shape[1]:
        kept = [_kept(line, top) for line in similarity]
    else:
        kept = [np.argsort(-line, kind="stable") for line in similarity]
    return np.stack([line[k] for line, k in zip(similarity, kept)]), np.stack([line[k] for line, k in zip(rows, kept)])


def _kept(line: np.ndarray, top: int) -> np.ndarray:
    border = np.partition(line, -top)[-top]
    candidates = np.flatnonzero(line >= border)
    return candidates[np.argsort(-line[candidates], kind="stable")][:top]
