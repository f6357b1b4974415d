"""Calls by the real client over gRPC to a server that goes wrong: what is tried again, when it ends, what the user is told."""

import time

import google.auth
import grpc
import pytest
from google.auth import credentials, exceptions
from google.cloud.aiplatform_v1 import PipelineServiceClient, ScheduleServiceClient
from google.cloud.aiplatform_v1.types import (
    CreateScheduleRequest,
    DeleteScheduleRequest,
    GetPipelineJobRequest,
    ListSchedulesRequest,
)
from google_server import server as faults

from pipeline_config import ConfigurationError
from vertex import GoogleCloudError, client
from vertex.client import Connection

HERE = Connection("a-project", "europe-west4", call_seconds=5, retry_seconds=5)
SCHEDULE = {
    "display_name": "s", "cron": "TZ=Europe/Berlin 0 3 * * 1", "max_concurrent_run_count": 1,
    "create_pipeline_job_request": {"parent": HERE.parent, "pipeline_job": {
        "pipeline_spec": {"root": {}}, "runtime_config": {"gcs_output_directory": "gs://b/r"}}},
}  # fmt: skip


@pytest.fixture
def listed(google):
    """listed(connection) lists schedules, as a call that can be made again."""

    def call(connection=HERE):
        schedules = connection.client(ScheduleServiceClient)
        return connection.listed(schedules.list_schedules, ListSchedulesRequest(parent=HERE.parent))

    return call


def test_the_real_client_is_answered_in_its_own_types(google):
    schedules = HERE.client(ScheduleServiceClient)
    for _ in range(3):
        HERE.once(schedules.create_schedule, CreateScheduleRequest(parent=HERE.parent, schedule=SCHEDULE))
    google.fault("ListSchedules", faults.unavailable())
    found = HERE.listed(schedules.list_schedules, ListSchedulesRequest(parent=HERE.parent))
    assert [one.cron for one in found] == [SCHEDULE["cron"]] * 3  # of more than one page
    assert found[0].name.startswith("projects/123456789012/locations/europe-west4/schedules/")
    begun = HERE.call(schedules.delete_schedule, DeleteScheduleRequest(name=found[0].name))
    assert HERE.finished(schedules, begun.operation.name, seconds=5).done
    assert google.methods()[-2:] == ["DeleteSchedule", "GetOperation"]


@pytest.mark.parametrize("fault", [faults.unavailable(), faults.deadline_exceeded()])
def test_what_may_pass_is_tried_again(google, listed, fault):
    google.fault("ListSchedules", fault, times=2)
    assert listed() == []
    assert google.methods() == ["ListSchedules"] * 3


def test_trying_again_ends(google, listed):
    google.fault("ListSchedules", faults.unavailable(), times=10_000)
    with pytest.raises(GoogleCloudError, match="list_schedules in project a-project, .*: the service is not available") as e:
        listed(Connection("a-project", "europe-west4", call_seconds=5, retry_seconds=0.5))
    assert e.value.may_pass and 1 < len(google.calls) < 200


def test_an_answer_that_never_comes_is_waited_for_until_the_deadline(google, listed):
    google.fault("ListSchedules", faults.silent(), times=100)
    started = time.monotonic()
    with pytest.raises(GoogleCloudError, match="no answer in time") as caught:
        listed(Connection("a-project", "europe-west4", call_seconds=0.2, retry_seconds=0.5))
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - started < 30  # without a deadline it would wait for good


@pytest.mark.parametrize(("fault", "message"), [
    (faults.permission_denied("aiplatform.schedules.list"),
     "permission aiplatform.schedules.list is missing: grant yourself a role that has it, such as roles/aiplatform.user"),
    (faults.Fault(grpc.StatusCode.PERMISSION_DENIED, "The caller does not have permission"),
     "permission aiplatform.schedules.list"),
    (faults.Fault(grpc.StatusCode.PERMISSION_DENIED, "Vertex AI API has not been used in project 12 before or it is disabled."),
     "gcloud services enable aiplatform.googleapis.com --project a-project"),
    (faults.Fault(grpc.StatusCode.PERMISSION_DENIED, "You may not act as service account x@y (or actAs denied)."),
     "iam.serviceAccounts.actAs is missing on vertex.service_account"),
    (faults.Fault(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid authentication credentials."),
     "gcloud auth application-default login"),
    (faults.Fault(grpc.StatusCode.NOT_FOUND, "no such location"), "check --project, --region and the name"),
    (faults.Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded"), "quota"),
    (faults.already_exists("It is there."), "ALREADY_EXISTS: It is there."),
])  # fmt: skip
def test_what_will_not_pass_is_told_once_with_what_to_do(google, listed, fault, message):
    google.fault("ListSchedules", fault, times=2)
    with pytest.raises(GoogleCloudError) as caught:
        listed()
    assert message in str(caught.value) and not caught.value.may_pass
    assert len(google.calls) == 1


def test_a_server_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setenv(client.EMULATOR, "localhost:1")
    here = Connection("a-project", "europe-west4", call_seconds=1, retry_seconds=0.1)
    with pytest.raises(GoogleCloudError, match="the service is not available"):
        client_there = here.client(PipelineServiceClient)
        here.call(client_there.get_pipeline_job, GetPipelineJobRequest(name=f"{HERE.parent}/pipelineJobs/j"))


def test_a_machine_that_is_not_this_one_is_never_called_without_credentials(monkeypatch):
    monkeypatch.setenv(client.EMULATOR, "example.com:80")
    with pytest.raises(ConfigurationError, match="VERTEX_AI_EMULATOR_HOST must be localhost:PORT"):
        HERE.client(PipelineServiceClient)


class Expired(credentials.Credentials):
    def refresh(self, request):
        raise exceptions.RefreshError("Reauthentication is needed.")


@pytest.mark.parametrize("default", [None, Expired()])
def test_missing_and_expired_credentials_name_the_command_that_helps(monkeypatch, default):
    monkeypatch.delenv(client.EMULATOR, raising=False)

    def find(scopes):
        if default is None:
            raise exceptions.DefaultCredentialsError("Your default credentials were not found.")
        return default, "a-project"

    monkeypatch.setattr(google.auth, "default", find)
    with pytest.raises(GoogleCloudError, match="run `gcloud auth application-default login`"):
        HERE.client(PipelineServiceClient)
