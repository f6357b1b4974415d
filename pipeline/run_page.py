"""report.html, beside run.json: the Report node's page with what only the runner knows.

Called by the verbs `run`, `rehearse` and `report`.

A run that ended before its Report node gets a page as well, drawn by the same code from what its nodes left.
"""

import json
import os
import pathlib
from collections.abc import Sequence

from components.registry.opening import open_registry
from components.registry.reading import get_version
from components.registry.version import RegistryError
from components.run_report import artifacts, page
from contracts.model_files import RUN_PAGE
from pipeline.layout import Layout
from pipeline.metadata import Execution

REPORT, OUTPUT = "Report", "page"


def write(record: dict, executions: Sequence[Execution], layout: Layout) -> pathlib.Path:
    """Writes the page of a recorded run in one step, and returns its path.

    Args:
      record: run.json.
      executions: of its nodes, with the URIs of what they left.
    """
    outputs = {execution.node: execution.outputs for execution in executions}
    champion = _champion(record, layout)
    if node_page := outputs.get(REPORT, {}).get(OUTPUT):
        text = page.with_run(pathlib.Path(node_page).read_text(encoding="utf-8"), record, champion)
    else:
        wanted = artifacts.INPUTS.items()
        uris = {name: outputs[node][output] for name, (node, output) in wanted if output in outputs.get(node, {})}
        code = record["code"]
        code_version = f"components {code['components']}, trainer {code['trainer']}" if code else ""
        text = page.render(artifacts.read(uris, record["configuration"], code_version), record, champion)
    path = layout.run(record["run_id"]) / RUN_PAGE
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
    return path


def _champion(record: dict, layout: Layout) -> dict | None:
    """The version that the gate compared with, and the section `data` of the run that it came from; None without a champion."""
    number = record["gate"] and record["gate"]["baseline_version"]
    if not number or not record["registry"]:
        return None
    try:
        run_id = get_version(open_registry(str(layout.registry), record["registry"]["name"]), number).tags["run_id"]
        before = json.loads((layout.run(run_id) / "run.json").read_text(encoding="utf-8"))
    except (RegistryError, FileNotFoundError):
        return {"version": number, "data": None}  # pruned since, or registered from another DIR: the page says so
    return {"version": number, "data": before["data"]}
