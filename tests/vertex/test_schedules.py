"""Schedules on Vertex AI, by the real client over gRPC: one a name, whatever goes wrong on the way."""

import pytest
from google.cloud.aiplatform_v1.types import (
    Artifact,
    CreatePipelineJobRequest,
    PipelineJob,
    PipelineState,
    PipelineTaskDetail,
    Schedule,
)
from google_server import server as faults

from cli.main import main
from pipeline import vertex
from pipeline_config import ConfigurationError
from vertex import GoogleCloudError, jobs, schedules
from vertex.client import Connection

HERE = Connection("a-project", "europe-west4", call_seconds=0.5, retry_seconds=10)
IMPATIENT = Connection("a-project", "europe-west4", call_seconds=0.2, retry_seconds=0.3)
WEEKLY, DAILY = "TZ=Europe/Berlin 0 3 * * 1", "TZ=Europe/Berlin 0 3 * * *"
PLACE = ["--project", "a-project", "--region", "europe-west4"]
TARGET = [*PLACE, "--bucket", "gs://bucket/f", "--image", "host/flowers:1", "--data", "gs://photographs/flowers"]
LOST = [faults.unavailable(done=True), faults.deadline_exceeded(done=True), faults.silent(done=True)]


def job(**labels):
    return {"displayName": "flowers", "labels": labels, "pipelineSpec": {"root": {}},
            "runtimeConfig": {"gcsOutputDirectory": "gs://bucket/pipeline_root"}}  # fmt: skip


def only(google):
    (schedule,) = google.schedules.schedules.values()
    return schedule


def own_labels(google):
    """Those that say what a job is to a person; the others are test_jobs' subject."""
    labels = dict(only(google).create_pipeline_job_request.pipeline_job.labels)
    return {name: labels[name] for name in labels if name not in (jobs.DIGEST, jobs.TRAINING)}


def test_a_schedule_lets_one_run_at_a_time(google):
    schedule, created = schedules.create(HERE, "weekly", WEEKLY, job())
    assert created and schedule.name == only(google).name
    assert only(google).cron == WEEKLY and only(google).display_name == "flowers-weekly"
    # The first alone would limit only how many runs are being started at a time.
    assert only(google).max_concurrent_run_count == only(google).max_concurrent_active_run_count == 1
    assert not only(google).allow_queueing
    request = only(google).create_pipeline_job_request
    assert request.parent == HERE.parent and request.pipeline_job.pipeline_spec["root"] == {}


def test_creating_it_again_changes_it(google):
    schedules.create(HERE, "weekly", WEEKLY, job(preset="gpu"))
    before = only(google).name
    _, created = schedules.create(HERE, "weekly", DAILY, job(preset="cpu"))
    assert not created and only(google).name == before and only(google).cron == DAILY
    assert own_labels(google) == {"preset": "cpu", "schedule": "weekly"}


def test_a_paused_schedule_that_is_changed_stays_paused(google):
    schedules.create(HERE, "weekly", WEEKLY, job())
    schedules.pause(HERE, "weekly")
    schedule, _ = schedules.create(HERE, "weekly", DAILY, job())
    assert schedule.state == Schedule.State.PAUSED and only(google).cron == DAILY


@pytest.mark.parametrize("fault", LOST)
def test_a_create_whose_answer_was_lost_makes_no_second_one(google, fault):
    google.fault("CreateSchedule", fault)
    _, created = schedules.create(HERE, "weekly", WEEKLY, job())
    assert created and only(google).cron == WEEKLY


def test_a_create_that_was_never_answered_is_continued_by_the_next_command(google):
    google.fault("CreateSchedule", faults.silent(done=True))
    with pytest.raises(GoogleCloudError, match="no answer in time"):
        schedules.create(
            Connection("a-project", "europe-west4", call_seconds=0.2, retry_seconds=0.01), "weekly", WEEKLY, job())  # fmt: skip
    _, created = schedules.create(HERE, "weekly", DAILY, job())
    assert not created and only(google).cron == DAILY


def test_names_do_not_meet(google):
    for name in ("weekly", "weekly-2", "week"):
        schedules.create(HERE, name, WEEKLY, job())
    schedules.delete(HERE, "weekly")
    assert [schedules.short_name(one) for one in schedules.listed(HERE)] == ["week", "weekly-2"]


