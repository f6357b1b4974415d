"""Measures several probes on the eval split with TensorFlow Model Analysis, all in one pass over the same photographs.

The figures of the same photographs and models are always the same, however Beam shards them.
"""

import json
from collections.abc import Mapping, Sequence

import apache_beam as beam
import tensorflow_model_analysis as tfma
from apache_beam.utils import shared
from tensorflow_model_analysis.proto import config_pb2
from tfx_bsl.public import tfxio

from components.evaluator import tfma_metrics
from components.evaluator.evidence import Pairs
from components.evaluator.gate import EvaluationError, Measured
from contracts import examples as features
from contracts import model_files

SERVING_SIGNATURE = "serving_default"
# Photographs a model call: enough to keep every core busy, few enough that ResNet-50 at 224 pixels stays well under 2 GB.
BATCH_SIZE = 64
EXAMPLE_COUNT = "example_count"


def eval_config(model_names: Sequence[str], class_count: int) -> config_pb2.EvalConfig:
    """TFMA's configuration: the models by name, overall and one slice a class, no thresholds (the gate is `gate.py`).

    Each model but the first is also compared with the first, photograph by photograph.
    """
    models = [
        config_pb2.ModelSpec(name=name, model_type=tfma.TF_GENERIC, signature_name=SERVING_SIGNATURE,
                       prediction_key=model_files.PROBABILITIES, label_key=features.LABEL)
        for name in model_names
    ]  # fmt: skip
    metrics = [
        config_pb2.MetricConfig(class_name="ExampleCount"),
        _own_metric(tfma_metrics.ConfusionCounts, classes=class_count),
        _own_metric(tfma_metrics.CrossEntropy),
    ]
    first, *others = model_names
    paired = [_own_metric(tfma_metrics.PairedCounts, first=first)]
    return config_pb2.EvalConfig(
        model_specs=models,
        slicing_specs=[config_pb2.SlicingSpec(), config_pb2.SlicingSpec(feature_keys=[features.CLASS_NAME])],
        metrics_specs=[
            config_pb2.MetricsSpec(metrics=metrics, model_names=list(model_names)),
            config_pb2.MetricsSpec(metrics=paired, model_names=others),
        ],
    )


def _own_metric(metric: type, **config) -> config_pb2.MetricConfig:
    return config_pb2.MetricConfig(class_name=metric.__name__, module=metric.__module__, config=json.dumps(config))


def measure(
    pipeline: beam.Pipeline, models: Mapping[str, str], classes: Sequence[str], file_patterns: Sequence[str], output_dir: str
) -> dict[str, Measured]:
    """Evaluates SavedModels over TFRecords of `contracts.examples` and writes TFMA's results.

    Args:
      pipeline: a Beam pipeline that has not run; `measure` runs it.
      models: name to SavedModel directory, two or more, the candidate first. The signature `serving_default` maps [batch]
        serialized tf.Examples to `probabilities`, [batch, classes] float.
      classes: class names in the order of the labels.
      file_patterns: gzip TFRecord files of the eval split.
      output_dir: where TFMA writes its metrics, readable with `tfma.load_eval_result`.

    Raises:
      EvaluationError: there is no example, or one of a class that the probe does not have.
    """
    config = eval_config(list(models), len(classes))
    shared_models = [
        tfma.default_eval_shared_model(eval_saved_model_path=path, model_name=name, eval_config=config) for name, path in models.items()
    ]
    source = tfxio.TFExampleRecord(
        file_pattern=list(file_patterns), raw_record_column_name=tfma.ARROW_INPUT_COLUMN, telemetry_descriptors=["GateEvaluator"]
    )
    try:
        with pipeline:
            _ = (
                pipeline
                | "ReadEvalSplit" >> source.BeamSource(batch_size=BATCH_SIZE)
                | "Evaluate" >> tfma.ExtractEvaluateAndWriteResults(
                    eval_shared_model=shared_models, eval_config=config, output_path=output_dir)
            )  # fmt: skip
    finally:
        _let_go_of_models()
    return {name: _read(output_dir, name, classes, file_patterns) for name in models}


class _Nothing:
    """Takes the place of a model."""


def _let_go_of_models() -> None:
    """Frees the last model that was loaded. Beam keeps what a process has shared last, so that the next bundle finds it
    (apache_beam.utils.shared), until something else is shared: 60 MB for the rest of a run."""
    shared.Shared().acquire(_Nothing)


def _read(output_dir: str, model_name: str, classes: Sequence[str], file_patterns: Sequence[str]) -> Measured:
    slices = {key: by_output[""][""] for key, by_output in tfma.load_eval_result(output_dir, model_name=model_name).slicing_metrics}
    if () not in slices:
        raise EvaluationError(f"the eval split must have a photograph, got no example in {', '.join(file_patterns)}")
    overall = slices.pop(())
    by_class = {key[0][1]: values for key, values in slices.items()}
    unknown = sorted(set(by_class) - set(classes))
    if unknown:
        raise EvaluationError(
            f"the eval split must have photographs only of the probe's classes {', '.join(classes)}, got "
            f"{', '.join(map(repr, unknown))}; train and evaluate on the same source"
        )
    return Measured(
        accuracy=_double(overall[tfma_metrics.ACCURACY]),
        macro_f1=_double(overall[tfma_metrics.MACRO_F1]),
        cross_entropy=_double(overall[tfma_metrics.CROSS_ENTROPY]),
        per_class={name: _double(by_class[name][tfma_metrics.ACCURACY]) if name in by_class else None for name in classes},
        confusion_matrix=_matrix(overall[tfma_metrics.CONFUSION_MATRIX], len(classes)),
        examples=_count(overall, EXAMPLE_COUNT),
        pairs={name: _pairs(by_class[name]) for name in classes if name in by_class and tfma_metrics.BOTH in by_class[name]},
    )


def _pairs(values: dict) -> Pairs:
    return Pairs(*(_count(values, name) for name in (*tfma_metrics.PAIRS, EXAMPLE_COUNT)))


def _count(values: dict, name: str) -> int:
    return int(_double(values[name]))


def _double(value: dict) -> float:
    return float(value["doubleValue"])


def _matrix(value: dict, size: int) -> list[list[int]]:
    matrix = [[0] * size for _ in range(size)]
    for entry in value["multiClassConfusionMatrixAtThresholds"]["matrices"][0]["entries"]:
        # Protocol buffers omit zeros in JSON.
        actual, predicted = entry.get("actualClassId", 0), entry.get("predictedClassId", 0)
        matrix[actual][predicted] += int(entry["numWeightedExamples"])
    return matrix
