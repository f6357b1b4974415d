"""`embed`: a source in, an index out. Called by `flowers embed`, and by anyone's Python."""

import collections
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import pipeline_config
from components.errors import DataRefused
from components.flowers_example_gen import photograph
from components.flowers_example_gen.source import TFDS_PREFIX, every_image
from components.registry.version import CHAMPION
from pipeline.embeddings import backbone, described, index
from pipeline.layout import Layout

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Embedded:
    """What `embed` did.

    images: how many are in the index. unreadable: how many were left out, by reason. seconds: from the first file to the last.
    version: that of the backbone. embedding_size: numbers in a vector.
    """

    images: int
    unreadable: dict[str, int]
    seconds: float
    version: str
    embedding_size: int


def embed(
    source: str,
    output: str,
    *,
    root: str = "runs",
    version: str = CHAMPION,
    name: str = pipeline_config.Registry.name,
    on_unreadable: Callable[[described.Described], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Embedded:
    """Writes an index of all images of a source, in flat memory. Those that cannot be used are left out.

    Args:
      source: a folder of any layout, an image file, `tfds:NAME` or `synthetic`.
      output: FILE.parquet or FILE.npy; replaced if it exists, once the new one is complete.
      root: where the registry is, as `--root`.
      version: number or alias of the registered backbone; `name` is the registered model.
      on_unreadable: called with each image that is left out; by default they are logged.
      on_progress: called with the number of images done so far, after each batch.

    Raises:
      IndexFileError: nothing can be written at `output`.
      RegistryError: there is no such version, or its files were changed.
      SourceNotFound: there is no such source.
      DataRefused: not one image of the source can be used.
    """
    index.check_name(output)
    registered = backbone.find(root, version, name)
    network = backbone.Backbone(registered)
    header = index.Header(registered.content_hash, network.embedding_size, registered.name, registered.version, absolute(source))
    images = every_image(source, str(Layout.at(root).datasets), photograph.max_file_bytes(pipeline_config.Data.max_pixels))
    report = on_unreadable or _log
    unreadable, started = collections.Counter(), time.perf_counter()
    with index.new_index(output, header) as writer:
        for batch, vectors in described.batches(network, images):
            usable = [one for one in batch if one.view is not None]
            writer.add([one.path for one in usable], [one.content_hash for one in usable], vectors)
            for one in batch:
                if one.view is None:
                    unreadable[one.reason] += 1
                    report(one)
            if on_progress:
                on_progress(writer.count)
        if not writer.count:
            raise DataRefused(f"{source} has no image that can be used ({_in_words(unreadable)}); nothing was written")
        seconds = time.perf_counter() - started
    return Embedded(writer.count, dict(unreadable), seconds, registered.version, network.embedding_size)


def absolute(source: str) -> str:
    """A source as it is found again from any working directory."""
    if source == "synthetic" or source.startswith(TFDS_PREFIX) or "://" in source:
        return source
    return os.path.realpath(os.path.expanduser(source))


def _in_words(unreadable: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(unreadable.items())) or "it is empty"


def _log(one: described.Described) -> None:
    logger.warning("Left out %r: %s: %s", one.path, one.reason, one.detail)
