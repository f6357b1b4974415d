"""Reads the outputs of one run's nodes, as far as the run got; nothing else in this package reads them.

Everything is small or capped by the node that wrote it; photographs stay in their records until `pictures` reads single ones.
"""

import io
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.utils import path_utils

from components.data_gate import ANOMALIES_FILE, refusals
from contracts import examples, files, model_files

# Inputs of the Report node by name: the node, and its output.
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
    """What the page shows; None or empty for what the run did not reach.

    Attributes:
      configuration: pipeline_config.identity of a Config; None if the run's configuration is unknown. `preset`: of its preset.
      code: the versions of the code that made all this, in one line.
      ingest: the ingest report.
      refusals: why the data cannot be used, in sentences; None if ExampleValidator did not run.
      pretrain, linear_eval, verdict, push, probe: the JSON of model_files' names.
      views, predictions: the arrays of model_files.VIEWS and PREDICTIONS.
      records: file patterns of each split.
    """

    configuration: dict | None = None
    preset: dict | None = None
    code: str = ""
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


def read(uris: Mapping[str, str], configuration: dict | None, preset: dict | None, code: str) -> Artifacts:
    """Reads the artifacts at `uris`, local or remote, by the names in INPUTS; some may be missing."""

    def json_at(name: str, file: str) -> Any:
        return files.read_json(posixpath.join(uris[name], file)) if name in uris else None

    def arrays_at(name: str, file: str) -> Any:
        return _arrays(posixpath.join(uris[name], file)) if name in uris else None

    ingest = json_at("ingest_report", model_files.INGEST_REPORT)
    # Null if no photograph has a label: then there are no predictions either.
    linear_eval = json_at("linear_eval_run", model_files.LINEAR_EVAL_REPORT)
    return Artifacts(
        configuration=configuration,
        preset=preset,
        code=code,
        ingest=ingest,
        refusals=_refusals(uris.get("anomalies"), ingest, configuration),
        pretrain=json_at("pretrain_run", model_files.PRETRAIN_REPORT),
        linear_eval=linear_eval,
        verdict=json_at("evaluation", model_files.VERDICT),
        push=json_at("pushed_model", model_files.PUSH_RECORD),
        probe=files.read_json(posixpath.join(path_utils.serving_model_path(uris["probe"]), model_files.PROBE_RECORD))
        if "probe" in uris else None,
        views=arrays_at("pretrain_run", model_files.VIEWS),
        predictions=arrays_at("linear_eval_run", model_files.PREDICTIONS) if linear_eval else None,
        records={split: posixpath.join(uris["examples"], f"Split-{split}", "*") for split in examples.SPLITS}
        if "examples" in uris else {},
    )  # fmt: skip


def _refusals(anomalies_uri: str | None, ingest: dict | None, configuration: dict | None) -> tuple[str, ...] | None:
    if anomalies_uri is None or ingest is None:
        return None
    found = {}
    for split in examples.SPLITS:
        with files.opened(posixpath.join(anomalies_uri, f"Split-{split}", ANOMALIES_FILE)) as file:
            found[split] = anomalies_pb2.Anomalies.FromString(file.read())
    # Without a configuration its limits are unknown; DataGate, which knew them, let the data pass.
    limits = (configuration["data"]["max_bad_fraction"], configuration["pretrain"]["batch_size"]) if configuration else (1.0, 0)
    return tuple(refusals(ingest, found, *limits))


def _arrays(path: str) -> dict[str, np.ndarray]:
    with files.opened(path) as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as archive:
        return dict(archive)
