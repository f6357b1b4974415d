"""run.json: what a run used, did and found, in one flat schema that docs/run.json.md documents field by field.

Written by the verb `run` when the runner has ended, however it ended; read by the summary and by scripts. What a run did not
reach is null, and every key is always there.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence

import pipeline_config
from contracts import model_files
from pipeline.metadata import Execution
from pipeline.recipe import Origin
from pipeline_config import Config

SCHEMA_VERSION = 1

# Report by section: the node and output that holds it, and its file.
REPORTS = {
    "ingest": ("ExampleGen", "ingest_report", model_files.INGEST_REPORT),
    "pretrain": ("Pretrain", "model_run", model_files.PRETRAIN_REPORT),
    "linear_eval": ("LinearEval", "model_run", model_files.LINEAR_EVAL_REPORT),
    "verdict": ("Evaluator", "evaluation", model_files.VERDICT),
    "push": ("Pusher", "pushed_model", model_files.PUSH_RECORD),
}


@dataclasses.dataclass(frozen=True)
class Identity:
    """What is known of a run before its nodes run.

    `origin` and `recipe` are None until the source has been inspected; a rehearsal, which has only the compiled file, knows
    neither them nor `config`.
    """

    run_id: str
    started_at: str  # ISO 8601, UTC
    config: Config | None
    origin: Origin | None = None
    recipe: str | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended: `status` is finished, failed, refused or interrupted."""

    status: str
    seconds: float
    error: str | None = None
    failing_node: str | None = None


def read_reports(executions: Sequence[Execution]) -> dict[str, dict]:
    """The JSON reports (REPORTS) of a run's nodes, by section; a cached node has its report from an earlier run."""
    outputs = {execution.node: execution.outputs for execution in executions}
    reports = {}
    for section, (node, output, name) in REPORTS.items():
        uri = outputs.get(node, {}).get(output)
        if uri is not None:
            reports[section] = json.loads((pathlib.Path(uri) / name).read_text(encoding="utf-8"))
    return reports


def build(
    identity: Identity,
    outcome: Outcome,
    executions: Sequence[Execution],
    reports: Mapping[str, dict],
    node_seconds: Mapping[str, float],
) -> dict:
    """run.json as a dictionary. Pure: of one run it is always the same."""
    states = {execution.node: execution.state for execution in executions}
    ingest, verdict, push = (reports.get(section) for section in ("ingest", "verdict", "push"))
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": identity.run_id,
        "status": outcome.status,
        "error": outcome.error,
        "failing_node": outcome.failing_node,
        "started_at": identity.started_at,
        "seconds": round(outcome.seconds, 1),
        "preset": identity.config.preset if identity.config else None,
        "configuration": pipeline_config.to_dict(identity.config) if identity.config else None,
        "code": _code(identity),
        "recipe": identity.recipe,
        "data": _data(ingest) if ingest else None,
        "pretrain": reports.get("pretrain"),
        "linear_eval": _linear_eval(reports.get("linear_eval"), verdict),
        "gate": _gate(verdict) if verdict else None,
        "registry": _registry(push, states["Pusher"]) if push else None,
        "cached_nodes": [execution.node for execution in executions if execution.state == "CACHED"],
        "nodes": {
            execution.node: {"state": execution.state.lower(), "seconds": _rounded(node_seconds.get(execution.node))}
            for execution in executions
        },
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def _code(identity: Identity) -> dict | None:
    if identity.origin is None:
        return None
    return {"components": identity.origin.components_version, "trainer": identity.origin.trainer_version}


def _data(ingest: dict) -> dict:
    quarantined, splits = ingest["quarantined"], ingest["splits"]
    return {
        "source": ingest["source"],
        "kind": ingest["kind"],
        "fingerprint": ingest["fingerprint"],
        "images": ingest["images"],
        "quarantined": quarantined["total"],
        "quarantined_by_reason": quarantined["by_reason"],
        "quarantined_files": quarantined["files"],
        "bad_fraction": ingest["bad_fraction"],
        "train": splits["train"]["images"],
        "eval": splits["eval"]["images"],
        "train_by_class": splits["train"]["by_class"],
        "eval_by_class": splits["eval"]["by_class"],
        "classes": ingest["classes"],
        "sizes": ingest["sizes"],
        "appearance": ingest["appearance"],
        "split_rule": ingest["split_rule"],
        "unused": ingest["unused"],
        "near_duplicates": ingest["near_duplicates"],
    }


def _linear_eval(report: dict | None, verdict: dict | None) -> dict | None:
    if report is None:
        return None
    # Accuracy by class is the Evaluator's: the trainer reports totals only.
    return report | {"per_class": verdict["per_class"] if verdict else None}


def _gate(verdict: dict) -> dict:
    return {key: value for key, value in verdict.items() if key not in ("schema_version", "per_class")}


def _registry(push: dict, state: str) -> dict:
    # Of a cached push, or of a backbone that an earlier run registered, the version is shown; this run pushed none.
    return {key: push[key] for key in ("name", "version", "alias", "reasons")} | {
        "pushed": push["created"] and state == "COMPLETE"
    }


def write(record: dict, path: pathlib.Path) -> None:
    """Writes `record` to `path` in one step: a reader finds the whole file or none."""
    beside = path.with_name(f"{path.name}.part")
    with open(beside, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
