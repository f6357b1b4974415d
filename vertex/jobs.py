"""Pipeline jobs on Vertex AI: starts one exactly once, and follows it to its end."""

import dataclasses
import json
import secrets
import time
from collections.abc import Callable

import grpc
from google.cloud.aiplatform_v1 import PipelineServiceClient
from google.cloud.aiplatform_v1.types import (
    CreatePipelineJobRequest,
    GetPipelineJobRequest,
    ListPipelineJobsRequest,
    PipelineJob,
    PipelineState,
    PipelineTaskDetail,
)

from contracts.files import json_sha256
from pipeline_config import PIPELINE_NAME, ConfigurationError
from vertex import GoogleCloudError
from vertex.client import Connection

ENDED = (PipelineState.PIPELINE_STATE_SUCCEEDED, PipelineState.PIPELINE_STATE_FAILED, PipelineState.PIPELINE_STATE_CANCELLED)
TASK_STATES = PipelineTaskDetail.State
TASK_ENDED = (TASK_STATES.SUCCEEDED, TASK_STATES.SKIPPED, TASK_STATES.FAILED, TASK_STATES.CANCELLED, TASK_STATES.NOT_TRIGGERED)
# Labels of a job: which compiled job it is, which command started it, and what decides where its pre-training keeps checkpoints.
DIGEST, SUBMISSION, TRAINING = "digest", "submission", "training"
# The tasks whose parameters decide that: photographs, settings, code.
TRAINS = ("ExampleGen", "Pretrain")


@dataclasses.dataclass(frozen=True)
class Submitted:
    """A job on Vertex AI; `created` is false if it was running already."""

    job: PipelineJob
    created: bool

    @property
    def job_id(self) -> str:
        return self.job.name.rpartition("/")[2]


class AnotherTrains(ConfigurationError):
    """Another job pre-trains with the same photographs, settings and code, in the same bucket."""


def labelled(job: dict) -> PipelineJob:
    """`job`, which `pipeline.vertex.pipeline_job` returned, with the labels by which a command or a schedule's run is recognised."""
    message = PipelineJob.from_json(json.dumps(job))
    tasks = [task for component in job["pipelineSpec"].get("components", {}).values()
             for name, task in component.get("dag", {}).get("tasks", {}).items() if name in TRAINS]  # fmt: skip
    trained = [job["runtimeConfig"]["gcsOutputDirectory"], [task["inputs"]["parameters"] for task in tasks] or job]
    message.labels.update({DIGEST: json_sha256(job)[:16], TRAINING: json_sha256(trained)[:16]})
    return message


def submit(connection: Connection, job: dict) -> Submitted:
    """Starts `job`, which `pipeline.vertex.pipeline_job` returned, unless the same job is running, from a command or a schedule.

    The id is flowers-DIGEST-NUMBER: the digest of the job, and how often it has been started. So if a job was created but the
    answer was lost, the next attempt or command finds it, and no second job runs beside it.

    Raises:
      AnotherTrains: a job that differs only in what follows pre-training is running: both would write the same checkpoints.
      GoogleCloudError: it was not started, or (if the error may pass) may have been started.
    """
    submission = secrets.token_hex(8)
    started = labelled(job)
    started.labels[SUBMISSION] = submission
    digest = started.labels[DIGEST]
    client = connection.client(PipelineServiceClient)

    def attempt() -> Submitted:
        for other in _running(connection, client, started.labels[TRAINING]):
            if other.labels.get(DIGEST) == digest:
                found = connection.once(client.get_pipeline_job, GetPipelineJobRequest(name=other.name))
                return Submitted(found, created=other.labels.get(SUBMISSION) == submission)
            raise AnotherTrains(
                f"{other.name} is running and pre-trains with the same photographs and settings: two would write the same "
                f"checkpoints; wait for its end, or cancel it at {console_url(connection, other.name.rpartition('/')[2])}"
            )
        number = max(1, _newest(connection, client, digest))
        while True:
            job_id = f"{PIPELINE_NAME}-{digest}-{number}"
            request = CreatePipelineJobRequest(parent=connection.parent, pipeline_job=started, pipeline_job_id=job_id)
            try:
                return Submitted(connection.once(client.create_pipeline_job, request), created=True)
            except GoogleCloudError as error:
                if error.code is not grpc.StatusCode.ALREADY_EXISTS:
                    raise
            name = f"{connection.parent}/pipelineJobs/{job_id}"
            found = connection.once(client.get_pipeline_job, GetPipelineJobRequest(name=name))
            ours = found.labels.get(SUBMISSION) == submission
            if ours or found.state not in ENDED:
                return Submitted(found, created=ours)
            number += 1

    return connection.repeated(attempt)


