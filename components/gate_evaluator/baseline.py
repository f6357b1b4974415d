"""The champion's probe as the gate needs it: found, undamaged, with its classes. Called by the GateEvaluator component."""

import json
import posixpath
from dataclasses import dataclass

import tensorflow as tf

from components.gate_evaluator.measured import EvaluationError
from components.registry import reading
from components.registry.opening import open_registry
from contracts import model_files
from contracts.content_hash import content_hash


@dataclass(frozen=True)
class Baseline:
    """The registered probe that a candidate is compared with; `probe_dir` is its SavedModel."""

    version: str
    probe_dir: str
    classes: tuple[str, ...]


def champion_now(registry: str, name: str) -> str:
    """The `champion` parameter for the version that is champion at this moment, "" where none is.

    For a DAG that was built without a look at its registry, as on Vertex AI.

    Args:
      registry: its place, as `registry.opening` understands it.
      name: the registered model.

    Raises:
      RegistryError, GoogleCloudError: the registry cannot be read. That is not the same as having no champion.
    """
    found = reading.champion_for_gate(open_registry(registry, name))
    return json.dumps(found, sort_keys=True) if found else ""


def load_baseline(champion: str) -> Baseline | None:
    """Reads the `champion` parameter: JSON with `version`, `probe_uri` and the probe's `content_hash`, or "" without a champion.

    Raises:
      EvaluationError: the probe's files are gone or not what was registered. Judging without them would let any backbone pass
        that beats the floors, so it is an error rather than a first run.
    """
    if not champion:
        return None
    reference = json.loads(champion)
    version, directory = reference["version"], reference["probe_uri"]
    try:
        found = content_hash(directory)
    except (FileNotFoundError, tf.errors.NotFoundError):
        raise _unusable(version, f"there are no files at {directory}") from None
    if found != reference["content_hash"]:
        raise _unusable(version, f"{directory} has content hash {found}, registered was {reference['content_hash']}")
    return Baseline(version, directory, probe_classes(directory))


def probe_classes(directory: str) -> tuple[str, ...]:
    """The class names of a probe directory, in the order of its probabilities."""
    path = posixpath.join(directory, model_files.PROBE_RECORD)
    try:
        with tf.io.gfile.GFile(path, "r") as file:
            return tuple(json.load(file)["classes"])
    except (tf.errors.NotFoundError, ValueError, KeyError) as error:
        raise EvaluationError(f"{path} should be a JSON record with the probe's classes: {error}") from error


def _unusable(version: str, problem: str) -> EvaluationError:
    return EvaluationError(
        f"champion version {version} cannot be evaluated: {problem}. `flowers registry verify` lists what differs; restore the "
        "files from a copy and run again, or give another --root to start a registry without a champion"
    )
