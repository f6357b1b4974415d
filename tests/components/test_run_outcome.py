"""How a run ended is a file in the bucket, written by the command that the container runs; so is SourceInspector's value."""

import json

import container
import pytest

import pipeline_config
from components import run_outcome
from components.example_gen.source import inspect
from pipeline_config import Data

JOB = "projects/12/locations/europe-west4/pipelineJobs/flowers-1"


@pytest.mark.parametrize(("status", "state", "error"), [
    ({"state": "SUCCEEDED"}, "SUCCEEDED", None),
    ({"state": "FAILED", "error": {"code": 9, "message": "The failed tasks are: [Pretrain]."}, "somethingNew": 1}, "FAILED",
     {"code": 9, "message": "The failed tasks are: [Pretrain]."}),
    ({"state": "CANCELLED"}, "CANCELLED", None),
])  # fmt: skip
def test_the_outcome_is_written_as_vertex_ai_tells_it(tmp_path, status, state, error):
    status = json.dumps(status | {"pipelineJobResourceName": JOB, "pipelineJobName": "flowers-1", "pipelineTaskName": "tfx-dag"})
    outcomes = tmp_path / "outcomes"
    container.run("components.run_outcome.RunOutcome_Executor", tmp_path / "task", {"final_status": status, "outcomes_dir": str(outcomes)})
    found = json.loads((outcomes / "flowers-1.json").read_text())
    assert found.pop("ended_at").endswith("+00:00")
    assert found == {"schema_version": run_outcome.SCHEMA_VERSION, "job": JOB, "state": state, "error": error}


def test_the_source_s_fingerprint_is_a_value_that_the_next_task_can_take(tmp_path):
    data = Data(synthetic_images=20)
    parameters = {"data": json.dumps(pipeline_config.ingest(data)), "datasets_dir": str(tmp_path), "code_version": "1"}
    written = container.run(
        "components.source_inspector.SourceInspector_Executor", tmp_path / "task", parameters, {"fingerprint": "tfx.String"}
    )
    assert written["parameterValues"] == {"fingerprint": inspect(data, "").fingerprint}
