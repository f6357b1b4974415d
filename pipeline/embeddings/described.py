"""Photographs from any source, described by a backbone: read, checked as at ingest, embedded. `embedding` and `searching` call it.

Threads read and decode while the network works; memory holds a window of views, whatever the number of photographs.
"""

import collections
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

import pipeline_config
from components.flowers_example_gen import photograph
from components.flowers_example_gen.encoded import Encoded
from pipeline.embeddings.backbone import Backbone

# Photographs a step of the network: 8, 16 and 32 took 26, 22 and 21 ms of processor time an image at the preset cpu
# (benchmarks/embed.py), so more would gain little, and the feature maps of few stay small.
BATCH = 32
# One for each core: decoding is a small share of the work, and a hostile file of data.max_pixels takes 400 MB of its thread.
THREADS = min(os.cpu_count() or 1, 8)
# Batches decoded ahead of the network.
AHEAD = 3


@dataclass(frozen=True)
class Described:
    """One photograph: its path in the source, SHA-256 (hex) of the file's bytes, and its view; or the reason why it has none."""

    path: str
    content_hash: str = ""
    view: np.ndarray | None = None
    reason: str = ""
    detail: str = ""


def batches(backbone: Backbone, images: Iterable[Callable[[], Encoded]]) -> Iterator[tuple[list[Described], np.ndarray]]:
    """Describes `images` in their order, a batch at a time.

    Args:
      images: functions that read one image each, as components.flowers_example_gen.source.every_image gives them.

    Yields:
      Photographs, among them those that cannot be used, and the vectors `[count, embedding_size]` of the others.
    """
    threads = ThreadPoolExecutor(THREADS)
    try:
        batch, usable = [], []
        for one in _in_order(threads, lambda read: describe(backbone, read()), images, AHEAD * BATCH):
            batch.append(one)
            if one.view is not None:
                usable.append(one.view)
            if len(usable) == BATCH or len(batch) == AHEAD * BATCH:
                yield batch, _vectors(backbone, usable)
                batch, usable = [], []
        if batch:
            yield batch, _vectors(backbone, usable)
    finally:
        threads.shutdown(cancel_futures=True)


def describe(backbone: Backbone, encoded: Encoded) -> Described:
    """Checks and decodes one image exactly as a run does: what the gate measured is what comes out."""
    try:
        if encoded.reason:
            raise photograph.Unusable(encoded.reason, encoded.detail)
        prepared = photograph.prepare(encoded.data, backbone.max_side, pipeline_config.Data.max_pixels)
        return Described(encoded.path, hashlib.sha256(encoded.data).hexdigest(), backbone.view(prepared))
    except photograph.Unusable as unusable:
        return Described(encoded.path, reason=unusable.reason, detail=unusable.detail)


def _vectors(backbone: Backbone, usable: list[np.ndarray]) -> np.ndarray:
    return backbone.vectors(usable) if usable else np.empty((0, backbone.embedding_size), np.float32)


def _in_order(threads: ThreadPoolExecutor, function: Callable, items: Iterable, ahead: int) -> Iterator:
    """`map` by threads, that takes at most `ahead` items before the first result is asked for."""
    waiting = collections.deque()
    for item in items:
        waiting.append(threads.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