def follow(
    connection: Connection, name: str, poll_seconds: float, wait_hours: float, ends: Callable[[PipelineTaskDetail], None]
) -> PipelineJob:
    """Waits for the job `name` to end and returns it.

    Args:
      poll_seconds: between two polls.
      wait_hours: after which waiting ends.
      ends: called once with each task that has ended.

    Raises:
      GoogleCloudError: it cannot be read, or has not ended in time; it continues either way.
    """
    client, reported = connection.client(PipelineServiceClient), set()
    give_up = time.monotonic() + wait_hours * 3600
    while True:
        job = connection.call(client.get_pipeline_job, GetPipelineJobRequest(name=name))
        for task in job.job_detail.task_details:
            if task.state in TASK_ENDED and task.task_id not in reported:
                reported.add(task.task_id)
                ends(task)
        if job.state in ENDED:
            return job
        if time.monotonic() > give_up:
            raise GoogleCloudError(f"{name} has not ended within {wait_hours:g} h; it continues", may_pass=True)
        time.sleep(poll_seconds)


def succeeded(job: PipelineJob) -> bool:
    """Whether the job ended successfully."""
    return job.state == PipelineState.PIPELINE_STATE_SUCCEEDED


def failed_tasks(job: PipelineJob) -> list[PipelineTaskDetail]:
    """Tasks that failed themselves, without those that only contain a failed one."""
    failed = [task for task in job.job_detail.task_details if task.state == TASK_STATES.FAILED]
    parents = {task.parent_task_id for task in failed}
    return [task for task in failed if task.task_id not in parents]


def console_url(connection: Connection, job_id: str) -> str:
    """The address of the job's page, as google-cloud-aiplatform prints it."""
    where = f"locations/{connection.region}/pipelines/runs/{job_id}"
    return f"https://console.cloud.google.com/vertex-ai/{where}?project={connection.project}"


def of_schedule(connection: Connection, schedule: str) -> PipelineJob | None:
    """The newest job that the schedule of that name started, with its tasks; None if there is none.

    Raises:
      GoogleCloudError: it cannot be read.
    """
    client = connection.client(PipelineServiceClient)
    # The newest first, as Google's servers list them.
    newest = next(iter(connection.repeated(lambda: _labelled(connection, client, "schedule", schedule))), None)
    return newest and connection.call(client.get_pipeline_job, GetPipelineJobRequest(name=newest.name))


def found(job: PipelineJob) -> str:
    """What a job found, from the artifacts of its tasks: the version that it registered, whether it was blessed, or its error."""
    if job.state in ENDED and not succeeded(job):
        return next((f"{task.task_name}: {task.error.message}" for task in failed_tasks(job)), job.error.message)
    properties = {name: artifact.metadata.get(name) for task in job.job_detail.task_details for output in task.outputs.values()
                  for artifact in output.artifacts for name in ("blessed", "pushed_version", "pushed_alias") if artifact.metadata
                  and name in artifact.metadata}  # fmt: skip
    if version := properties.get("pushed_version"):
        return f"version {version}{', champion' if properties.get('pushed_alias') else ''}"
    return "" if "blessed" not in properties else "blessed" if properties["blessed"] else "not blessed"


def _running(connection: Connection, client: PipelineServiceClient, training: str) -> list[PipelineJob]:
    """The jobs with that label that have not ended."""
    return [job for job in _labelled(connection, client, TRAINING, training) if job.state not in ENDED]


def _labelled(connection: Connection, client: PipelineServiceClient, label: str, value: str) -> list[PipelineJob]:
    request = ListPipelineJobsRequest(
        parent=connection.parent, filter=f'labels.{label}="{value}"',
        read_mask={"paths": ["name", "state", "labels"]})  # fmt: skip
    return connection.listed_once(client.list_pipeline_jobs, request)


def _newest(connection: Connection, client: PipelineServiceClient, digest: str) -> int:
    """The highest number of a job with that digest; 0 if there is none."""
    request = ListPipelineJobsRequest(
        parent=connection.parent, filter=f'labels.{DIGEST}="{digest}"', read_mask={"paths": ["name"]})  # fmt: skip
    names = [job.name for job in connection.listed_once(client.list_pipeline_jobs, request)]
    numbers = [name.rpartition("-")[2] for name in names if f"/{PIPELINE_NAME}-{digest}-" in name]
    return max((int(number) for number in numbers if number.isdigit()), default=0)
