"""The TFX component StartingBackbone: a copy of the registered backbone that pre-training continues from, in the run's own outputs.

A node of its own, so that the cache knows the copy: the same backbone is the same artifact in every run, and Pretrain is served from
the cache with it. What happens to the registered version meanwhile does not concern the run.
"""

import dataclasses
import json
import logging
import posixpath

import tensorflow as tf
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from contracts import files, model_files
from contracts.content_hash import content_hash
from pipeline_config import WarmStart

logger = logging.getLogger(__name__)


@component
def StartingBackbone(model: OutputArtifact[standard_artifacts.Model], start: Parameter[str], code_version: Parameter[str]):
    """Writes the backbone where a TFX model has its files, and contracts.model_files.WARM_START beside it; only the latter for random
    weights.

    Args:
      start: what StartingPoint found, a pipeline_config.WarmStart as JSON.

    Raises:
      BackboneChanged: the SHA-256 of what was copied are not those of what was found.
    """
    del code_version
    found = WarmStart(**json.loads(start))
    if found.backbone:
        copy = path_utils.serving_model_dir(model.uri)
        _copy(found.backbone, copy)
        if (copied := content_hash(copy)) != found.content_hash:
            raise BackboneChanged(
                f"the backbone of version {found.version} at {found.backbone} has content hash {copied} as copied, expected "
                f"{found.content_hash}: it changed since the run began; restore the files that `flowers registry verify` names"
            )
        logger.info("Copied the backbone of version %s to %s", found.version, copy)
    files.write_json(posixpath.join(model.uri, model_files.WARM_START), dataclasses.asdict(found))


class BackboneChanged(RuntimeError):
    """A registered backbone is no longer what it was when the run chose it."""


def _copy(source: str, target: str) -> None:
    for folder, _, names in tf.io.gfile.walk(source):
        for name in names:
            copy = posixpath.join(target, posixpath.relpath(posixpath.join(folder, name), source))
            tf.io.gfile.makedirs(posixpath.dirname(copy))
            tf.io.gfile.copy(posixpath.join(folder, name), copy, overwrite=True)
