"""Jobs are started once and followed to their end, by the real client over gRPC; the server goes wrong where a test says so."""

import datetime

import grpc
import pytest
from google.cloud.aiplatform_v1.types import CreatePipelineJobRequest, PipelineJob, PipelineState, PipelineTaskDetail
from google_server import server as faults

from cli import submit
from cli.arguments import ExitStatus
from cli.main import main
from pipeline import vertex
from pipeline_config import ConfigurationError
from vertex import GoogleCloudError, jobs, schedules
from vertex.client import Connection

HERE = Connection("a-project", "europe-west4", call_seconds=5, retry_seconds=5)
JOB = {"displayName": "flowers", "labels": {"pipeline": "flowers"}, "pipelineSpec": {"root": {}},
       "runtimeConfig": {"gcsOutputDirectory": "gs://bucket/pipeline_root"}}  # fmt: skip
TARGET = ["--project", "a-project", "--region", "europe-west4", "--bucket", "gs://bucket/f", "--image", "host/flowers:1",
          "--data", "gs://photographs/f"]  # fmt: skip
State, Task = PipelineState, PipelineTaskDetail


def ids(google):
    return [name.rpartition("/")[2] for name in google.pipelines.jobs]


def end(google, state=State.PIPELINE_STATE_SUCCEEDED):
    for job in google.pipelines.jobs.values():
        job.state = state


def test_a_job_arrives_as_it_was_compiled(google):
    submitted = jobs.submit(HERE, JOB)
    (job,) = google.pipelines.jobs.values()
    assert submitted.created and submitted.job.name == job.name
    assert job.display_name == "flowers" and job.labels["pipeline"] == "flowers"
    assert job.runtime_config.gcs_output_directory == "gs://bucket/pipeline_root"


def test_a_second_command_finds_the_job_that_runs(google):
    first, second = jobs.submit(HERE, JOB), jobs.submit(HERE, JOB)
    assert (first.created, second.created) == (True, False) and second.job.name == first.job.name
    assert len(google.pipelines.jobs) == 1


def test_another_pipeline_is_another_job(google):
    jobs.submit(HERE, JOB)
    assert jobs.submit(HERE, JOB | {"displayName": "other"}).created
    assert len(google.pipelines.jobs) == 2


def test_a_job_that_has_ended_can_be_run_again(google):
    for number in (1, 2, 3):
        assert jobs.submit(HERE, JOB).job_id.endswith(f"-{number}")
        end(google)
    assert len(google.pipelines.jobs) == 3


def compiled(gate, epochs="100"):
    """A job as it is compiled, as far as it says what is trained and judged."""

    def task(**values):
        return {"inputs": {"parameters": {name: {"runtimeValue": {"constant": value}} for name, value in values.items()}}}

    tasks = {"ExampleGen": task(data="gs://photographs"), "Pretrain": task(custom_config=epochs), "Evaluator": task(gate=gate)}
    return JOB | {"pipelineSpec": {"root": {}, "components": {"dag": {"dag": {"tasks": tasks}}}}}


def start_as_a_schedule_does(google, job, job_id="flowers-20260302"):
    """Google's servers create a job from what the schedule has, under an id of their own."""
    schedule, _ = schedules.create(HERE, "weekly", "0 3 * * 1", job)
    request = CreatePipelineJobRequest(schedule.create_pipeline_job_request, pipeline_job_id=job_id)
    return google.pipelines.CreatePipelineJob(request)


def test_a_command_finds_the_job_that_a_schedule_started(google):
    running = start_as_a_schedule_does(google, compiled("0.5"))
    submitted = jobs.submit(HERE, compiled("0.5"))
    assert not submitted.created and submitted.job.name == running.name and len(google.pipelines.jobs) == 1
    end(google)
    assert jobs.submit(HERE, compiled("0.5")).created


def test_two_jobs_never_write_the_same_checkpoints(google):
    start_as_a_schedule_does(google, compiled("0.5"))
    with pytest.raises(ConfigurationError, match="flowers-20260302 is running and pre-trains with the same photographs"):
        jobs.submit(HERE, compiled("0.6"))
    assert jobs.submit(HERE, compiled("0.6", epochs="200")).created  # which keeps its checkpoints elsewhere


