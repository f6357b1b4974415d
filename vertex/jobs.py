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
from pipeline_config import PIPELINE_NAME
from vertex import GoogleCloudError
from vertex.client import Connection

ENDED = (PipelineState.PIPELINE_STATE_SUCCEEDED, PipelineState.PIPELINE_STATE_FAILED, PipelineState.PIPELINE_STATE_CANCELLED)
TASK_STATES = PipelineTaskDetail.State
TASK_ENDED = (TASK_STATES.SUCCEEDED, TASK_STATES.SKIPPED, TASK_STATES.FAILED, TASK_STATES.CANCELLED, TASK_STATES.NOT_TRIGGERED)
# Labels of a job: which compiled job it is, and which command started it.
DIGEST, SUBMISSION = "digest", "submission"


@dataclasses.dataclass(frozen=True)
class Submitted:
    """A job on Vertex AI; `created` is false if it was running already."""

    job: PipelineJob
    created: bool

    @property
    def job_id(self) -> str:
        return self.job.name.rpartition("/")[2]


def submit(connection: Connection, job: dict) -> Submitted:
    """Starts `job`, which `pipeline.vertex.pipeline_job` returned, unless the same job is running.

    The id is flowers-DIGEST-NUMBER: the digest of the job, and how often it has been started. So if a job was created but the
    answer was lost, the next attempt or command finds it, and no second job runs beside it.

    Raises:
      GoogleCloudError: it was not started, or (if the error may pass) may have been started.
    """
    digest = json_sha256(job)[:16]
    submission = secrets.token_hex(8)
    started = PipelineJob.from_json(json.dumps(job))
    started.labels.update({DIGEST: digest, SUBMISSION: submission})
    client = connection.client(PipelineServiceClient)

    def attempt() -> Submitted:
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


def _newest(connection: Connection, client: PipelineServiceClient, digest: str) -> int:
    """The highest number of a job with that digest; 0 if there is none."""
    request = ListPipelineJobsRequest(
        parent=connection.parent, filter=f'labels.{DIGEST}="{digest}"', read_mask={"paths": ["name"]})  # fmt: skip
    names = [job.name for job in connection.listed_once(client.list_pipeline_jobs, request)]
    numbers = [name.rpartition("-")[2] for name in names if f"/{PIPELINE_NAME}-{digest}-" in name]
    return max((int(number) for number in numbers if number.isdigit()), default=0)
