"""`search`: finds the photographs of an index that are most similar to a query. Exact, block by block.

Similarity is the cosine of the angle between two vectors as seen from the mean of the index. From the origin all vectors lie in
almost the same direction, because none of their numbers is negative (docs/embeddings.md).
"""

import os
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import threadpoolctl

import pipeline_config
from components.example_gen import listing, photograph
from components.example_gen.photograph import Encoded
from contracts.cores import cores
from inference.embed import Backbone, batches
from inference.index import Index, make_anew, open_index
from inference.registered import Registered, another_backbone, find, of_version, version_of
from registry.backend import CHAMPION

# Rows that one thread compares at a time: with fewer, the overhead of a product exceeds the product of short vectors; with more,
# a piece from which the mean was subtracted leaves the processor's cache before it is multiplied.
PIECE = 1024
# A vector that is nearer to the mean than this share of the mean's length has no direction, and its similarity to anything is 0:
# float32 has about seven digits.
SMALLEST_SHARE = 1e-6


def nearest(index: Index, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """The `top` rows of an index that are most similar to each query, most similar first; ties in the index's order.

    Args:
      queries: `[count, embedding_size]` float32.
      top: how many, at least 1; all rows if there are fewer.

    Returns:
      Similarities `[count, top]` float32 in [-1, 1], and rows `[count, top]` int64.
    """
    smallest = SMALLEST_SHARE * float(np.linalg.norm(index.mean))
    asked = queries.astype(np.float32) - index.mean
    directions = (asked / _lengths(asked, smallest)[:, None]).T
    best = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    # A thread for each core, with single-threaded BLAS: BLAS's own threads wait for each other at every product.
    with ThreadPoolExecutor(cores()) as threads, threadpoolctl.threadpool_limits(1, "blas"):
        for start, vectors in index.blocks():
            pieces = range(0, len(vectors), PIECE)
            found = threads.map(
                lambda first, start=start, vectors=vectors: _nearest_of_piece(
                    vectors[first : first + PIECE] - index.mean, smallest, directions, top, start + first),
                pieces)  # fmt: skip
            best = _best_of([best, *found], top)
    return best


def _lengths(centred: np.ndarray, smallest: float) -> np.ndarray:
    """The length of each row, `[count]`; infinite where it is not more than `smallest`, so that what is divided by it is 0."""
    lengths = np.sqrt(np.einsum("ij,ij->i", centred, centred))
    return np.where(lengths > smallest, lengths, np.inf).astype(np.float32)


def _nearest_of_piece(centred: np.ndarray, smallest: float, directions: np.ndarray, top: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    # Rounding may exceed 1 by a little.
    similarity = np.clip(centred @ directions / _lengths(centred, smallest)[:, None], -1, 1).T
    rows = np.broadcast_to(np.arange(start, start + len(centred)), similarity.shape)
    return (similarity, rows) if top >= len(centred) else _best_of([(similarity, rows)], top)


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
    """A photograph of the index: path in its source, SHA-256 (hex) of the file, similarity to the query in [-1, 1]."""

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
    registry: str = "",
    unverified: bool = False,
) -> list[list[Match]]:
    """The photographs of an index that are most similar to each query, by the exact cosine of centred vectors.

    Args:
      queries: image files.
      index: what `embed` wrote, or `open_index` opened: `open_index(FILE).in_memory()` answers many searches fastest.
      top: matches a query, at least 1; fewer if the index is smaller.
      root, version, name, registry: the registered backbone, which must be the one that made the index.
      unverified: use it in any case, as in inference.embed.embed.

    Returns:
      For each query, in order, its matches, most similar first.

    Raises:
      IndexFileError: `index` cannot be opened.
      SearchRefused: another backbone made the index, or a query cannot be read.
      RegistryError: there is no such version, or it may not be used.
    """
    if top < 1:
        raise SearchRefused(f"the number of matches must be at least 1, got {top}")
    opened = open_index(index) if isinstance(index, str) else index
    registered = find(root, version, name, unverified=unverified, registry=registry)
    if registered.content_hash != opened.header.backbone_content_hash:
        raise SearchRefused(f"{another_backbone(opened, registered, root)}, and vectors of two backbones cannot be compared; "
                            f"{_ways_out(opened, registered, root)}")  # fmt: skip
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


def _ways_out(opened: Index, registered: Registered, root: str) -> str:
    """How a search of an index of another backbone can succeed: by the backbone that made it, if it is found, or a new index."""
    ways, header = [], opened.header
    for place in dict.fromkeys(map(os.path.abspath, (root, header.root or root))):
        shared = registered.registry if place == os.path.abspath(root) else ""
        version = version_of(place, header.name, header.backbone_content_hash, shared)
        if version is not None:
            ways.append(f"search with {shlex.join(of_version(place, header.name, version, shared))}")
            break
    where = of_version(root, registered.name, registered.version, registered.registry)
    where += ["--follow-links"] if header.follow_links else []
    ways.append(f"make the index anew: `{make_anew(opened.path, header.source, *where)}`")
    return ", or ".join(ways)