def test_the_last_job_of_a_schedule_is_the_newest_with_its_label(google):
    assert jobs.of_schedule(HERE, "weekly") is None
    start_as_a_schedule_does(google, compiled("0.5"))
    end(google, State.PIPELINE_STATE_FAILED)
    start_as_a_schedule_does(google, compiled("0.5"), "flowers-20260309")
    jobs.submit(HERE, compiled("0.7", epochs="3"))
    last = jobs.of_schedule(HERE, "weekly")
    assert last.name.endswith("/flowers-20260309") and last.state == State.PIPELINE_STATE_PENDING


@pytest.mark.parametrize("fault", [faults.unavailable(done=True), faults.deadline_exceeded(done=True), faults.silent(done=True)])
def test_a_create_that_did_its_work_and_whose_answer_was_lost_is_recognised(google, fault):
    google.fault("CreatePipelineJob", fault)
    submitted = jobs.submit(Connection("a-project", "europe-west4", call_seconds=0.5, retry_seconds=10), JOB)
    assert submitted.created and ids(google) == [submitted.job_id]


def test_it_is_recognised_even_where_the_job_has_ended_already(google):
    google.fault("CreatePipelineJob", faults.unavailable(done=True))
    google.pipelines.course = [PipelineJob(state=State.PIPELINE_STATE_FAILED)]
    submitted = jobs.submit(HERE, JOB)
    assert submitted.created and submitted.job.state == State.PIPELINE_STATE_FAILED and len(google.pipelines.jobs) == 1


def test_a_command_that_was_killed_after_its_job_was_created_is_continued_by_the_next(google):
    google.fault("CreatePipelineJob", faults.unavailable(done=True), times=1)
    with pytest.raises(GoogleCloudError):
        jobs.submit(Connection("a-project", "europe-west4", call_seconds=5, retry_seconds=0.0001), JOB)
    again = jobs.submit(HERE, JOB)
    assert not again.created and ids(google) == [again.job_id]


def test_two_commands_at_once_start_one_job(google, monkeypatch):
    # The other's job is created after this one has looked which there are.
    monkeypatch.setattr(jobs, "_newest", lambda *arguments: 0)
    other, this = jobs.submit(HERE, JOB), jobs.submit(HERE, JOB)
    assert this.job.name == other.job.name and not this.created and len(google.pipelines.jobs) == 1


def test_what_is_unavailable_is_tried_again_and_given_up_in_the_end(google):
    google.fault("CreatePipelineJob", faults.unavailable(), times=2)
    assert jobs.submit(HERE, JOB).created
    assert google.methods().count("CreatePipelineJob") == 3
    google.fault("CreatePipelineJob", faults.unavailable(), times=100_000)
    end(google)
    with pytest.raises(GoogleCloudError, match="not available"):
        jobs.submit(Connection("a-project", "europe-west4", call_seconds=5, retry_seconds=0.3), JOB)


def test_a_missing_permission_is_named_and_not_tried_again(google):
    google.fault("CreatePipelineJob", faults.permission_denied("aiplatform.pipelineJobs.create"))
    with pytest.raises(GoogleCloudError, match="permission aiplatform.pipelineJobs.create is missing"):
        jobs.submit(HERE, JOB)
    assert google.methods().count("CreatePipelineJob") == 1 and not google.pipelines.jobs


def task(number, name, state, parent=0, **more):
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return Task(task_id=number, task_name=name, state=state, parent_task_id=parent, start_time=start,
                end_time=start + datetime.timedelta(seconds=number), **more)  # fmt: skip


def looks(state, *tasks):
    return PipelineJob(state=state, job_detail={"task_details": tasks})


def test_a_job_is_followed_through_faults_to_its_end(google):
    submitted = jobs.submit(HERE, JOB)
    google.pipelines.course = [
        looks(State.PIPELINE_STATE_RUNNING, task(1, "ExampleGen", Task.State.SKIPPED)),
        looks(State.PIPELINE_STATE_RUNNING, task(2, "Pretrain", Task.State.SUCCEEDED)),
        looks(State.PIPELINE_STATE_SUCCEEDED, task(3, "Pusher", Task.State.SUCCEEDED)),
    ]
    google.fault("GetPipelineJob", faults.unavailable(), times=2)
    ended = []
    job = jobs.follow(HERE, submitted.job.name, 0.01, 1, ended.append)
    assert job.state == State.PIPELINE_STATE_SUCCEEDED
    assert [one.task_name for one in ended] == ["ExampleGen", "Pretrain", "Pusher"]  # each once


