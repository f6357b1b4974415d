"""What the nodes of one run left, as far as it got: read here and nowhere else in this package.

Everything is small or capped by whoever wrote it; photographs stay in their records until `pictures` takes single ones out.
"""

import io
import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.utils import path_utils

from components.data_gate.component import ANOMALIES_FILE
from components.data_gate.verdict import refusals
from contracts import examples, model_files

# Input of the Report node by name: the node that it comes from, and which of its outputs it is.
INPUTS = {
    "examples": ("ExampleGen", "examples"),
    "ingest_report": ("ExampleGen", "ingest_report"),
    "anomalies": ("ExampleValidator", "anomalies"),
    "pretrain_run": ("Pretrain", "model_run"),
    "linear_eval_run": ("LinearEval", "model_run"),
    "probe": ("LinearEval", "model"),
    "evaluation": ("Evaluator", "evaluation"),
    "pushed_model": ("Pusher", "pushed_model"),
}


@dataclass(frozen=True)
class Artifacts:
    """What there is to show; None or empty where the run did not get there.

    Attributes:
      configuration: a pipeline_config.Config as dictionaries; None of a run whose configuration nobody knows.
      code_version: of components and trainer, in words.
      ingest: the ingest report.
      refusals: why the data cannot be used, in sentences; None before ExampleValidator looked.
      pretrain, linear_eval, verdict, push, probe: the JSON of model_files' names.
      views, predictions: the arrays of model_files.VIEWS and PREDICTIONS.
      records: file patterns of each split.
    """

    configuration: dict | None = None
    code_version: str = ""
    ingest: dict | None = None
    refusals: tuple[str, ...] | None = None
    pretrain: dict | None = None
    linear_eval: dict | None = None
    verdict: dict | None = None
    push: dict | None = None
    probe: dict | None = None
    views: Mapping[str, np.ndarray] | None = None
    predictions: Mapping[str, np.ndarray] | None = None
    records: Mapping[str, str] = field(default_factory=dict)


def read(uris: Mapping[str, str], configuration: dict | None, code_version: str) -> Artifacts:
    """Reads the artifacts at `uris`, local or remote, by the names in INPUTS; those that are missing were not made."""

    def json_at(name: str, file: str) -> Any:
        return _json(posixpath.join(uris[name], file)) if name in uris else None

    def arrays_at(name: str, file: str) -> Any:
        return _arrays(posixpath.join(uris[name], file)) if name in uris else None

    ingest = json_at("ingest_report", model_files.INGEST_REPORT)
    return Artifacts(
        configuration=configuration,
        code_version=code_version,
        ingest=ingest,
        refusals=_refusals(uris.get("anomalies"), ingest, configuration),
        pretrain=json_at("pretrain_run", model_files.PRETRAIN_REPORT),
        linear_eval=json_at("linear_eval_run", model_files.LINEAR_EVAL_REPORT),
        verdict=json_at("evaluation", model_files.VERDICT),
        push=json_at("pushed_model", model_files.PUSH_RECORD),
        probe=_json(posixpath.join(path_utils.serving_model_path(uris["probe"]), model_files.PROBE_RECORD))
        if "probe" in uris else None,
        views=arrays_at("pretrain_run", model_files.VIEWS),
        predictions=arrays_at("linear_eval_run", model_files.PREDICTIONS),
        records={split: posixpath.join(uris["examples"], f"Split-{split}", "*") for split in examples.SPLITS}
        if "examples" in uris else {},
    )  # fmt: skip


def _refusals(anomalies_uri: str | None, ingest: dict | None, configuration: dict | None) -> tuple[str, ...] | None:
    if anomalies_uri is None or ingest is None:
        return None
    found = {}
    for split in examples.SPLITS:
        with tf.io.gfile.GFile(posixpath.join(anomalies_uri, f"Split-{split}", ANOMALIES_FILE), "rb") as file:
            found[split] = anomalies_pb2.Anomalies.FromString(file.read())
    # Without a configuration any share of bad files is within the limit: DataGate, which knew it, has passed the data.
    return tuple(refusals(ingest, found, configuration["data"]["max_bad_fraction"] if configuration else 1.0))


def _json(path: str) -> dict:
    with tf.io.gfile.GFile(path) as file:
        return json.load(file)


def _arrays(path: str) -> dict[str, np.ndarray]:
    with tf.io.gfile.GFile(path, "rb") as file:
        with np.load(io.BytesIO(file.read()), allow_pickle=False) as archive:
            return dict(archive)
