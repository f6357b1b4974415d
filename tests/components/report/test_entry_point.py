"""The Report task as Vertex AI's container runs it: TFX's entry point, an ExecutorInput, and an artifact of the type system.HTML."""

import json
import os
import pathlib

import run_artifacts
from tiny import PROJECT

from contracts.model_files import RUN_PAGE

TYPES = {"examples": "tfx.Examples", "ingest_report": "components.IngestReport", "anomalies": "tfx.ExampleAnomalies",
         "pretrain_run": "tfx.ModelRun", "linear_eval_run": "tfx.ModelRun", "probe": "tfx.Model",
         "evaluation": "tfx.ModelEvaluation", "pushed_model": "tfx.PushedModel"}  # fmt: skip

PARAMETERS = {name: {"parameterType": "STRING"} for name in ("configuration", "preset", "code", "code_version")}


def test_the_container_s_command_writes_the_page_and_says_where(uris, forked, tmp_path):
    def artifact(number, uri, kind):
        return {"artifacts": [{"name": f"projects/1/artifacts/{number}", "uri": uri, "type": kind}]}

    given = {
        "inputs": {
            "artifacts": {
                name: artifact(number, uris[name], {"instanceSchema": f"title: {title}\ntype: object\n"})
                for number, (name, title) in enumerate(TYPES.items())
            },
            "parameterValues": {
                "configuration": json.dumps(run_artifacts.configuration()),
                "preset": json.dumps(run_artifacts.configuration()),
                "code": "c",
                "code_version": "{}",
            },
        },
        "outputs": {
            "artifacts": {"page": artifact(99, str(tmp_path / "page"), {"schemaTitle": "system.HTML", "schemaVersion": "0.0.1"})},
            "outputFile": str(tmp_path / "executor_output.json"),
        },
    }
    command = ["-m", "components.report.entry_point",
               "--executor_class_path", "components.report.component.RunReport_Executor",
               "--json_serialized_invocation_args", json.dumps(given),
               "--json_serialized_inputs_spec_args", json.dumps({"parameters": PARAMETERS})]  # fmt: skip
    ended = forked.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    (page,) = json.loads((tmp_path / "executor_output.json").read_text())["artifacts"]["page"]["artifacts"]
    assert page["uri"] == str(tmp_path / "page" / RUN_PAGE)
    assert "Registered as version 4, the champion</h1>" in pathlib.Path(page["uri"]).read_text()
