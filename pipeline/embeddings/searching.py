"""`search`: photographs in, the most similar ones of an index out. Called by `flowers search`, and by anyone's Python."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import pipeline_config
from components.flowers_example_gen import folder, photograph
from components.flowers_example_gen.encoded import Encoded
from components.registry.version import CHAMPION
from pipeline.embeddings import backbone, described
from pipeline.embeddings.index import Index, open_index
from pipeline.embeddings.nearest import nearest


class SearchRefused(ValueError):
    """A search that would answer nonsense or nothing; the message says what to do."""


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
      top: matches a query, at least 1; fewer where the index is smaller.
      root, version, name: the registered backbone, which must be the one that made the index.

    Returns:
      For each query, in order, its matches, most similar first.

    Raises:
      IndexFileError: `index` cannot be opened.
      SearchRefused: another backbone made the index, or a query cannot be read.
      RegistryError: there is no such version, or its files were changed.
    """
    if top < 1:
        raise SearchRefused(f"at least 1 match must be asked for, got {top}")
    opened = open_index(index) if isinstance(index, str) else index
    registered = backbone.find(root, version, name)
    if registered.content_hash != opened.header.backbone_content_hash:
        raise SearchRefused(_another_backbone(opened, registered))
    network = backbone.Backbone(registered)
    limit = photograph.max_file_bytes(pipeline_config.Data.max_pixels)
    reading = ((lambda query=query: read_query(query, limit)) for query in queries)
    matches = []
    for batch, vectors in described.batches(network, reading):
        for one in batch:
            if one.view is None:
                raise SearchRefused(f"the query {one.path!r} cannot be used: {one.reason}: {one.detail}")
        similarities, rows = nearest(opened, vectors, top)
        for line, found in zip(similarities.tolist(), rows, strict=True):
            matches.append([Match(*entry, value) for entry, value in zip(opened.entries(found), line, strict=True)])
    return matches


def read_query(path: str, max_bytes: int) -> Encoded:
    """The bytes of a query, under the name that was given; or why there are none. Devices and pipes are not opened."""
    if not os.path.isfile(path):
        return Encoded(path, "", "", reason=folder.UNREADABLE, detail="there is no such file")
    return folder.read(folder.Candidate(path, "", "", path), max_bytes)


def _another_backbone(opened: Index, registered: backbone.Registered) -> str:
    header = opened.header
    return (
        f"{opened.path} was made by version {header.version} of {header.name} (content hash "
        f"{header.backbone_content_hash[:12]}), the search is by version {registered.version} of {registered.name} "
        f"({registered.content_hash[:12]}), and vectors of two backbones cannot be compared; search with --version {header.version}, or make the index anew: "
        f"flowers embed {header.source} -o {opened.path}"
    )
