"""The TFX component GateEvaluator: one TFMA run over the eval split, the gate's verdict, and the blessing.

The baseline (the same probe on the same network untrained, or on the network of others that pre-training started from), the
champion and the best version so far are measured on the same photographs and by the same code as the candidate, with the probes
that LinearEval fitted on the same labels; the trainer's own figures are not read.
"""

import dataclasses
import hashlib
import json
import logging
import math
import posixpath
from collections.abc import Sequence

import apache_beam as beam
import tensorflow as tf
from tfx.components.evaluator import constants
from tfx.components.util import examples_utils
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.evaluator.champion import Fitted, changed_meanwhile, fitted, probe_classes
from components.evaluator.gate import (
    EvaluationError,
    Measured,
    Registered,
    Verdict,
    alias_significance,
    figure,
    judge,
    required_gain,
)
from components.evaluator.measure import measure
from contracts import baseline, files, model_files
from contracts import examples as features
from contracts.content_hash import content_hash
from pipeline_config import Gate

EVAL_SPLIT = "eval"


def eval_files(examples: standard_artifacts.Examples) -> list[str]:
    """File patterns of the eval split."""
    patterns = examples_utils.get_split_file_patterns([examples], EVAL_SPLIT)
    if not any(tf.io.gfile.glob(pattern) for pattern in patterns):
        raise EvaluationError(f"the eval split must have a photograph, got no file at {', '.join(patterns)}")
    return patterns


def eval_split_hash(patterns: Sequence[str]) -> str:
    """SHA-256 (hex) over the sorted class names and stored images of gzip TFRecord files.

    It does not depend on the division into files, the order of records or the photographs' paths in the source.
    """
    files = sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in (features.CLASS_NAME, features.IMAGE)}
    photographs = []
    for record in records.as_numpy_iterator():
        example = tf.io.parse_single_example(record, spec)
        class_name, image = example[features.CLASS_NAME].numpy(), example[features.IMAGE].numpy()
        # Each is hashed, so that memory stays small and bytes that move from one to the other change the hash.
        photographs.append(hashlib.sha256(class_name).digest() + hashlib.sha256(image).digest())
    return hashlib.sha256(b"".join(sorted(photographs))).hexdigest()


logger = logging.getLogger(__name__)

CANDIDATE, UNTRAINED, CHAMPION, BEST = NAMES = ("candidate", "untrained", "champion", "best")

# Custom properties of the blessing beyond TFX's own `blessed`, `current_model` (URI) and `current_model_id`.
PROBE_CONTENT_HASH = "probe_content_hash"
PROBE_ID = "probe_id"  # as text: Vertex AI passes properties as JSON, in which its ids of 63 bits are rounded
BASELINE_VERSION = "baseline_version"
TAKES_ALIAS = "takes_alias"