def test_following_a_job_ends(google):
    submitted = jobs.submit(HERE, JOB)
    with pytest.raises(GoogleCloudError, match="has not ended within 0 h; it continues"):
        jobs.follow(HERE, submitted.job.name, 0.01, 0, lambda task: None)


@pytest.mark.parametrize(("state", "failed", "status", "said"), [
    (State.PIPELINE_STATE_SUCCEEDED, [], ExitStatus.FINISHED, "Finished."),
    (State.PIPELINE_STATE_FAILED, ["Pretrain"], ExitStatus.NODE_FAILED, "Pretrain: no GPU left"),
    (State.PIPELINE_STATE_FAILED, ["DataGate"], ExitStatus.DATA_REFUSED, "DataGate: no GPU left"),
    (State.PIPELINE_STATE_CANCELLED, [], ExitStatus.NODE_FAILED, "Run cancelled"),
])  # fmt: skip
def test_how_it_ended_is_said_and_is_the_exit_status(capsys, state, failed, status, said):
    tasks = [task(7, "tfx-dag", Task.State.FAILED)] * bool(failed)
    tasks += [task(9, name, Task.State.FAILED, parent=7, error={"code": 9, "message": "no GPU left"}) for name in failed]
    assert submit._verdict(looks(state, *tasks)) == status
    said_all = capsys.readouterr().out
    assert said in said_all and "tfx-dag:" not in said_all


def test_submit_compiles_starts_and_waits(google, capsys, monkeypatch):
    # Compiling is test_vertex's subject, and takes its time.
    monkeypatch.setattr(vertex, "pipeline_job", lambda config, target, **start: JOB)
    google.pipelines.course = [
        looks(State.PIPELINE_STATE_RUNNING, task(1, "ExampleGen", Task.State.SKIPPED)),
        looks(State.PIPELINE_STATE_SUCCEEDED, task(61, "Pretrain", Task.State.SUCCEEDED)),
    ]
    arguments = ["submit", *TARGET]
    assert main([*arguments, "--wait", "--set", "vertex.poll_seconds=0.01"]) == 0
    out = capsys.readouterr().out
    (job_id,) = ids(google)
    assert f"Submitted projects/123456789012/locations/europe-west4/pipelineJobs/{job_id}" in out
    assert ("https://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines/runs/"
            f"{job_id}?project=a-project") in out  # fmt: skip
    assert f"gs://bucket/f/outcomes/{job_id}.json" in out
    assert "ExampleGen        cached\nPretrain          61.0 s\nFinished." in out
    google.pipelines.course = []
    google.pipelines.jobs[next(iter(google.pipelines.jobs))].state = State.PIPELINE_STATE_RUNNING
    assert main(arguments) == 0 and "Already running, so not started again" in capsys.readouterr().out


@pytest.mark.parametrize(("fault", "status"), [
    (faults.permission_denied("aiplatform.pipelineJobs.create"), 2),
    (faults.Fault(grpc.StatusCode.UNAUTHENTICATED, "no"), 2),
    (faults.unavailable(), 1),
])  # fmt: skip
def test_what_google_refuses_is_the_user_s_to_change_and_what_may_pass_is_not(google, capsys, monkeypatch, fault, status):
    monkeypatch.setattr(vertex, "pipeline_job", lambda config, target, **start: JOB)
    google.fault("CreatePipelineJob", fault, times=100_000)
    assert main(["submit", *TARGET, "--set", "vertex.retry_seconds=0.1"]) == status
    assert capsys.readouterr().err.startswith("flowers: create_pipeline_job in project a-project")


@pytest.mark.parametrize("given", [["--warm-start", ""], ["--warm-start", "champion", "--from-scratch-every", "4"],
                                   ["--data", "/home/me/flowers"], ["--set", "vertex.pretrain.accelerators=3"],
                                   ["--project", "A Project"]])  # fmt: skip
def test_nothing_is_sent_where_the_configuration_cannot_work(google, given):
    assert main(["submit", *TARGET, *given]) == 2
    assert not google.calls
