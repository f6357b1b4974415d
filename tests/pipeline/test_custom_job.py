"""The jobs that we compile, as TFX's own launcher starts them: by the rehearsal's stand-in, and by the real client over gRPC."""

import json
import sys

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.aiplatform import gapic
from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1.types import JobState
from google_server import server as faults
from tfx.extensions.google_cloud_ai_platform import runner, training_clients

from pipeline import vertex
from pipeline.rehearsal.custom_job import LocalJobService
from pipeline.settings import configuration

TARGET = vertex.Target("a-project", "europe-west4", "gs://a-bucket", "host/flowers:1")
PARENT = "projects/a-project/locations/europe-west4"


def job(script, **more):
    return {"display_name": "j", "job_spec": {"worker_pool_specs": [
        {"machine_spec": {"machine_type": "n2-standard-8"}, "container_spec": {"command": ["python", "-c", script]}}], **more}}  # fmt: skip


@pytest.mark.parametrize(("script", "more", "state"), [
    ("pass", {}, "JOB_STATE_SUCCEEDED"),
    ("raise SystemExit(3)", {}, "JOB_STATE_FAILED"),
    ("import time; time.sleep(60)", {"scheduling": {"timeout": {"seconds": 1}}}, "JOB_STATE_FAILED"),
])  # fmt: skip
def test_the_worker_s_command_is_run_and_how_it_ended_is_told(script, more, state):
    service = LocalJobService({"api_endpoint": "nowhere"})
    created = service.create_custom_job(PARENT, job(script, **more))
    assert created.name.startswith(f"{PARENT}/customJobs/")
    assert service.get_custom_job(created.name).state.name == state


def test_what_is_no_custom_job_of_the_api_is_refused():
    with pytest.raises(ValueError, match="spott"):
        LocalJobService({}).create_custom_job(PARENT, job("pass", scheduling={"spott": True}))


@pytest.fixture
def launch(monkeypatch):
    """launch(task, script) starts the compiled job of a trainer by TFX's launcher; the worker runs `script` instead."""
    spec = vertex.pipeline_job(configuration("gpu"), TARGET)["pipelineSpec"]
    monkeypatch.setattr(gapic, "JobServiceClient", LocalJobService)

    def start(task, script):
        monkeypatch.setattr(training_clients, "_CONTAINER_COMMAND", [sys.executable, "-c", script])
        tasks = spec["components"]["tfx-dag"]["dag"]["tasks"]
        given = tasks[task]["inputs"]["parameters"]["custom_config"]["runtimeValue"]["constant"]
        config = json.loads(given)
        runner.start_cloud_training(
            {}, {}, {"custom_config": given}, "an.Executor", config["ai_platform_training_args"], None, {},
            config["ai_platform_enable_vertex"], config["ai_platform_vertex_region"])  # fmt: skip

    return start


@pytest.mark.parametrize("task", ["Pretrain", "LinearEval"])
def test_tfx_launches_the_compiled_job_with_its_parameters(launch, task, tmp_path):
    launch(task, f"import sys; open({str(tmp_path / 'arguments')!r}, 'w').write(chr(10).join(sys.argv[1:]))")
    arguments = (tmp_path / "arguments").read_text().split("\n")
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert given["--executor_class_path"] == "an.Executor"
    assert json.loads(json.loads(given["--exec-properties"])["custom_config"])["code_version"]


def test_a_job_that_fails_fails_its_task(launch):
    with pytest.raises(RuntimeError, match="Job '.*customJobs/1' did not succeed"):
        launch("Pretrain", "raise SystemExit('no GPU')")


@pytest.fixture
def launched_at_google(launch, google, monkeypatch):
    """launch, with the real client of the job service, at the local server. TFX has no seam for where its client calls."""

    def client(client_options):
        assert client_options == {"api_endpoint": "europe-west4-aiplatform.googleapis.com"}
        transport = JobServiceClient.get_transport_class("grpc")
        return JobServiceClient(transport=transport(channel=grpc.insecure_channel(google.address)))

    monkeypatch.setattr(gapic, "JobServiceClient", client)
    monkeypatch.setattr(runner, "_POLLING_INTERVAL_IN_SECONDS", 0.01)
    return launch


@pytest.mark.parametrize("task", ["Pretrain", "LinearEval"])
def test_the_compiled_job_arrives_over_the_wire_and_is_waited_for(launched_at_google, google, task):
    google.jobs.course = [JobState.JOB_STATE_PENDING, JobState.JOB_STATE_RUNNING, JobState.JOB_STATE_SUCCEEDED]
    google.fault("GetCustomJob", faults.unavailable(), times=1)
    launched_at_google(task, "")
    assert google.methods() == ["CreateCustomJob"] + ["GetCustomJob"] * 4
    (job,) = google.jobs.jobs.values()
    (pool,) = job.job_spec.worker_pool_specs
    assert pool.container_spec.image_uri == "host/flowers:1" and pool.container_spec.command[0] == sys.executable
    assert pool.machine_spec.machine_type == {"Pretrain": "a2-highgpu-4g", "LinearEval": "n2-standard-8"}[task]
    assert job.labels["pipeline"] == "flowers" and job.job_spec.scheduling.restart_job_on_worker_restart


@pytest.mark.parametrize("state", [JobState.JOB_STATE_FAILED, JobState.JOB_STATE_CANCELLED])
def test_a_job_that_google_reports_as_failed_fails_its_task(launched_at_google, google, state):
    google.jobs.course = [JobState.JOB_STATE_RUNNING, state]
    with pytest.raises(RuntimeError, match="did not succeed"):
        launched_at_google("Pretrain", "")


def test_a_job_that_may_not_be_created_fails_its_task_and_is_not_tried_again(launched_at_google, google):
    google.fault("CreateCustomJob", faults.permission_denied("aiplatform.customJobs.create"), times=2)
    with pytest.raises(exceptions.PermissionDenied, match="aiplatform.customJobs.create"):
        launched_at_google("Pretrain", "")
    assert google.methods() == ["CreateCustomJob"]
