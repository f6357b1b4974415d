"""The registered versions that a candidate is compared with: found, checked against what was registered, and judged alike.

What is registered is a backbone, so backbones are compared: a probe is fitted on each of them today, from today's train labels, by
the same settings as the candidate's. Each backbone sees the photographs at its own side.
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
from registry import comparison
from registry.files import BACKBONE
from registry.opening import open_registry
from trainer import label_curve, pretrained_on
from trainer.export import export_probe, folded, ingested_side, load_backbone
from trainer.features import embedder
from trainer.linear_eval import read_views
from trainer.photographs import naming_undecodable
from trainer.probe import fit_probe


@dataclass(frozen=True)
class Reference:
    """An undamaged registered version; `backbone` is its backbone directory."""

    version: str
    backbone: str


@dataclass(frozen=True)
class Fitted:
    """A registered version with a probe of today.

    Attributes:
      version: its number.
      probe: the probe's SavedModel.
      label_curve: for each of LinearEval.label_fractions, the `trainer.label_curve.spread` of probes on the backbone.
      seen: how many photographs of the eval split it was pre-trained on; None if that is not known.
    """

    version: str
    probe: str
    label_curve: list[dict]
    seen: int | None


def champion_now(registry: str, name: str) -> str:
    """The `champion` parameter for the current champion, "" if there is none.

    For a DAG that was built without reading its registry, as on Vertex AI.

    Args:
      registry: its place, as `registry.opening` takes it.
      name: the registered model.

    Raises:
      RegistryError, GoogleCloudError: the registry cannot be read. That is not the same as having no champion.
    """
    found = comparison.champion_for_gate(open_registry(registry, name))
    return json.dumps(found, sort_keys=True) if found else ""


def references(champion: str) -> dict[str, Reference]:
    """By `champion` and `best`, the versions that the `champion` parameter names; empty without a champion.

    The parameter is JSON of what `registry.comparison.champion_for_gate` returns; it has `best` only where that is another version.

    Raises:
      EvaluationError: the files of a version are missing or not as registered. Without them any backbone that beats the random-init
        baseline would pass, so this is an error and not treated as a first run.
    """
    if not champion:
        return {}
    found = json.loads(champion)
    titles = {"champion": "champion version", "best": "the best version so far, version"}
    named = {"champion": found} | ({"best": found["best"]} if "best" in found else {})
    return {name: _checked(f"{titles[name]} {one['version']}", one) for name, one in named.items()}


def challenge(champion: str) -> int | None:
    """Which challenge of the champion this is, from 1; None without a champion. `champion` is as for `references`."""
    return json.loads(champion)["challenge"] if champion else None


def _checked(title: str, reference: dict) -> Reference:
    probe = reference["probe_uri"]
    _require_hash(title, probe, reference["content_hash"])
    expected = files.read_json(posixpath.join(probe, model_files.PROBE_RECORD)).get("backbone_content_hash")
    if not expected:
        raise _unusable(title, f"{probe} does not say which backbone it stands on, as this pipeline's probes do")
    backbone = posixpath.join(posixpath.dirname(probe.rstrip("/")), BACKBONE)
    _require_hash(title, backbone, expected)
    return Reference(reference["version"], backbone)


def probe_classes(directory: str) -> tuple[str, ...]:
    """The class names of a probe directory, in the order of its probabilities."""
    path = posixpath.join(directory, model_files.PROBE_RECORD)
    try:
        return tuple(files.read_json(path)["classes"])
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise EvaluationError(f"{path} must be a JSON record with the probe's classes ({error}); run LinearEval again") from error


def fit(
    reference: Reference, train_patterns: Sequence[str], eval_patterns: Sequence[str], settings: LinearEval, directory: str
) -> Fitted:
    """Fits the probe of LinearEval on a registered backbone and writes it to `directory`, local or remote."""
    network, record = load_backbone(reference.backbone)
    embed = embedder([folded(network, record)])
    train, train_labels, classes = read_views(list(train_patterns), record["photograph_side"])
    held_out, held_out_labels, _ = read_views(list(eval_patterns), record["photograph_side"])
    with naming_undecodable([*train_patterns, *eval_patterns]):
        (on_train,), (on_eval,) = embed(train), embed(held_out)
    probe = fit_probe(
        on_train, train_labels, regularisation=settings.regularisation, folds=settings.folds, seed=settings.seed
    )
    written = {"schema_version": 1, "classes": classes, "photograph_side": record["photograph_side"]}
    export_probe(network, ingested_side(record), probe, written, directory)
    with_all = probe.accuracy(on_eval, held_out_labels)
    reached = label_curve.accuracies(on_train, train_labels, on_eval, held_out_labels, settings, with_all=with_all)
    curve = [label_curve.spread(of_fraction) for of_fraction in reached]
    return Fitted(reference.version, directory, curve, pretrained_on.count(reference.backbone, eval_patterns))


def _require_hash(title: str, directory: str, expected: str) -> None:
    try:
        found = content_hash(directory)
    except (FileNotFoundError, tf.errors.NotFoundError):
        raise _unusable(title, f"there are no files at {directory}") from None
    if found != expected:
        raise _unusable(title, f"{directory} has content hash {found}, registered was {expected}")


def _unusable(title: str, problem: str) -> EvaluationError:
    return EvaluationError(
        f"{title} cannot be evaluated: {problem}. `flowers registry verify` lists what differs; restore the files from a copy and "
        "run again, or give another --root to start a registry without a champion"
    )
