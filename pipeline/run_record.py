"""run.json, what a run used, did and found, in a schema that docs/run.json.md documents field by field; and report.html.

Every key is always present; what a run did not reach is null. The page is the Report node's, completed with what only the runner
knows. A run that ended before its Report node gets a page from the same code, of the outputs that there are.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pipeline_config
from contracts import files, model_files, source_code
from contracts.layout import Layout, point_latest_at
from contracts.model_files import RUN_PAGE
from pipeline.identity import Origin
from pipeline_config import Config
from registry.backend import RegistryError
from registry.opening import open_registry, registry_place
from registry.reading import get_version

if TYPE_CHECKING:
    from pipeline.metadata import Execution

SCHEMA_VERSION = 1

# The status of a run that has not ended; and of one that never will, as its process has gone without a word.
STARTED, KILLED = "started", "killed"

# Report by section: the node and output that holds it, and its file.
REPORTS = {
    "ingest": ("ExampleGen", "ingest_report", model_files.INGEST_REPORT),
    "pretrain": ("Pretrain", "model_run", model_files.PRETRAIN_REPORT),
    "linear_eval": ("LinearEval", "model_run", model_files.LINEAR_EVAL_REPORT),
    "verdict": ("Evaluator", "evaluation", model_files.VERDICT),
    "push": ("Pusher", "pushed_model", model_files.PUSH_RECORD),
}


@dataclasses.dataclass(frozen=True)
class Start:
    """What is known about a run before its nodes run.

    `origin` and `recipe` are None until the source has been inspected; a rehearsal, which has only the compiled file, has neither
    them nor `config`.
    """

    run_id: str
    started_at: str  # ISO 8601, UTC
    config: Config | None
    origin: Origin | None = None
    recipe: str | None = None
    schedule: str | None = None  # the name of the one that started it


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended: `status` is finished, failed, refused or interrupted; or STARTED."""

    status: str
    seconds: float
    error: str | None = None
    failing_node: str | None = None


def begin(start: Start, layout: Layout) -> dict | None:
    """Records a run that starts, and makes it the latest: however its process ends, no earlier run is taken for it.

    The caller holds the lock: a former run that is still recorded as started was killed, and its record says so from now on.

    Returns:
      That former run's record, if there is one.
    """
    former = newest(layout)
    killed = as_it_ended(former, active=False) if former is not None and former["status"] == STARTED else None
    if killed is not None:
        files.write_json(layout.run(killed["run_id"]) / "run.json", killed)
    write_started(start, layout)
    point_latest_at(layout, start.run_id)
    return killed


def write_started(start: Start, layout: Layout, node: str | None = None, seconds: float = 0.0) -> None:
    """Writes the record of a run that goes on, and is in `node` after so many seconds."""
    files.write_json(layout.run(start.run_id) / "run.json", build(start, Outcome(STARTED, seconds, None, node), [], {}, {}, {}))


def as_it_ended(record: dict, active: bool) -> dict:
    """`record`, but that a run which is recorded as started is called killed unless a run is active below the same DIR."""
    if record["status"] != STARTED or active:
        return record
    during = f"in {record['failing_node']}" if record.get("failing_node") else "before its first node"
    return record | {
        "status": KILLED,
        "error": f"killed {during}: its process ended without a word, by SIGKILL, for want of memory or with the machine; the "
        "same command continues from what it had finished",
    }


def read(folder: pathlib.Path) -> dict | None:
    """run.json of the run in `folder` as it is on disk, of any release; None if there is none, or it is damaged.

    Of its keys only `status` and `run_id` are certain. The latter is the folder's name, whatever the file says.
    """
    try:
        record = files.read_json(folder / "run.json")
    except (OSError, ValueError):
        return None
    whole = isinstance(record, dict) and isinstance(record.get("status"), str)
    return record | {"run_id": folder.resolve().name} if whole else None


def read_all(layout: Layout) -> list[dict]:
    """`read` of every run that can be read, in the order in which they started."""
    return [record for path in sorted(layout.root.glob("runs/*/run.json")) if (record := read(path.parent)) is not None]


def newest(layout: Layout) -> dict | None:
    """`read` of the newest run."""
    return read(layout.latest)


def read_reports(executions: Sequence["Execution"]) -> dict[str, dict]:
    """The JSON reports (REPORTS) of a run's nodes, by section; a cached node's report is from an earlier run."""
    outputs = {execution.node: execution.outputs for execution in executions}
    reports = {}
    for section, (node, output, name) in REPORTS.items():
        uri = outputs.get(node, {}).get(output)
        if uri is not None:
            reports[section] = files.read_json(pathlib.Path(uri) / name)
    return reports


