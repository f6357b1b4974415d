"""`embed`: writes an index of a source, by a registered backbone whose files were checked.

Photographs are read and checked as at ingest. Threads read and decode while the network computes; memory holds a window of views,
however many photographs there are.
"""

import collections
import functools
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

import pipeline_config
from components.errors import DataRefused
from components.example_gen import photograph
from components.example_gen.photograph import Encoded
from components.example_gen.source import TFDS_PREFIX, every_image
from contracts.cores import cores
from contracts.layout import Layout
from contracts.threads import in_order
from inference import index
from inference.former import Former
from inference.registered import Registered, find, require_unchanged
from registry.backend import CHAMPION
from trainer.export import ingested_side, load_backbone
from trainer.photographs import evaluation_view


class Backbone:
    """A loaded backbone.

    Attributes:
      network, record: as trainer.export.load_backbone returns them.
      embedding_size: numbers in a vector.
      max_side: pixels of the shorter side to which ingest scaled the photographs that the gate measured.
    """

    def __init__(self, registered: Registered):
        """Loads a backbone; nothing in its files is executed.

        Raises:
          RegistryError: the files are not those that were registered.
        """
        require_unchanged(registered)
        self.network, self.record = network, record = load_backbone(registered.directory)
        side = record["photograph_side"]
        self.embedding_size: int = record["embedding_size"]
        self.max_side: int = ingested_side(record)
        self._view = tf.function(
            functools.partial(evaluation_view, resolution=side), input_signature=[tf.TensorSpec([], tf.string)])  # fmt: skip
        # One trace for batches of any size.
        self._network = tf.function(
            functools.partial(network, training=False), input_signature=[tf.TensorSpec([None, side, side, 3])])  # fmt: skip

        # Traced and optimised now, so that measured rates do not include it.
        self.vectors([np.zeros((side, side, 3), np.float32)])

    def view(self, prepared: photograph.Photograph) -> np.ndarray:
        """The network's input for a photograph, `[side, side, 3]` float32 in [0, 1]. Thread-safe.

        Raises:
          Unusable: TensorFlow cannot decode what Pillow could.
        """
        try:
            return self._view(prepared.jpeg).numpy()
        except tf.errors.InvalidArgumentError as error:
            raise photograph.Unusable(photograph.DAMAGED, str(error).splitlines()[0]) from error

    def vectors(self, views: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings of views, `[len(views), embedding_size]` float32, 0 or more."""
        return self._network(np.stack(views)).numpy()


# Photographs a step of the network: 8, 16 and 32 took 26, 22 and 21 ms of processor time an image with the preset cpu
# (benchmarks/embed.py), so more would gain little and need more memory for feature maps.
BATCH = 32
# Most threads that read and decode, one for each core: decoding is a small share of the work, and a hostile file of data.max_pixels
# takes much memory of its thread: 478 MB as TIFF, 608 MB as AVIF, 1,148 MB as JPEG 2000.
MOST_THREADS = 8
# Batches decoded ahead of the network.
AHEAD = 3
# Photographs that wait for a batch to be full, where most are known or cannot be used.
MOST = 1024


@dataclass(frozen=True)
class Described:
    """One photograph: path in the source, SHA-256 (hex) of the file's bytes, and view, or the reason why there is none.

    known: the row of a former index that has its vector, instead of a view. thumbnail: by which near-duplicates are found, see
    photograph.Photograph. class_name, split: as the source has them.
    """

    path: str
    content_hash: str = ""
    view: np.ndarray | None = None
    known: int | None = None
    reason: str = ""
    detail: str = ""
    thumbnail: bytes = b""
    class_name: str = ""
    split: str = ""


def batches(
    backbone: Backbone, images: Iterable[Callable[[], Encoded]], row_of: Callable[[str], int | None] = lambda content_hash: None
) -> Iterator[tuple[list[Described], np.ndarray]]:
    """Describes `images` in their order, a batch at a time.

    Args:
      images: functions that read one image each, as from components.example_gen.source.every_image.
      row_of: the row of a former index that has the vector of a file, by its content hash; such a file is not decoded.

    Yields:
      All photographs, and the vectors `[count, embedding_size]` of those that have a view.
    """
    threads = ThreadPoolExecutor(min(cores(), MOST_THREADS))
    try:
        batch, usable = [], []
        for one in in_order(threads, lambda read: describe(backbone, read(), row_of), images, AHEAD * BATCH):
            batch.append(one)
            if one.view is not None:
                usable.append(one.view)
            if len(usable) == BATCH or len(batch) == MOST:
                yield batch, _vectors(backbone, usable)
                batch, usable = [], []
        if batch:
            yield batch, _vectors(backbone, usable)
    finally:
        threads.shutdown(cancel_futures=True)


def describe(backbone: Backbone, encoded: Encoded, row_of: Callable[[str], int | None] = lambda content_hash: None) -> Described:
    """Checks and decodes one image exactly as a run does, so that vectors are those that the gate measured; see `batches`."""
    try:
        if encoded.reason:
            raise photograph.Unusable(encoded.reason, encoded.detail)
        if (row := row_of(encoded.content_hash)) is not None:
            return Described(encoded.path, encoded.content_hash, known=row)
        prepared = photograph.prepare(encoded.data, backbone.max_side, pipeline_config.Data.max_pixels)
        return Described(
            encoded.path, encoded.content_hash, backbone.view(prepared), thumbnail=prepared.descriptor,
            class_name=encoded.class_name, split=encoded.split)  # fmt: skip
    except photograph.Unusable as unusable:
        return Described(encoded.path, reason=unusable.reason, detail=unusable.detail)


def _vectors(backbone: Backbone, usable: list[np.ndarray]) -> np.ndarray:
    return backbone.vectors(usable) if usable else np.empty((0, backbone.embedding_size), np.float32)


def images_of(source: str, root: str, exclude: Sequence[str] = (), follow_links: bool = False) -> Iterator[Callable[[], Encoded]]:
    """The images of a source, as `batches` takes them.

    Args:
      root: synthetic flowers are kept below it, as `--root`.
      exclude, follow_links: as `data.exclude` and `data.follow_links` of a run.

    Raises:
      ConfigurationError: they are given for a source that is no folder.
      SourceNotFound: there is no such source; for folders and files only when the first image is asked for.
    """
    data = pipeline_config.Data(source=source, exclude=tuple(exclude), follow_links=follow_links)
    return every_image(source, str(Layout.at(root).datasets), LIMIT, data.exclude, data.follow_links)


LIMIT = photograph.max_file_bytes(pipeline_config.Data.max_pixels)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Embedded:
    """The result of `embed`.

    images: how many are in the index. kept: how many of them have their vector from the former index. gone: photographs of that
    one that are not in the source any more. unreadable: how many were left out, by reason. seconds: from the first file to the last.
    version: of the backbone. embedding_size: numbers in a vector.
    """

    images: int
    unreadable: dict[str, int]
    seconds: float
    version: str
    embedding_size: int
    kept: int = 0
    gone: int = 0


def embed(
    source: str,
    output: str,
    *,
    root: str = "runs",
    version: str = CHAMPION,
    name: str = pipeline_config.Registry.name,
    registry: str = "",
    unverified: bool = False,
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    update: bool = False,
    on_unreadable: Callable[[Described], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Embedded:
    """Writes an index of all images of a source, in constant memory. Images that cannot be used are left out.

    Args:
      source: a folder of any layout, an image file, `tfds:NAME` or `synthetic`.
      output: FILE.parquet or FILE.npy; replaced if it exists, once the new one is complete.
      root: where the registry is, as `--root`.
      version: number or alias of the registered backbone; `name` is the registered model.
      registry: http(s)://HOST:PORT of the MLflow server that has the registry; "": that below `root`.
      unverified: use it even if it is not as it was registered, or not signed by a trusted key; that is logged as a warning.
      exclude, follow_links: as `data.exclude` and `data.follow_links` of a run.
      update: take the vectors of unchanged files from `output`, if it exists. The result is the same, byte for byte; memory grows
        by 50 bytes a photograph.
      on_unreadable: called with each image that is left out; by default they are logged.
      on_progress: called with the number of images done so far, after each batch.

    Raises:
      IndexFileError: nothing can be written at `output`; or it is to be updated, and is no index or of another backbone.
      RegistryError: there is no such version, or it may not be used.
      ConfigurationError: `exclude` or `follow_links` for a source that is no folder.
      SourceNotFound: there is no such source.
      DataRefused: no image of the source can be used.
    """
    index.check_name(output)
    registered = find(root, version, name, unverified=unverified, registry=registry)
    former = Former(output, registered, root, source) if update and os.path.exists(output) else None
    images = images_of(source, root, exclude, follow_links)
    network = Backbone(registered)
    header = index.Header(
        registered.content_hash, network.embedding_size, registered.name, registered.version, absolute(source),
        os.path.abspath(root), follow_links)  # fmt: skip
    report = on_unreadable or log_unreadable
    unreadable, kept, started = collections.Counter(), 0, time.perf_counter()
    with index.new_index(output, header) as writer:
        for batch, vectors in batches(network, images, *([former.row_of] if former else [])):
            usable = [one for one in batch if not one.reason]
            known = np.array([one.known is not None for one in usable], bool)
            if known.any():
                merged = np.empty((len(usable), network.embedding_size), np.float32)
                merged[~known], merged[known] = vectors, former.take([one.known for one in usable if one.known is not None])
                vectors = merged
            writer.add([one.path for one in usable], [one.content_hash for one in usable], vectors)
            kept += int(known.sum())
            for one in batch:
                if one.reason:
                    unreadable[one.reason] += 1
                    report(one)
            if on_progress:
                on_progress(writer.count)
        if not writer.count:
            raise DataRefused(f"{source} has no image that can be used ({counts(unreadable)}); nothing was written")
        seconds = time.perf_counter() - started
    return Embedded(writer.count, dict(unreadable), seconds, registered.version, network.embedding_size, kept,
                    former.gone if former else 0)  # fmt: skip


def absolute(source: str) -> str:
    """A source that means the same from any working directory."""
    if source == "synthetic" or source.startswith(TFDS_PREFIX) or "://" in source:
        return source
    return os.path.realpath(os.path.expanduser(source))


def counts(unreadable: Mapping[str, int]) -> str:
    """How many images were left out, by reason, as text."""
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(unreadable.items())) or "it is empty"


def log_unreadable(one: Described) -> None:
    """Logs an image that was left out."""
    logger.warning("Left out %r: %s: %s", one.path, one.reason, one.detail)
