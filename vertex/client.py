"""Calls to Vertex AI's services that cannot hang: each attempt has a deadline, and so have all attempts together.

The clients are google-cloud-aiplatform's. They have no deadlines of their own, and some calls must not be repeated blindly, so
both are handled here. Errors say what failed and what to do.
"""

import contextlib
import dataclasses
import functools
import os
import re
import time
import typing
from collections.abc import Callable, Iterable, Iterator

import google.auth
import google.auth.transport.requests
import grpc
from google.api_core import exceptions, retry
from google.auth import exceptions as auth_exceptions
from google.longrunning import operations_pb2
from google.rpc import status_pb2

import pipeline_config
from pipeline_config import require
from vertex import GoogleCloudError

LOGIN = "gcloud auth application-default login"
# The permission that a call needs, for refusals that do not name it. From Google's page "Vertex AI IAM permissions".
PERMISSIONS = {
    "create_pipeline_job": "aiplatform.pipelineJobs.create",
    "list_pipeline_jobs": "aiplatform.pipelineJobs.list",
    "get_pipeline_job": "aiplatform.pipelineJobs.get",
    "create_schedule": "aiplatform.schedules.create",
    "get_schedule": "aiplatform.schedules.get",
    "list_schedules": "aiplatform.schedules.list",
    "update_schedule": "aiplatform.schedules.update",
    "pause_schedule": "aiplatform.schedules.update",
    "resume_schedule": "aiplatform.schedules.update",
    "delete_schedule": "aiplatform.schedules.delete",
    "upload_model": "aiplatform.models.upload",
    "list_model_versions": "aiplatform.models.list",
    "update_model": "aiplatform.models.update",
    "merge_version_aliases": "aiplatform.models.update",
    "delete_model_version": "aiplatform.models.delete",
    "list_operations": "aiplatform.operations.list",
    "get_operation": "aiplatform.operations.get",
}
# Statuses after which the same call may succeed a little later.
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED)


def explained(error: Exception, call: str, parent: str) -> GoogleCloudError:
    """`error` with what to do about it.

    Args:
      call: name of the client's method.
      parent: projects/P/locations/R.
    """
    if isinstance(error, auth_exceptions.TransportError):
        return GoogleCloudError(f"Google's servers cannot be reached for credentials: {_words(error)}", may_pass=True)
    if isinstance(error, auth_exceptions.GoogleAuthError):
        return GoogleCloudError(f"no usable credentials for Google Cloud: run `{LOGIN}` ({_words(error)})")
    code = getattr(error, "grpc_status_code", None)
    _, project, _, region = parent.split("/")
    said = _words(error)
    return GoogleCloudError(f"{call} in project {project}, {region}: {_advice(code, said, call, project)}", code, code in PASSING)


def failed(status: status_pb2.Status, name: str) -> GoogleCloudError:
    """A long-running operation ended with this status."""
    code = next((one for one in grpc.StatusCode if one.value[0] == status.code), None)
    return GoogleCloudError(f"{name} failed: {status.message}", code)


def _advice(code: grpc.StatusCode | None, said: str, call: str, project: str) -> str:
    if "SERVICE_DISABLED" in said or "has not been used in project" in said:
        return f"the API is not enabled: run `gcloud services enable aiplatform.googleapis.com --project {project}` ({said})"
    if code is grpc.StatusCode.UNAUTHENTICATED or "Getting metadata from plugin failed" in said:
        return f"the credentials are not accepted: run `{LOGIN}` ({said})"
    if code is grpc.StatusCode.PERMISSION_DENIED and "actAs" in said:
        return (f"permission iam.serviceAccounts.actAs is missing on vertex.service_account: grant yourself "
                f"roles/iam.serviceAccountUser on it ({said})")  # fmt: skip
    if code is grpc.StatusCode.PERMISSION_DENIED:
        named = re.search(r"Permission '([\w.]+)' denied", said)
        permission = named[1] if named else PERMISSIONS.get(call, "")
        missing = f"permission {permission} is missing" if permission else "permission is missing"
        return f"{missing}: grant yourself a role that has it, such as roles/aiplatform.user ({said})"
    if code is grpc.StatusCode.NOT_FOUND:
        return f"not found; check --project, --region and the name ({said})"
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return f"a quota is used up; look at the project's quotas for Vertex AI ({said})"
    if code is grpc.StatusCode.UNAVAILABLE:
        return f"the service is not available ({said})"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"no answer in time ({said})"
    return f"{code.name if code else 'failed'}: {said}"


def _words(error: Exception) -> str:
    """The error's own message, on one line, shortened."""
    text = " ".join(str(getattr(error, "message", "") or error).split())
    reason = getattr(error, "reason", None) if isinstance(error, exceptions.GoogleAPICallError) else None
    if reason and reason not in text:
        text = f"{reason}: {text}"
    return f"{text[:600].rstrip()} …" if len(text) > 600 else text


