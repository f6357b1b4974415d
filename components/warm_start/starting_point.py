"""The TFX component StartingPoint: finds out when a run starts which registered backbone its pre-training continues from.

The node is never cached, as the champion is no input of it. StartingBackbone takes what it found as a parameter, and so copies, and
Pretrain runs, if, and only if, that is another backbone than before.
"""

import dataclasses
import datetime
import json
import logging
import posixpath

import tensorflow as tf
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from contracts import files
from pipeline_config import ConfigurationError, WarmStart
from registry import starting_point
from registry.opening import open_registry
from registry.starting_point import Finished

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1


@component
def StartingPoint(
    start: OutputArtifact[standard_artifacts.String],
    wanted: Parameter[str],
    network: Parameter[str],
    fingerprint: Parameter[str],
    registry: Parameter[str],
    name: Parameter[str],
    schedule: Parameter[str],
    from_scratch_every: Parameter[int],
    starts_dir: Parameter[str],
    outcomes_dir: Parameter[str],
    job: Parameter[str],
    code_version: Parameter[str],
):
    """Writes the pipeline_config.WarmStart of the run as JSON; its fields are empty for random weights.

    A schedule's run leaves a record `starts_dir`/JOB.json: {"schema_version", "job", "fingerprint", "version", "why", "began_at"
    (ISO 8601, UTC)}, from which later runs decide, together with what components.run_outcome writes.

    Args:
      wanted: number or alias of a version.
      network: the settings registry.starting_point.SAME as JSON.
      fingerprint: of the photographs.
      registry, name: the registry's place, as `registry.opening` takes it, and the registered model.
      schedule: that starts the run; "" where it is started by itself, and then from `wanted` in any case.
      from_scratch_every: each run of the schedule of this number starts from random weights; 0: none but the first.
      starts_dir, outcomes_dir: folders of the records.
      job: name of the run.

    Raises:
      ConfigurationError: as `starting_point.warm_start`, or the version is a network of others.
      RegistryError, GoogleCloudError: the registry cannot be read. That is not the same as having no champion.
    """
    del code_version
    backend = open_registry(registry, name)
    finished = finished_runs(starts_dir, outcomes_dir) if schedule else []
    version, why = starting_point.starting_version(
        finished, wanted, from_scratch_every, fingerprint, starting_point.registered_names(backend))  # fmt: skip
    found = starting_point.warm_start(backend, version, json.loads(network)) if version else WarmStart()
    if found.network:
        raise ConfigurationError(f"version {found.version} was {found.network} before SimSiam: networks of others are trained by "
                                 "`flowers run` on one machine alone; start from another version here")  # fmt: skip
    said = f"{f'Warm start from version {found.version}' if version else 'Start from random weights'}, {why}"
    logger.info("%s", said)
    start.set_string_custom_property("said", said)
    if schedule:
        record = {"schema_version": SCHEMA_VERSION, "job": job, "fingerprint": fingerprint, "version": found.version, "why": why,
                  "began_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")}  # fmt: skip
        files.write_json(posixpath.join(starts_dir, f"{job}.json"), record)
    start.write(json.dumps(dataclasses.asdict(found), sort_keys=True))


def finished_runs(starts_dir: str, outcomes_dir: str) -> list[Finished]:
    """The runs of a schedule that succeeded, oldest first, from the records of how each began and ended."""
    if not tf.io.gfile.exists(starts_dir):
        return []
    names = [name for name in tf.io.gfile.listdir(starts_dir) if name.endswith(".json")]
    began = [files.read_json(posixpath.join(starts_dir, name)) for name in names]
    return [Finished(one["fingerprint"], one["version"]) for one in sorted(began, key=lambda one: (one["began_at"], one["job"]))
            if _succeeded(posixpath.join(outcomes_dir, f"{one['job']}.json"))]  # fmt: skip


def _succeeded(outcome: str) -> bool:
    try:
        return files.read_json(outcome)["state"] == "SUCCEEDED"
    except FileNotFoundError:  # it was killed, or goes on
        return False
