"""The registered backbone that describes photographs: found, checked, loaded. Called by `embedding` and `searching`."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

import pipeline_config
from components.flowers_example_gen import photograph
from components.registry import reading
from components.registry.files import BACKBONE
from components.registry.opening import open_registry
from components.registry.version import CONTENT_HASH, RegistryError
from contracts.content_hash import content_hash
from pipeline.layout import Layout
from trainer.export import load_backbone
from trainer.photographs import evaluation_view


@dataclass(frozen=True)
class Registered:
    """A version's backbone: registered model, version number, directory and `contracts.content_hash` of the directory."""

    name: str
    version: str
    directory: str
    content_hash: str


def find(root: str, version: str, name: str) -> Registered:
    """The backbone of a version (number or alias) in the registry below `root`. Its files are not looked at yet.

    Raises:
      RegistryError: there is no such version.
    """
    found = reading.get_version(open_registry(str(Layout.at(root).registry), name), version)
    return Registered(found.name, found.version, os.path.join(found.path, BACKBONE), found.tags[CONTENT_HASH])


class Backbone:
    """A loaded backbone.

    Attributes:
      embedding_size: numbers in a vector.
      max_side: pixels of the shorter side to which ingest reduced the photographs that the backbone was proven on.
    """

    def __init__(self, registered: Registered):
        """Loads a backbone; nothing in its files is executed.

        Raises:
          RegistryError: the files are not those that were registered.
        """
        try:
            found = content_hash(registered.directory)
        except FileNotFoundError:
            found = "none, as there is no file"
        if found != registered.content_hash:
            raise RegistryError(
                f"version {registered.version} of {registered.name} is not as it was registered: {registered.directory} has "
                f"content hash {found}, expected {registered.content_hash}; `flowers registry verify` names the files that "
                "differ; restore them, or choose another version with --version"
            )
        network, record = load_backbone(registered.directory)
        side = record["photograph_side"]
        self.embedding_size: int = record["embedding_size"]
        # Records of earlier releases lack it; it was the default for those.
        self.max_side: int = record.get("max_side", pipeline_config.Data.max_side)
        self._view = tf.function(
            functools.partial(evaluation_view, resolution=side), input_signature=[tf.TensorSpec([], tf.string)])  # fmt: skip
        # One trace for batches of any size.
        self._network = tf.function(
            functools.partial(network, training=False), input_signature=[tf.TensorSpec([None, side, side, 3])])  # fmt: skip

        # Traced and optimised now, so that a rate counts photographs alone.
        self.vectors([np.zeros((side, side, 3), np.float32)])

    def view(self, prepared: photograph.Photograph) -> np.ndarray:
        """What the network sees of a photograph, `[side, side, 3]` float32 in [0, 1]. May be called by several threads.

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
