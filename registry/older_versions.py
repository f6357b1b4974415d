"""What versions of earlier releases lack, and get: the files that make a version a model of MLflow."""

import logging
import posixpath

import tensorflow as tf

from contracts import files as contents
from contracts import model_files
from registry import files, mlflow_model, reading
from registry.backend import CONTENT_HASH, MLMODEL_HASH, PROBE_CONTENT_HASH, SIGNED_BY, Backend, Version

logger = logging.getLogger(__name__)


def complete(registry: Backend) -> list[Version]:
    """Adds MLflow's files to the versions that have none, for use inside `writing()`; returns those versions.

    Backbone, probe and their content hashes stay as they are. A version stays without, and a line is logged, if its files are not as
    they were registered, if somebody has signed them, or if it is from before probes were kept as arrays
    (contracts.model_files.PROBE_ARRAYS).
    """
    ours = [version for version in registry.versions() if version.tags.get(CONTENT_HASH)]  # other tools can register too
    return [version for version in ours if not version.tags.get(MLMODEL_HASH) and _complete(registry, version)]


def _complete(registry: Backend, version: Version) -> bool:
    registry.fetch(version)
    record = posixpath.join(version.path, files.BACKBONE, model_files.BACKBONE_RECORD)
    arrays = posixpath.join(version.path, files.PROBE, model_files.PROBE_ARRAYS)
    if not all(map(tf.io.gfile.exists, (record, arrays))):
        logger.info("Version %s is too old to become a model of MLflow.", version.version)
        return False
    if version.tags.get(SIGNED_BY):
        logger.info("Version %s does not become a model of MLflow, as more files than are there now were not signed.", version.version)
        return False
    if problems := reading.verify(version):
        logger.warning("Version %s does not become a model of MLflow, as its files are not those that were registered (%s: %s).",
                       version.version, problems[0].path, problems[0].problem)  # fmt: skip
        return False
    model = mlflow_model.model_documents(
        contents.read_json(record), version.tags[CONTENT_HASH], version.tags[PROBE_CONTENT_HASH])  # fmt: skip
    digest = files.add_model(version.path, model)
    registry.store(version, signature_alone=False)
    registry.set_version_tag(version.version, MLMODEL_HASH, digest)
    return True