# localhost:PORT of a server that replaces Google's, as for Google's own emulators (STORAGE_EMULATOR_HOST, …). Calls to it have
# neither credentials nor encryption.
EMULATOR = "VERTEX_AI_EMULATOR_HOST"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
# Seconds before the second attempt, doubled for each further one up to the second number, as in Google's own retries.
FIRST_WAIT, LONGEST_WAIT = 1.0, 32.0

Client = typing.TypeVar("Client")
Answer = typing.TypeVar("Answer")


@dataclasses.dataclass(frozen=True)
class Connection:
    """A project's Vertex AI in one region.

    Attributes:
      project: id of the project.
      region: such as europe-west4.
      call_seconds: after which an attempt without an answer fails.
      retry_seconds: after which no further attempt is made.
    """

    project: str
    region: str
    call_seconds: float = pipeline_config.Vertex.call_seconds
    retry_seconds: float = pipeline_config.Vertex.retry_seconds

    @property
    def parent(self) -> str:
        """The resource name of the region, which contains all its resources."""
        return f"projects/{self.project}/locations/{self.region}"

    def client(self, client_class: type[Client]) -> Client:
        """A client of google-cloud-aiplatform, such as aiplatform_v1's PipelineServiceClient.

        Raises:
          GoogleCloudError: there are no credentials, or they have expired.
        """
        emulator = os.environ.get(EMULATOR)
        if emulator:
            require(emulator.partition(":")[0] in ("localhost", "127.0.0.1"), EMULATOR, "localhost:PORT", emulator)
            transport = client_class.get_transport_class("grpc")  # type: ignore[attr-defined]
            return client_class(transport=transport(channel=grpc.insecure_channel(emulator)))  # type: ignore[call-arg]
        options = {"api_endpoint": f"{self.region}-aiplatform.googleapis.com"}
        return client_class(credentials=self._credentials(), client_options=options)  # type: ignore[call-arg]

    def once(self, rpc: Callable[..., Answer], request: object) -> Answer:
        """One attempt of one call: `rpc` is a method of a client.

        Raises:
          GoogleCloudError: it failed, or there was no answer within call_seconds.
        """
        with self._explaining(rpc):
            return rpc(request=request, retry=None, timeout=self.call_seconds)

    def repeated(self, attempt: Callable[[], Answer]) -> Answer:
        """What `attempt` returns; repeats it while it fails for a reason that may pass, for retry_seconds at most.

        Args:
          attempt: makes its calls with `once`, and must be correct even if an earlier attempt did all its work and only the
            answer was lost.

        Raises:
          GoogleCloudError: that of the last attempt.
        """
        again = retry.Retry(
            predicate=lambda error: isinstance(error, GoogleCloudError) and error.may_pass,
            initial=FIRST_WAIT, maximum=LONGEST_WAIT, timeout=self.retry_seconds)  # fmt: skip
        try:
            return again(attempt)()
        except exceptions.RetryError as error:
            raise typing.cast(GoogleCloudError, error.cause) from None

    def call(self, rpc: Callable[..., Answer], request: object) -> Answer:
        """One call that may be repeated as it is: reading, or setting what may be set twice.

        Raises:
          GoogleCloudError: it failed.
        """
        return self.repeated(functools.partial(self.once, rpc, request))

    def listed(self, rpc: Callable[..., Iterable[Answer]], request: object) -> list[Answer]:
        """All that a call lists, over all its pages.

        Raises:
          GoogleCloudError: it failed, on any page.
        """

        return self.repeated(lambda: self.listed_once(rpc, request))

    def listed_once(self, rpc: Callable[..., Iterable[Answer]], request: object) -> list[Answer]:
        """The same in one attempt.

        Raises:
          GoogleCloudError: it failed, on any page.
        """
        with self._explaining(rpc):
            return list(rpc(request=request, retry=None, timeout=self.call_seconds))

    def finished(self, client, name: str, seconds: float) -> operations_pb2.Operation:
        """Waits for the long-running operation `name` and returns it.

        Args:
          client: of the service that began it.
          seconds: to wait at most.

        Raises:
          GoogleCloudError: it failed, or has not ended in time.
        """
        end, wait = time.monotonic() + seconds, FIRST_WAIT
        while True:
            operation = self.call(client.get_operation, operations_pb2.GetOperationRequest(name=name))
            if operation.HasField("error"):
                raise failed(operation.error, name)
            if operation.done:
                return operation
            if time.monotonic() + wait > end:
                raise GoogleCloudError(f"{name} has not ended within {seconds:g} s; it continues at Google", may_pass=True)
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    @contextlib.contextmanager
    def _explaining(self, rpc: Callable) -> Iterator[None]:
        try:
            yield
        except (exceptions.GoogleAPICallError, auth_exceptions.GoogleAuthError) as error:
            raise explained(error, rpc.__name__, self.parent) from error

    def _credentials(self):
        """The application's default credentials, refreshed, so that their failure is not mistaken for one of the service."""
        request = google.auth.transport.requests.Request()
        try:
            credentials, _ = google.auth.default(scopes=SCOPES)
            credentials.refresh(functools.partial(request, timeout=self.call_seconds))
        except auth_exceptions.GoogleAuthError as error:
            raise explained(error, "credentials", self.parent) from error
        return credentials
