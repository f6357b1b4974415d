"""The version that a candidate is compared with: found, checked against what was registered, and its backbone measured.

Its registered probe answers for the eval split like the candidate's. Accuracy over labels needs its backbone as well: probes are
fitted on it today, on the same draws of today's labels as for the candidate.
"""

import json
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from components.evaluator.gate import EvaluationError
from contracts import files, model_files
from contracts.content_hash import content_hash
from pipeline_config import LinearEval
from registry import reading
from registry.files import BACKBONE
from registry.opening import open_registry
from trainer import label_curve
from trainer.export import folded, load_backbone
from trainer.features import embedder
from trainer.linear_eval import read_views


@dataclass(frozen=True)
class Baseline:
    """The champion's registered probe, with which a candidate is compared; `probe_dir` is its SavedModel."""

    version: str
    probe_dir: str
    classes: tuple[str, ...]


def champion_now(registry: str, name: str) -> str:
    """The `champion` parameter for the current champion, "" if there is none.

    For a DAG that was built without reading its registry, as on Vertex AI.

    Args:
      registry: its place, as `registry.opening` takes it.
      name: the registered model.

    Raises:
      RegistryError, GoogleCloudError: the registry cannot be read. That is not the same as having no champion.
    """
    found = reading.champion_for_gate(open_registry(registry, name))
    return json.dumps(found, sort_keys=True) if found else ""


def load_baseline(champion: str) -> Baseline | None:
    """Reads the `champion` parameter: JSON with `version`, `probe_uri` and the probe's `content_hash`, or "" without a champion.

    Raises:
      EvaluationError: the probe's files are missing or not as registered. Without them any backbone that beats the random-init
        baseline would pass, so this is an error and not treated as a first run.
    """
    if not champion:
        return None
    reference = json.loads(champion)
    version, directory = reference["version"], reference["probe_uri"]
    _require_hash(version, directory, reference["content_hash"])
    return Baseline(version, directory, probe_classes(directory))


def probe_classes(directory: str) -> tuple[str, ...]:
    """The class names of a probe directory, in the order of its probabilities."""
    path = posixpath.join(directory, model_files.PROBE_RECORD)
    try:
        return tuple(files.read_json(path)["classes"])
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise EvaluationError(f"{path} must be a JSON record with the probe's classes ({error}); run LinearEval again") from error


def label_curve_of(
    baseline: Baseline, train_patterns: Sequence[str], eval_patterns: Sequence[str], settings: LinearEval
) -> list[dict] | None:
    """For each of settings.label_fractions, the `trainer.label_curve.spread` of probes on the champion's backbone.

    None if its probe does not say which backbone it stands on, as one that another tool registered.

    Raises:
      EvaluationError: the backbone's files are missing or not those that the probe was fitted on.
    """
    expected = files.read_json(posixpath.join(baseline.probe_dir, model_files.PROBE_RECORD)).get("backbone_content_hash")
    if not expected:
        return None
    directory = posixpath.join(posixpath.dirname(baseline.probe_dir.rstrip("/")), BACKBONE)
    _require_hash(baseline.version, directory, expected)
    network, record = load_backbone(directory)
    embed = embedder([folded(network, record)])
    train, train_labels, _ = read_views(list(train_patterns), record["photograph_side"])
    held_out, held_out_labels, _ = read_views(list(eval_patterns), record["photograph_side"])
    (on_train,), (on_eval,) = embed(train), embed(held_out)
    reached = label_curve.accuracies(on_train, train_labels, on_eval, held_out_labels, settings)
    return [label_curve.spread(of_fraction) for of_fraction in reached]


def _require_hash(version: str, directory: str, expected: str) -> None:
    try:
        found = content_hash(directory)
    except (FileNotFoundError, tf.errors.NotFoundError):
        raise _unusable(version, f"there are no files at {directory}") from None
    if found != expected:
        raise _unusable(version, f"{directory} has content hash {found}, registered was {expected}")


def _unusable(version: str, problem: str) -> EvaluationError:
    return EvaluationError(
        f"champion version {version} cannot be evaluated: {problem}. `flowers registry verify` lists what differs; restore the "
        "files from a copy and run again, or give another --root to start a registry without a champion"
    )