@component(use_beam=True)
def GateEvaluator(
    examples: InputArtifact[standard_artifacts.Examples],
    probe: InputArtifact[standard_artifacts.Model],
    probe_run: InputArtifact[standard_artifacts.ModelRun],
    evaluation: OutputArtifact[standard_artifacts.ModelEvaluation],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    gate: Parameter[str],
    champion: Parameter[str] = "",
    registry: Parameter[str] = "",
    name: Parameter[str] = "",
    recipe: Parameter[str] = "",
    code_version: Parameter[str] = "",
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Judges a probe; succeeds with either verdict.

    Args:
      examples: with a split `eval`, of contracts.examples.
      probe: LinearEval's model.
      probe_run: LinearEval's model_run, with contracts.model_files.UNTRAINED_PROBE and REFERENCES.
      evaluation: receives TFMA's results and contracts.model_files.VERDICT.
      blessing: receives the file BLESSED or NOT_BLESSED and the custom properties `blessed`, `current_model`,
        `current_model_id`, `probe_id`, `probe_content_hash`, `baseline_version` ("" without a champion) and `takes_alias`.
      gate: a pipeline_config.Gate as JSON.
      champion: JSON of what `registry.comparison.champion_for_gate` returned before LinearEval; "" or {} if there was no champion.
      registry: place of the registry, in which the champion is looked up once more: the verdict says if it is another by now; ""
        to look nothing up.
      name: the registered model, for `registry`.
      recipe: of the candidate, as champion_for_gate takes it, for `registry`.
      code_version: hashes of the files that this component runs; the cache follows them.

    Raises:
      EvaluationError: no eval photographs, a damaged model, or a registered version that LinearEval fitted no probe on.
      RegistryError, GoogleCloudError: the registry cannot be read. That is not the same as having no champion.
    """
    del code_version
    probe_dir = path_utils.serving_model_path(probe.uri)
    settings = Gate(**json.loads(gate))
    if not probe_classes(probe_dir):
        probe_hash = content_hash(probe_dir)
        record = unjudged_record(settings) | {"probe": {"uri": probe.uri, "content_hash": probe_hash}}
        files.write_json(posixpath.join(evaluation.uri, model_files.VERDICT), record)
        _bless(blessing, False, False, probe, probe_hash, "")
        logger.info("Not judged: %s.", NO_LABELS)
        return
    untrained_dir = posixpath.join(probe_run.uri, model_files.UNTRAINED_PROBE)
    for directory in (probe_dir, untrained_dir):
        if not tf.saved_model.contains_saved_model(directory):
            raise EvaluationError(f"{directory} must be a probe's SavedModel, and is not: run LinearEval again")
    compared_baseline = baseline.of(files.read_json(posixpath.join(untrained_dir, model_files.PROBE_RECORD)))
    classes = probe_classes(probe_dir)
    probe_hash = content_hash(probe_dir)
    eval_patterns = eval_files(examples)
    compared_with = json.loads(champion or "{}")
    registered = fitted(compared_with, probe_run.uri, probe_dir)
    changed = changed_meanwhile(compared_with, registry, name, recipe)

    models = {CANDIDATE: probe_dir, UNTRAINED: untrained_dir} | {title: one.probe for title, one in registered.items()}
    measured = measure(beam_pipeline, models, classes, eval_patterns, evaluation.uri)
    compared = {title: Registered(one.version, measured[title], one.seen) for title, one in registered.items()}
    number = compared_with.get("challenge")
    verdict = judge(
        settings, measured[CANDIDATE], measured[UNTRAINED], compared.get(CHAMPION), compared.get(BEST), number or 1,
        compared_baseline)  # fmt: skip
    if changed:
        verdict = dataclasses.replace(verdict, reasons=(changed, *verdict.reasons))

    record = verdict_record(verdict, measured, classes, registered) | {
        "baseline": compared_baseline,
        # For the Pusher: what was judged, by which thresholds and on which photographs.
        "gate": dataclasses.asdict(settings),
        "figure": _number(figure(settings, measured[CANDIDATE])),
        "required_gain": _number(required_gain(settings, figure(settings, measured[UNTRAINED]))),
        "challenge": number,
        "alias_significance": alias_significance(settings, number) if number else None,
        "eval_split": eval_split_hash(eval_patterns),
        "probe": {"uri": probe.uri, "content_hash": probe_hash},
    }
    files.write_json(posixpath.join(evaluation.uri, model_files.VERDICT), record)
    _bless(blessing, verdict.blessed, verdict.takes_alias, probe, probe_hash, record["baseline_version"] or "")
    logger.info(
        "%s on %d held-out photographs: %s.",
        "Blessed" if verdict.blessed else "Not blessed", measured[CANDIDATE].examples, "; ".join(verdict.reasons),
    )  # fmt: skip


def verdict_record(verdict: Verdict, measured: dict[str, Measured], classes: tuple[str, ...], registered: dict[str, Fitted]) -> dict:
    """The content of verdict.json; figures that are not finite become null."""
    candidate = measured[CANDIDATE]
    versions = {title: registered[title].version if title in registered else None for title in (CHAMPION, BEST)}
    return {
        "schema_version": 1,
        "blessed": verdict.blessed,
        "takes_alias": verdict.takes_alias,
        "reasons": list(verdict.reasons),
        "evidence": {
            name: dataclasses.asdict(verdict.evidence[name]) if name in verdict.evidence else None for name in (UNTRAINED, CHAMPION, BEST)
        },
        "baseline_version": versions[CHAMPION],
        "best_version": versions[BEST],
        "pretrained_on": {title: registered[title].seen if title in registered else None for title in (CHAMPION, BEST)},
        "metrics": {name: _figures(measured[name]) if name in measured else None for name in NAMES},
        "per_class": {name: _number(accuracy) for name, accuracy in candidate.per_class.items()},
        "confusion_matrix": candidate.confusion_matrix,
        "classes": list(classes),
        "eval_examples": candidate.examples,
    }


# The one reason of a verdict without labels.
NO_LABELS = ("no photograph has a label, so nothing says whether this backbone is good; `flowers select SOURCE --run latest --count 25 "
             "-o next.csv` says which photographs to label first")  # fmt: skip


def unjudged_record(gate: Gate) -> dict:
    """The content of verdict.json, but for `probe`, where no photograph has a label."""
    return {
        "schema_version": 1,
        "blessed": False,
        "takes_alias": False,
        "reasons": [NO_LABELS],
        "evidence": {UNTRAINED: None, CHAMPION: None, BEST: None},
        "baseline_version": None,
        "best_version": None,
        "pretrained_on": {CHAMPION: None, BEST: None},
        "figure": None,
        "required_gain": None,
        "challenge": None,
        "alias_significance": None,
        "metrics": dict.fromkeys(NAMES),
        "per_class": {},
        "confusion_matrix": [],
        "classes": [],
        "eval_examples": 0,
        "gate": dataclasses.asdict(gate),
        "eval_split": None,
    }


def _figures(one: Measured) -> dict[str, float | None]:
    return {name: _number(getattr(one, name)) for name in ("accuracy", "macro_f1", "cross_entropy")}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _bless(blessing: standard_artifacts.ModelBlessing, blessed: bool, takes_alias: bool, probe: standard_artifacts.Model,
           probe_hash: str, baseline_version: str) -> None:  # fmt: skip
    """Fills the blessing artifact as TFX's own Evaluator does, and adds what the Pusher verifies besides."""
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, probe.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, probe.id)
    blessing.set_string_custom_property(PROBE_ID, str(probe.id))
    blessing.set_string_custom_property(PROBE_CONTENT_HASH, probe_hash)
    blessing.set_string_custom_property(BASELINE_VERSION, baseline_version)
    blessing.set_int_custom_property(TAKES_ALIAS, int(takes_alias))
    value, name = (
        (constants.BLESSED_VALUE, constants.BLESSED_FILE_NAME) if blessed
        else (constants.NOT_BLESSED_VALUE, constants.NOT_BLESSED_FILE_NAME)
    )  # fmt: skip
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
    files.write_text(posixpath.join(blessing.uri, name), "")
