"""Which photographs a backbone was pre-trained on: a list of hashes beside it, so that a later eval split can be compared with it.

A backbone has an advantage on photographs that it has seen before, even without their labels.
"""

import io
import posixpath
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from contracts import examples, files, model_files
from trainer.photographs import paths_of, record_bytes

BATCH = 1024


def write(file_patterns: Sequence[str], continued_from: str, directory: str) -> None:
    """Writes model_files.PRETRAINED_ON to a backbone directory.

    Nothing is written if that backbone was continued from one without such a list, as then not all photographs are known.

    Args:
      file_patterns: gzip TFRecords of contracts.examples that pre-training read.
      continued_from: the backbone directory whose weights it began with, "" for none; its photographs are added.
    """
    found = [hashes(file_patterns)]
    if continued_from:
        before = _read(continued_from)
        if before is None:
            return
        found.append(before)
    archive = io.BytesIO()
    np.save(archive, np.unique(np.concatenate(found)), allow_pickle=False)
    with files.written(posixpath.join(directory, model_files.PRETRAINED_ON)) as file:
        file.write(archive.getvalue())


def count(directory: str, photographs: np.ndarray) -> int | None:
    """How many of the photographs with these `hashes` the backbone of `directory` was pre-trained on; None if it has no list."""
    known = _read(directory)
    return None if known is None else int(np.isin(photographs, known).sum())


def _read(directory: str) -> np.ndarray | None:
    path = posixpath.join(directory, model_files.PRETRAINED_ON)
    if not tf.io.gfile.exists(path):
        return None
    with files.opened(path) as file:
        return np.load(io.BytesIO(file.read()), allow_pickle=False)


def hashes(file_patterns: Sequence[str]) -> np.ndarray:
    """The first 64 bits of each record's content hash, `[count]` uint64: among a million photographs, 3 in 100 million share theirs.

    Args:
      file_patterns: gzip TFRecords of contracts.examples.
    """
    spec = {examples.CONTENT_HASH: tf.io.FixedLenFeature([], tf.string)}
    batches = record_bytes(paths_of(file_patterns)).batch(BATCH).map(lambda some: tf.io.parse_example(some, spec))
    texts = [text for batch in batches.as_numpy_iterator() for text in batch[examples.CONTENT_HASH]]
    return np.array([int(text[:16], 16) for text in texts], np.uint64)
