"""`search`: finds the photographs of an index that are most similar to a query. Exact, by cosine similarity, block by block."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import threadpoolctl

import pipeline_config
from components.example_gen import listing, photograph
from components.example_gen.photograph import Encoded
from inference.embed import Backbone, Registered, batches, find
from inference.index import Index, open_index
from registry.backend import CHAMPION

# Rows that one thread compares at a time: with fewer, the overhead of a product exceeds the product of short vectors.
PIECE = 4096
# One for each core, each with single-threaded BLAS: BLAS's own threads wait for each other at every product.
THREADS = os.cpu_count() or 1
# Below this a vector has no direction; its similarity to anything is 0.
SMALLEST_NORM = 1e-12


def nearest(index: Index, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """The `top` rows of an index that are most similar to each query, most similar first; ties in the index's order.

    Args:
      queries: `[count, embedding_size]` float32; their norms do not matter.
      top: how many, at least 1; all rows if there are fewer.

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
    # Rounding may exceed 1 by a little.
    similarity = np.clip(vectors @ directions / np.maximum(norms, SMALLEST_NORM)[:, None], -1, 1).T
    rows = np.broadcast_to(np.arange(start, start + len(vectors)), similarity.shape)
    return (similarity, rows) if top >= len(vectors) else _best_of([(similarity, rows)], top)


def _best_of(parts: list[tuple[np.ndarray, np.ndarray]], top: int) -> tuple[np.ndarray, np.ndarray]:
    """The best `top` of each line over all parts; ties stay in their order."""
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


class SearchRefused(ValueError):
    """A search that has no meaningful result; the message says what to do."""


@dataclass(frozen=True)
class Match:
    """A photograph of the index: path in its source, SHA-256 (hex) of the file, cosine similarity to the query in [-1, 1]."""

    path: str
    content_hash: str
    similarity: float


def search(
    queries: Sequence[str],
    index: str | Index,
    *,
    top: int = 10,
    root: str = "runs",
    version: str = CHAMPION,
    name: str = pipeline_config.Registry.name,
) -> list[list[Match]]:
    """The photographs of an index that are most similar to each query, by exact cosine similarity.

    Args:
      queries: image files.
      index: what `embed` wrote, or `open_index` opened: `open_index(FILE).in_memory()` answers many searches fastest.
      top: matches a query, at least 1; fewer if the index is smaller.
      root, version, name: the registered backbone, which must be the one that made the index.

    Returns:
      For each query, in order, its matches, most similar first.

    Raises:
      IndexFileError: `index` cannot be opened.
      SearchRefused: another backbone made the index, or a query cannot be read.
      RegistryError: there is no such version, or its files were changed.
    """
    if top < 1:
        raise SearchRefused(f"the number of matches must be at least 1, got {top}")
    opened = open_index(index) if isinstance(index, str) else index
    registered = find(root, version, name)
    if registered.content_hash != opened.header.backbone_content_hash:
        raise SearchRefused(_another_backbone(opened, registered))
    network = Backbone(registered)
    limit = photograph.max_file_bytes(pipeline_config.Data.max_pixels)
    reading = ((lambda query=query: read_query(query, limit)) for query in queries)
    matches = []
    for batch, vectors in batches(network, reading):
        for one in batch:
            if one.view is None:
                raise SearchRefused(f"the query {one.path!r} cannot be used: {one.reason}: {one.detail}")
        similarities, rows = nearest(opened, vectors, top)
        for line, found in zip(similarities.tolist(), rows, strict=True):
            matches.append([Match(*entry, value) for entry, value in zip(opened.entries(found), line, strict=True)])
    return matches


def read_query(path: str, max_bytes: int) -> Encoded:
    """The bytes of a query, under the given name, or why there are none. Devices and pipes are not opened."""
    if not os.path.isfile(path):
        return Encoded(path, "", "", reason=listing.UNREADABLE, detail="there is no such file")
    return listing.read(listing.Candidate(path, "", "", path), max_bytes)


def _another_backbone(opened: Index, registered: Registered) -> str:
    header = opened.header
    return (
        f"{opened.path} was made by version {header.version} of {header.name} (content hash "
        f"{header.backbone_content_hash[:12]}), the search is by version {registered.version} of {registered.name} "
        f"({registered.content_hash[:12]}), and vectors of two backbones cannot be compared; search with --version "
        f"{header.version}, or make the index again: flowers embed {header.source} -o {opened.path}"
    )
