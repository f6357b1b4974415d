"""The TFX component GateEvaluator: one TFMA run over the eval split, the gate's verdict, and the blessing.

Used by the pipeline between LinearEval and the Pusher. The untrained floor is measured here, on the same photographs and by the
same code as the candidate; the trainer's own figures are not read.
"""

import dataclasses
import json
import logging
import math
import posixpath

import apache_beam as beam
import tensorflow as tf
from tfx.components.evaluator import constants
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.gate_evaluator.baseline import champion_now, load_baseline, probe_classes
from components.gate_evaluator.eval_split import eval_files, eval_split_hash
from components.gate_evaluator.gate import Champion, Verdict, judge
from components.gate_evaluator.measured import EvaluationError, Measured
from components.gate_evaluator.metrics import measure
from contracts import model_files
from contracts.content_hash import content_hash
from pipeline_config import Gate

logger = logging.getLogger(__name__)

CANDIDATE, UNTRAINED, CHAMPION = "candidate", "untrained", "champion"

# Custom properties of the blessing beyond TFX's own `blessed`, `current_model` (URI) and `current_model_id`.
PROBE_CONTENT_HASH = "probe_content_hash"
PROBE_ID = "probe_id"  # as text: Vertex AI hands properties on as JSON, in which its ids of 63 bits are rounded
BASELINE_VERSION = "baseline_version"


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
    code_version: Parameter[str] = "",
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Judges a probe; succeeds whatever the verdict is.

    Args:
      examples: with a split `eval`, of contracts.examples.
      probe: LinearEval's model.
      probe_run: LinearEval's model_run, with contracts.model_files.UNTRAINED_PROBE.
      evaluation: receives TFMA's results and contracts.model_files.VERDICT.
      blessing: receives the file BLESSED or NOT_BLESSED and the custom properties `blessed`, `current_model`,
        `current_model_id`, `probe_id`, `probe_content_hash` and `baseline_version` ("" without a champion).
      gate: a pipeline_config.Gate as JSON.
      champion: JSON with `version`, `probe_uri` and `content_hash` of the champion's probe; "" where there is none.
      registry: place of the registry whose champion is looked up now, in place of `champion`; "" where it was before.
      name: the registered model, for `registry`.
      code_version: only tells executions of different code apart.

    Raises:
      EvaluationError: no eval photographs, a damaged model or champion, classes that do not fit together.
    """
    del code_version
    probe_dir = path_utils.serving_model_path(probe.uri)
    untrained_dir = posixpath.join(probe_run.uri, model_files.UNTRAINED_PROBE)
    for directory in (probe_dir, untrained_dir):
        if not tf.saved_model.contains_saved_model(directory):
            raise EvaluationError(f"{directory} should be a probe's SavedModel and is not: run LinearEval again")
    classes = probe_classes(probe_dir)
    probe_hash = content_hash(probe_dir)
    baseline = load_baseline(champion_now(registry, name) if registry else champion)

    models = {CANDIDATE: probe_dir, UNTRAINED: untrained_dir}
    if baseline is not None and baseline.classes == classes:
        models[CHAMPION] = baseline.probe_dir
    files = eval_files(examples)
    measured = measure(beam_pipeline, models, classes, files, evaluation.uri)
    compared = baseline and Champion(baseline.version, baseline.classes, measured.get(CHAMPION))
    settings = Gate(**json.loads(gate))
    verdict = judge(settings, classes, measured[CANDIDATE], measured[UNTRAINED], compared)

    record = verdict_record(verdict, measured, classes, baseline.version if baseline else None) | {
        # By these the Pusher knows what was judged, by which thresholds and on which photographs.
        "gate": dataclasses.asdict(settings),
        "eval_split": eval_split_hash(files),
        "probe": {"uri": probe.uri, "content_hash": probe_hash},
    }
    _write(posixpath.join(evaluation.uri, model_files.VERDICT), json.dumps(record, indent=1, allow_nan=False))
    _bless(blessing, verdict.blessed, probe, probe_hash, baseline.version if baseline else "")
    logger.info(
        "%s on %d held-out photographs: %s.",
        "Blessed" if verdict.blessed else "Not blessed", measured[CANDIDATE].examples, "; ".join(verdict.reasons),
    )  # fmt: skip


def verdict_record(
    verdict: Verdict, measured: dict[str, Measured], classes: tuple[str, ...], baseline_version: str | None
) -> dict:
    """The figures and the verdict as verdict.json has them; figures that are not numbers become null."""
    candidate = measured[CANDIDATE]
    return {
        "schema_version": 1,
        "blessed": verdict.blessed,
        "reasons": list(verdict.reasons),
        "baseline_version": baseline_version,
        "metrics": {name: _figures(measured[name]) if name in measured else None for name in (CANDIDATE, UNTRAINED, CHAMPION)},
        "per_class": {name: _number(accuracy) for name, accuracy in candidate.per_class.items()},
        "confusion_matrix": candidate.confusion_matrix,
        "classes": list(classes),
        "eval_examples": candidate.examples,
    }


def _figures(one: Measured) -> dict[str, float | None]:
    return {name: _number(getattr(one, name)) for name in ("accuracy", "macro_f1", "cross_entropy")}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _bless(blessing: standard_artifacts.ModelBlessing, blessed: bool, probe: standard_artifacts.Model, probe_hash: str,
           baseline_version: str) -> None:  # fmt: skip
    """Fills the blessing artifact as TFX's own Evaluator does, and with what the Pusher verifies beyond that."""
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, probe.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, probe.id)
    blessing.set_string_custom_property(PROBE_ID, str(probe.id))
    blessing.set_string_custom_property(PROBE_CONTENT_HASH, probe_hash)
    blessing.set_string_custom_property(BASELINE_VERSION, baseline_version)
    value, name = (
        (constants.BLESSED_VALUE, constants.BLESSED_FILE_NAME) if blessed
        else (constants.NOT_BLESSED_VALUE, constants.NOT_BLESSED_FILE_NAME)
    )  # fmt: skip
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
    _write(posixpath.join(blessing.uri, name), "")


def _write(path: str, text: str) -> None:
    tf.io.gfile.makedirs(posixpath.dirname(path))
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(text)