def test_other_pipelines_schedules_are_not_ours(google):
    schedules.create(HERE, "weekly", WEEKLY, job())
    only(google).display_name = "billing"
    assert schedules.listed(HERE) == []
    with pytest.raises(ConfigurationError, match="there is no schedule 'billing' in project a-project, europe-west4"):
        schedules.delete(HERE, "billing")


@pytest.mark.parametrize("fault", [*LOST, faults.unavailable(), faults.silent()])
@pytest.mark.parametrize(("action", "rpc"), [
    ("pause", "PauseSchedule"), ("resume", "ResumeSchedule"), ("delete", "DeleteSchedule"),
])  # fmt: skip
def test_what_was_asked_for_is_so_whatever_goes_wrong_on_the_way(google, action, rpc, fault):
    schedules.create(HERE, "weekly", WEEKLY, job())
    if action == "resume":
        schedules.pause(HERE, "weekly")
    google.fault(rpc, fault)
    getattr(schedules, action)(HERE, "weekly")
    states = [one.state for one in google.schedules.schedules.values()]
    assert states == {"pause": [Schedule.State.PAUSED], "resume": [Schedule.State.ACTIVE], "delete": []}[action]


def test_pausing_and_resuming_twice_is_no_mistake(google):
    schedules.create(HERE, "weekly", WEEKLY, job())
    for action in (schedules.pause, schedules.pause, schedules.resume, schedules.resume):
        action(HERE, "weekly")
    assert only(google).state == Schedule.State.ACTIVE
    assert [google.methods().count(rpc) for rpc in ("PauseSchedule", "ResumeSchedule")] == [1, 1]
    (resumed,) = [call.request for call in google.calls if call.method == "ResumeSchedule"]
    assert not resumed.catch_up


def test_two_of_one_name_are_not_guessed_between_and_can_be_deleted(google):
    schedules.create(HERE, "weekly", WEEKLY, job())
    schedules.create(HERE, "other", WEEKLY, job())
    for schedule in google.schedules.schedules.values():
        schedule.display_name = "flowers-weekly"
    with pytest.raises(ConfigurationError, match="there is active, active: delete 'weekly', then create it"):
        schedules.create(HERE, "weekly", DAILY, job())
    schedules.delete(HERE, "weekly")
    assert not google.schedules.schedules


@pytest.mark.parametrize(("rpc", "permission", "action"), [
    ("CreateSchedule", "aiplatform.schedules.create", lambda: schedules.create(HERE, "weekly", WEEKLY, job())),
    ("ListSchedules", "aiplatform.schedules.list", lambda: schedules.listed(HERE)),
])  # fmt: skip
def test_a_missing_permission_is_named(google, rpc, permission, action):
    google.fault(rpc, faults.permission_denied(permission))
    with pytest.raises(GoogleCloudError, match=f"permission {permission} is missing"):
        action()


@pytest.mark.parametrize("action", [schedules.pause, schedules.resume, schedules.delete])
def test_nothing_hangs(google, action):
    google.fault("ListSchedules", faults.silent(), times=1000)
    with pytest.raises(GoogleCloudError, match="no answer in time"):
        action(IMPATIENT, "weekly")


@pytest.fixture
def compiled(monkeypatch):
    """Compiling is test_vertex's subject, and takes its time."""
    monkeypatch.setattr(vertex, "pipeline_job", lambda config, target, **start: {
        "displayName": "flowers", "labels": {"preset": config.preset}, "pipelineSpec": {"root": {"start": start}},
        "runtimeConfig": {"gcsOutputDirectory": f"{target.bucket}/pipeline_root"}})  # fmt: skip


