"""The index that `embed` updates: which files it knows by their content, and their vectors."""

import numpy as np

from inference.index import IndexFileError, make_anew, open_index
from inference.registered import Registered, another_backbone, of_version


class Former:
    """An index by content hash, open for reading.

    Memory: about 50 bytes a photograph. `row_of` is called by many threads, the others by one.
    """

    def __init__(self, path: str, registered: Registered, root: str, source: str):
        """Opens the index at `path`, which is to be made again of `source`.

        Raises:
          IndexFileError: it is none, of another format, or not by `registered`, a backbone of the registry below `root`.
        """
        self._index = open_index(path)
        if self._index.header.backbone_content_hash != registered.content_hash:
            anew = make_anew(path, source, *of_version(root, registered.name, registered.version, registered.registry))
            made_by = another_backbone(self._index, registered, root)
            raise IndexFileError(f"{made_by}, so that none of its vectors can be kept; make it anew, without --update: `{anew}`")
        self._hashes, self._rows, self._times = np.unique(self._index.content_hashes(), return_index=True, return_counts=True)
        self._taken = np.zeros(len(self._hashes), bool)

    def row_of(self, content_hash: str) -> int | None:
        """A row whose file has this SHA-256 (hex); None if there is none."""
        wanted = np.array(bytes.fromhex(content_hash), self._hashes.dtype)
        position = int(np.searchsorted(self._hashes, wanted))
        if position == len(self._hashes) or self._hashes[position] != wanted:
            return None
        self._taken[position] = True
        return int(self._rows[position])

    def take(self, rows: list[int]) -> np.ndarray:
        """The vectors of rows that `row_of` returned: `[len(rows), embedding_size]` float32."""
        return self._index.vectors(np.array(rows, np.int64))

    @property
    def gone(self) -> int:
        """How many of its photographs `row_of` was not asked for."""
        return int(self._times[~self._taken].sum())
