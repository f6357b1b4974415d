"""Schedules on Vertex AI, by the name that the user gave.

Google identifies a schedule by a number, and several may have the same display name. So every function here looks up the name
before it changes anything, in each attempt: if an attempt succeeded but its answer was lost, the next attempt finds its result.
"""

import grpc
from google.cloud.aiplatform_v1 import ScheduleServiceClient
from google.cloud.aiplatform_v1.types import (
    CreatePipelineJobRequest,
    CreateScheduleRequest,
    DeleteScheduleRequest,
    ListSchedulesRequest,
    PauseScheduleRequest,
    ResumeScheduleRequest,
    Schedule,
    UpdateScheduleRequest,
)

from pipeline_config import PIPELINE_NAME, ConfigurationError
from vertex import GoogleCloudError, jobs
from vertex.client import Connection

# A project's other pipelines have schedules too: the display names of ours begin with this.
PREFIX = f"{PIPELINE_NAME}-"
# What is updated if the schedule exists already.
UPDATED = ["cron", "max_concurrent_run_count", "max_concurrent_active_run_count", "create_pipeline_job_request"]
# Deleting a schedule is an operation of seconds.
DELETE_SECONDS = 300.0


def create(connection: Connection, name: str, cron: str, job: dict) -> tuple[Schedule, bool]:
    """Starts `job`, which `pipeline.vertex.pipeline_job` returned, at the times of `cron`; an existing schedule is updated.

    Returns:
      The schedule, and whether it is new.

    Raises:
      GoogleCloudError: it was not created, or (if the error may pass) may have been created.
      ConfigurationError: there are several of that name, or one that has ended.
    """
    client, created = connection.client(ScheduleServiceClient), False
    scheduled = jobs.labelled(job)
    scheduled.labels["schedule"] = name
    wanted = Schedule(
        display_name=f"{PREFIX}{name}", cron=cron,
        # The first limits runs that are being started, the second those that are running: one at a time needs both. A run that is
        # due meanwhile is skipped, as the next one sees the same photographs and more.
        max_concurrent_run_count=1, max_concurrent_active_run_count=1, allow_queueing=False,
        create_pipeline_job_request=CreatePipelineJobRequest(parent=connection.parent, pipeline_job=scheduled),
    )  # fmt: skip

    def attempt() -> tuple[Schedule, bool]:
        nonlocal created
        found = _named(connection, client, name)
        if len(found) > 1 or any(one.state == Schedule.State.COMPLETED for one in found):
            states = ", ".join(one.state.name.lower() for one in found)
            raise ConfigurationError(f"schedule {name!r} cannot be updated, as there is {states}: delete {name!r}, then create it")
        if not found:
            created = True
            return connection.once(client.create_schedule, CreateScheduleRequest(parent=connection.parent, schedule=wanted)), True
        wanted.name = found[0].name
        request = UpdateScheduleRequest(schedule=wanted, update_mask={"paths": UPDATED})
        return connection.once(client.update_schedule, request), created

    return connection.repeated(attempt)


def listed(connection: Connection) -> list[Schedule]:
    """All schedules of this pipeline, by name.

    Raises:
      GoogleCloudError: they cannot be read.
    """
    client = connection.client(ScheduleServiceClient)
    found = connection.listed(client.list_schedules, ListSchedulesRequest(parent=connection.parent))
    return sorted((one for one in found if one.display_name.startswith(PREFIX)), key=lambda one: (one.display_name, one.name))


def pause(connection: Connection, name: str) -> None:
    """Starts no further runs; a current run continues.

    Raises:
      GoogleCloudError, ConfigurationError: it cannot be paused, or there is none.
    """
    client = connection.client(ScheduleServiceClient)

    def attempt() -> None:
        for schedule in _existing(connection, client, name):
            if schedule.state != Schedule.State.PAUSED:
                connection.once(client.pause_schedule, PauseScheduleRequest(name=schedule.name))

    connection.repeated(attempt)


def resume(connection: Connection, name: str) -> None:
    """Starts runs again; missed runs are not made up for.

    Raises:
      GoogleCloudError, ConfigurationError: it cannot be resumed, or there is none.
    """
    client = connection.client(ScheduleServiceClient)

    def attempt() -> None:
        for schedule in _existing(connection, client, name):
            if schedule.state != Schedule.State.ACTIVE:
                connection.once(client.resume_schedule, ResumeScheduleRequest(name=schedule.name, catch_up=False))

    connection.repeated(attempt)


def delete(connection: Connection, name: str) -> None:
    """Deletes every schedule of that name; runs that it started stay.

    Raises:
      GoogleCloudError, ConfigurationError: it cannot be deleted, or there is none.
    """
    client = connection.client(ScheduleServiceClient)
    for schedule in connection.repeated(lambda: _existing(connection, client, name)):
        try:
            operation = connection.call(client.delete_schedule, DeleteScheduleRequest(name=schedule.name)).operation
        except GoogleCloudError as error:
            # Already deleted by an attempt whose answer was lost.
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise
        else:
            connection.finished(client, operation.name, DELETE_SECONDS)


def short_name(schedule: Schedule) -> str:
    """The name that the user gave."""
    return schedule.display_name.removeprefix(PREFIX)


def _named(connection: Connection, client: ScheduleServiceClient, name: str) -> list[Schedule]:
    request = ListSchedulesRequest(parent=connection.parent, filter=f'display_name="{PREFIX}{name}"')
    return connection.listed_once(client.list_schedules, request)


def _existing(connection: Connection, client: ScheduleServiceClient, name: str) -> list[Schedule]:
    found = _named(connection, client, name)
    if not found:
        raise ConfigurationError(f"there is no schedule {name!r} in project {connection.project}, {connection.region}; "
                                 "`flowers schedule list` shows all")  # fmt: skip
    return found