def build(
    start: Start,
    outcome: Outcome,
    executions: Sequence["Execution"],
    reports: Mapping[str, dict],
    node_seconds: Mapping[str, float],
    because: Mapping[str, Sequence[str]],
) -> dict:
    """run.json as a dictionary: the same input gives the same record.

    Args:
      node_seconds: wall time by node, of those that ended.
      because: why each node ran that was not served from the cache.
    """
    states = {execution.node: execution.state for execution in executions}
    code = start.origin.code if start.origin else {}
    ingest, verdict, push = (reports.get(section) for section in ("ingest", "verdict", "push"))
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": start.run_id,
        "status": outcome.status,
        "error": outcome.error,
        "failing_node": outcome.failing_node,
        "started_at": start.started_at,
        "seconds": round(outcome.seconds, 1),
        "schedule": start.schedule,
        "preset": start.config.preset if start.config else None,
        "configuration": pipeline_config.to_dict(start.config) if start.config else None,
        "code": _code(start),
        "recipe": start.recipe,
        "data": _data(ingest) if ingest else None,
        "pretrain": reports.get("pretrain"),
        "linear_eval": _linear_eval(reports.get("linear_eval"), verdict),
        "gate": _gate(verdict) if verdict else None,
        "registry": _registry(push, states["Pusher"]) if push else None,
        "cached_nodes": [execution.node for execution in executions if execution.state == "CACHED"],
        "nodes": {
            execution.node: {
                "state": execution.state.lower(),
                "seconds": _rounded(node_seconds.get(execution.node)),
                "because": list(because.get(execution.node, ())),
                "code": source_code.version(code[execution.node]) if execution.node in code else None,
            }
            for execution in executions
        },
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def _code(start: Start) -> dict | None:
    if start.origin is None:
        return None
    return dict(start.origin.packages)


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
        "unlabelled": splits["unlabelled"]["images"],
        "train_by_class": splits["train"]["by_class"],
        "eval_by_class": splits["eval"]["by_class"],
        "classes": ingest["classes"],
        "sizes": ingest["sizes"],
        "appearance": ingest["appearance"],
        "profiles": ingest["profiles"],
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
    # For a cached push, or a backbone that an earlier run registered, the version is shown, but this run pushed none.
    return {key: push[key] for key in ("name", "version", "alias", "reasons")} | {"pushed": push["created"] and state == "COMPLETE"}


REPORT, OUTPUT = "Report", "page"


def write_page(record: dict, executions: Sequence["Execution"], layout: Layout) -> pathlib.Path:
    """Writes the page of a recorded run in one step, and returns its path.

    Args:
      record: run.json.
      executions: of its nodes, with the URIs of their outputs.
    """
    from components.report import artifacts, page  # import TensorFlow

    outputs = {execution.node: execution.outputs for execution in executions}
    champion = _champion(record, layout)
    if node_page := outputs.get(REPORT, {}).get(OUTPUT):
        text = page.with_run(pathlib.Path(node_page).read_text(encoding="utf-8"), record, champion)
    else:
        wanted = artifacts.INPUTS.items()
        uris = {name: outputs[node][output] for name, (node, output) in wanted if output in outputs.get(node, {})}
        preset = pipeline_config.to_dict(pipeline_config.PRESETS[record["preset"]]) if record["preset"] else None
        code = ", ".join(f"{name} {version}" for name, version in (record["code"] or {}).items())
        text = page.render(artifacts.read(uris, record["configuration"], preset, code), record, champion)
    path = layout.run(record["run_id"]) / RUN_PAGE
    files.write_text(path, text)
    return path


def _champion(record: dict, layout: Layout) -> dict | None:
    """The version that the gate compared with, and the section `data` of the run that it came from; None without a champion."""
    number = record["gate"] and record["gate"]["baseline_version"]
    if not number or not record["registry"]:
        return None
    try:
        shared = record["configuration"]["registry"].get("place", "")  # records of earlier releases have none
        place = registry_place(shared, layout)
        run_id = get_version(open_registry(place, record["registry"]["name"]), number).tags["run_id"]
        before = files.read_json(layout.run(run_id) / "run.json")
    except (RegistryError, FileNotFoundError):
        return {"version": number, "data": None}  # pruned since, or registered from another DIR: the page says so
    return {"version": number, "data": before["data"]}