def test_the_verbs_from_creation_to_deletion(google, capsys, compiled):
    def flowers(*arguments):
        assert main(["schedule", *arguments]) == 0
        return " ".join(capsys.readouterr().out.split())

    created = flowers("create", "--cron", WEEKLY, "weekly", *TARGET)
    assert created.startswith(f"Created schedule weekly: {WEEKLY}, active") and "gs://bucket/f/outcomes/" in created
    assert own_labels(google) == {"preset": "gpu", "schedule": "weekly"}
    assert flowers("create", "--cron", DAILY, "weekly", *TARGET).startswith(f"Updated schedule weekly: {DAILY}")
    listed = flowers("list", *PLACE)
    assert "weekly" in listed and DAILY in listed and "active" in listed
    assert flowers("pause", "weekly", *PLACE) == "Paused schedule weekly" and "paused" in flowers("list", *PLACE)
    assert flowers("resume", "weekly", *PLACE) == "Resumed schedule weekly" and "active" in flowers("list", *PLACE)
    assert flowers("delete", "weekly", *PLACE) == "Deleted schedule weekly"
    assert flowers("list", *PLACE) == "No schedules yet; `flowers schedule create` makes one."


def test_a_schedule_s_runs_start_from_the_champion_as_it_was_told(google, compiled):
    start = ["--warm-start", "champion", "--from-scratch-every", "4"]
    assert main(["schedule", "create", "weekly", "--cron", WEEKLY, *TARGET, *start]) == 0
    root = only(google).create_pipeline_job_request.pipeline_job.pipeline_spec["root"]
    assert dict(root["start"]) == {"warm_start": "champion", "from_scratch_every": 4, "schedule": "weekly"}


def artifact(**metadata):
    return {"artifacts": [Artifact(metadata=metadata)]}


@pytest.mark.parametrize(("state", "outputs", "said"), [
    ("SUCCEEDED", {"a": artifact(blessed=1), "b": artifact(pushed_version="3", pushed_alias="champion")}, "version 3, champion"),
    ("SUCCEEDED", {"a": artifact(blessed=1), "b": artifact(pushed_version="3", pushed_alias="")}, "version 3"),
    ("SUCCEEDED", {"a": artifact(blessed=0), "b": artifact(pushed_version="")}, "not blessed"),
    ("RUNNING", {}, ""),
])  # fmt: skip
def test_the_list_says_how_the_last_run_ended_and_what_it_found(google, capsys, state, outputs, said):
    schedules.create(HERE, "weekly", WEEKLY, job())
    request = CreatePipelineJobRequest(only(google).create_pipeline_job_request, pipeline_job_id="flowers-1")
    last = google.pipelines.CreatePipelineJob(request)
    last.state = PipelineState[f"PIPELINE_STATE_{state}"]
    last.job_detail = {"task_details": [PipelineTaskDetail(task_name="Pusher", outputs=outputs)]}
    assert jobs.found(last) == said
    assert main(["schedule", "list", *PLACE]) == 0
    listed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert state.lower() in listed and "weekly" in listed


def test_a_failed_run_says_where_and_why(google):
    task = PipelineTaskDetail(task_id=1, task_name="Pretrain", state=PipelineTaskDetail.State.FAILED, error={"message": "no GPU left"})
    failed = PipelineJob(state=PipelineState.PIPELINE_STATE_FAILED, job_detail={"task_details": [task]})
    assert jobs.found(failed) == "Pretrain: no GPU left"


@pytest.mark.parametrize(("arguments", "message"), [
    (["create", "w", "--cron", "0 3 * * 8", *TARGET], "the day of the week in --cron"),
    (["create", "Weekly", "--cron", WEEKLY, *TARGET], "the name of a schedule must be lower-case letters"),
    (["create", "w", "--cron", WEEKLY, *TARGET, "--warm-start", "champion!"], "--warm-start must be a version's number or alias"),
    (["create", "w", "--cron", WEEKLY, *TARGET, "--from-scratch-every", "3"], "--from-scratch-every counts only for a schedule with"),
    (["create", "w", "--cron", WEEKLY, *PLACE], "--bucket must be given, unless the schedule is --local"),
    (["create", "w", "--cron", WEEKLY, *TARGET, "--data", "/home/me"], "data.source must be gs://BUCKET/FOLDER"),
    (["list", "--project", "a-project"], "--region must be given, unless the schedule is --local"),
    (["list", "--project", "a-project", "--region", "Berlin"], "--region must be a region such as europe-west4"),
    (["pause", "w", "--local", "--project", "a-project"], "--project must be left out with --local"),
])  # fmt: skip
def test_nothing_is_sent_where_the_arguments_cannot_work(google, capsys, arguments, message):
    assert main(["schedule", *arguments]) == 2
    assert message in capsys.readouterr().err and not google.calls
