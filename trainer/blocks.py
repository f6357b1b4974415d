"""Large arrays block by block: where to cut them, and rows that are kept on disk once they are many.

Nothing that has a number for each photograph and class, or a second copy of all features, has to be in memory at once.
"""

import tempfile

import numpy as np

# Numbers in a block: 8 MB in double precision, so that a few passes over it stay in a processor's cache, and still a thousand rows
# of a thousand numbers, with which a matrix product is fast.
BLOCK = 1 << 20
# Bytes of rows that are kept in memory. More go to a file, whose pages the system takes back when it needs memory.
IN_MEMORY = 128 << 20


def blocks(count: int, width: int) -> list[slice]:
    """Consecutive slices of `count` rows, each of at most BLOCK numbers where a row has `width` of them, and of at least one row."""
    rows = max(1, BLOCK // max(1, width))
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column of `[count, d]` features, both `[d]` float64."""
    count, every = len(features), blocks(*features.shape)
    mean = sum(features[rows].sum(axis=0, dtype=np.float64) for rows in every) / count
    return mean, np.sqrt(sum(((features[rows] - mean) ** 2).sum(axis=0) for rows in every) / count)


def taken(features: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """`features[chosen]`, `[m, d]` of `[count, d]` at `[m]` different positions in ascending order; not to be written to. All of them are
    no copy, and many are on disk, as Rows are."""
    if len(chosen) == len(features):
        return features
    rows = Rows()
    for part in blocks(len(chosen), features.shape[1]):
        rows.add(features[chosen[part]])
    return rows.array()


class Rows:
    """Rows that are added part by part. Beyond IN_MEMORY bytes they are in an unnamed file in the folder for temporary files, which
    is gone with the last array of them, however the process ends."""

    def __init__(self):
        self._waiting: list[np.ndarray] = []
        self._like = None
        self._bytes = 0
        self._file = None

    def add(self, part: np.ndarray) -> None:
        """Adds `[count, d]` rows; all parts have the same d and dtype.

        Raises:
          OSError: the folder for temporary files is full.
        """
        self._waiting.append(np.ascontiguousarray(part))
        self._like = part[:0]
        self._bytes += part.nbytes
        if self._bytes > IN_MEMORY:
            self._file = self._file or tempfile.TemporaryFile()
            for waiting in self._waiting:
                self._file.write(waiting)
            self._waiting = []

    def array(self) -> np.ndarray:
        """All rows, `[count, d]`; not to be written to. At least one part was added, and none is added afterwards."""
        if self._file is None:
            return np.concatenate(self._waiting)
        width, dtype = self._like.shape[1], self._like.dtype
        with self._file:  # which the array keeps open for itself
            self._file.flush()
            return np.asarray(np.memmap(self._file, dtype, "r", shape=(self._bytes // (width * dtype.itemsize), width)))
