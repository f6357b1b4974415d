"""How a run ended is a file in the bucket, written by the command that the container runs; so is SourceInspector's value."""

import json

import pytest
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

import pipeline_config
from components import run_outcome
from components.example_gen.source import inspect
from pipeline_config import Data

JOB = "projects/12/locations/europe-west4/pipelineJobs/flowers-1"


def run(executor, given):
    types = {"parameters": {name: {"parameterType": "STRING"} for name in given["inputs"]["parameterValues"]}}
    kubeflow_v2_run_executor.main(kubeflow_v2_run_executor._parse_flags(
        ["run", "--executor_class_path", executor, "--json_serialized_invocation_args", json.dumps(given),
         "--json_serialized_inputs_spec_args", json.dumps(types)]))  # fmt: skip


@pytest.mark.parametrize(("status", "state", "error"), [
    ({"state": "SUCCEEDED"}, "SUCCEEDED", None),
    ({"state": "FAILED", "error": {"code": 9, "message": "The failed tasks are: [Pretrain]."}, "somethingNew": 1}, "FAILED",
     {"code": 9, "message": "The failed tasks are: [Pretrain]."}),
    ({"state": "CANCELLED"}, "CANCELLED", None),
])  # fmt: skip
def test_the_outcome_is_written_as_vertex_ai_tells_it(tmp_path, status, state, error):
    status = json.dumps(status | {"pipelineJobResourceName": JOB, "pipelineJobName": "flowers-1", "pipelineTaskName": "tfx-dag"})
    outcomes = tmp_path / "outcomes"
    run("components.run_outcome.RunOutcome_Executor", {
        "inputs": {"parameterValues": {"final_status": status, "outcomes_dir": str(outcomes)}},
        "outputs": {"outputFile": str(tmp_path / "task/executor_output.json")}})  # fmt: skip
    found = json.loads((outcomes / "flowers-1.json").read_text())
    assert found.pop("ended_at").endswith("+00:00")
    assert found == {"schema_version": run_outcome.SCHEMA_VERSION, "job": JOB, "state": state, "error": error}


def test_the_source_s_fingerprint_is_a_value_that_the_next_task_can_take(tmp_path):
    data = Data(synthetic_images=20)
    (tmp_path / "task").mkdir()  # as a bucket needs nobody to
    run("components.source_inspector.SourceInspector_Executor", {
        "inputs": {"parameterValues": {"data": json.dumps(pipeline_config.ingest(data)), "datasets_dir": str(tmp_path), "code_version": "1"}},
        "outputs": {
            "outputFile": str(tmp_path / "task/executor_output.json"),
            "parameters": {"fingerprint": {"outputFile": str(tmp_path / "task/fingerprint")}},
            "artifacts": {"fingerprint": {"artifacts": [{
                "name": "projects/12/locations/here/metadataStores/default/artifacts/1",
                "uri": str(tmp_path / "task/fingerprint"),
                "type": {"instanceSchema": "title: tfx.String\ntype: object\n"}}]}}}})  # fmt: skip
    written = json.loads((tmp_path / "task/executor_output.json").read_text())
    assert written["parameterValues"] == {"fingerprint": inspect(data, "").fingerprint}
