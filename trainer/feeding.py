"""Batches that are ready when a step asks for them: the next one is gathered, decoded and copied to the devices while a step runs."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from contracts.cores import cores

# Bytes from which on threads gather the rows of a batch: for fewer, one is done before others have started.
PARALLEL_BYTES = 8_000_000


def ahead(batches: Iterable[tuple[np.ndarray, ...]], place: Callable) -> Iterator:
    """`place(*batch)` for each of `batches`, made in a thread, one batch ahead of who asks.

    One ahead is enough: a step never waits for more than a batch, and each that waits is memory of a device.
    """
    remaining = iter(batches)

    def following():
        batch = next(remaining, None)
        return None if batch is None else place(*batch)

    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(following)
        while (batch := waiting.result()) is not None:
            waiting = thread.submit(following)
            yield batch


def gathered(rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """`rows[chosen]`, copied by all cores where it is large: `[count, ...]` at `[m]` positions -> `[m, ...]`."""
    parts = cores() if rows[:1].nbytes * len(chosen) >= PARALLEL_BYTES else 1
    if parts == 1:
        return rows[chosen]
    batch = np.empty((len(chosen), *rows.shape[1:]), rows.dtype)

    def take(places: np.ndarray) -> None:
        # NumPy lets other threads run in `take`, and copies into `out` without a buffer if it need not raise halfway.
        np.take(rows, chosen[places], axis=0, out=batch[places[0] : places[-1] + 1], mode="clip")

    with ThreadPoolExecutor(parts) as threads:
        list(threads.map(take, np.array_split(np.arange(len(chosen)), min(parts, len(chosen)))))
    return batch
