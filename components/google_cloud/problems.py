"""Why a call to Google Cloud failed, and what to do about it. Called by `client`; pure."""

import re

import grpc
from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.rpc import status_pb2

from components.errors import GoogleCloudError

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
    """`error` in words.

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
    """The error's own words, on one line and not without end."""
    text = " ".join(str(getattr(error, "message", "") or error).split())
    reason = getattr(error, "reason", None) if isinstance(error, exceptions.GoogleAPICallError) else None
    if reason and reason not in text:
        text = f"{reason}: {text}"
    return f"{text[:600].rstrip()} …" if len(text) > 600 else text
