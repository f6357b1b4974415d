"""The versions of one model in the Vertex AI Model Registry.

Every call but an upload may be repeated as it is. Repeating an upload makes a second version, so after a lost answer its result
is looked up first.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from vertex import GoogleCloudError
from vertex.client import Connection

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import ModelServiceClient
    from google.cloud.aiplatform_v1.types import Model

# Seconds to wait for an upload or deletion: before a version exists, Vertex AI reads its files, of which it allows 10 GB.
OPERATION_SECONDS = 1800.0
# The most that one page of versions can have.
PAGE = 100


@dataclass(frozen=True)
class VertexModels:
    """The model `model_id` of the connection's project and region. Each method raises GoogleCloudError if its call fails."""

    connection: Connection
    model_id: str

    def versions(self) -> "list[Model]":
        """All versions; none if there is no such model."""
        from google.cloud.aiplatform_v1.types import ListModelVersionsRequest

        request = ListModelVersionsRequest(name=self._name(), page_size=PAGE)
        try:
            return self.connection.listed(self._client.list_model_versions, request)
        except GoogleCloudError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return []
            raise

    def upload(self, model: "Model") -> str:
        """Uploads a version, waits until it exists and returns its number; that of an existing one with the same artifact_uri."""
        from google.cloud.aiplatform_v1.types import UploadModelRequest, UploadModelResponse

        def attempt() -> str:
            self.wait_until_quiet()
            existing = self.versions()
            for version in existing:
                if version.artifact_uri == model.artifact_uri:  # an attempt that seemed to fail made it
                    return version.version_id
            target = {"parent_model": self._name()} if existing else {"model_id": self.model_id}
            request = UploadModelRequest(parent=self.connection.parent, model=model, **target)
            try:
                begun = self.connection.once(self._client.upload_model, request)
                ended = self.connection.finished(self._client, begun.operation.name, OPERATION_SECONDS)
            except GoogleCloudError as error:
                if error.code is grpc.StatusCode.ALREADY_EXISTS:  # another process, or an earlier attempt, was faster
                    raise GoogleCloudError(str(error), error.code, may_pass=True) from error
                raise
            response = UploadModelResponse()
            ended.response.Unpack(UploadModelResponse.pb(response))
            return response.model_version_id

        return self.connection.repeated(attempt)

    def wait_until_quiet(self) -> None:
        """Waits until no operation of the model is running: an upload whose answer was lost can still become a version."""
        from google.longrunning import operations_pb2

        request = operations_pb2.ListOperationsRequest(name=self._name())
        try:
            found = self.connection.call(self._client.list_operations, request).operations
        except GoogleCloudError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:  # no such model yet
                return
            raise
        for operation in found:
            if not operation.done:
                self._wait_for_end(operation.name)

    def merge_aliases(self, version: str, *aliases: str) -> None:
        """Gives a version aliases; `-ALIAS` removes one."""
        from google.cloud.aiplatform_v1.types import MergeVersionAliasesRequest

        request = MergeVersionAliasesRequest(name=self._name(version), version_aliases=aliases)
        self.connection.call(self._client.merge_version_aliases, request)

    def describe(self, version: str, description: str, labels: dict[str, str]) -> None:
        """Replaces the description and the labels of a version."""
        from google.cloud.aiplatform_v1.types import Model, UpdateModelRequest
        from google.protobuf import field_mask_pb2

        model = Model(name=self._name(version), version_description=description, labels=labels)
        mask = field_mask_pb2.FieldMask(paths=["version_description", "labels"])
        self.connection.call(self._client.update_model, UpdateModelRequest(model=model, update_mask=mask))

    def delete(self, version: str) -> None:
        """Deletes a version and waits until it is gone; one that is gone already is no error."""
        from google.cloud.aiplatform_v1.types import DeleteModelVersionRequest

        try:
            begun = self.connection.call(self._client.delete_model_version, DeleteModelVersionRequest(name=self._name(version)))
        except GoogleCloudError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return
            raise
        self.connection.finished(self._client, begun.operation.name, OPERATION_SECONDS)

    @functools.cached_property
    def _client(self) -> "ModelServiceClient":
        from google.cloud.aiplatform_v1 import ModelServiceClient  # takes seconds

        return self.connection.client(ModelServiceClient)

    def _name(self, version: str = "") -> str:
        return f"{self.connection.parent}/models/{self.model_id}{f'@{version}' if version else ''}"

    def _wait_for_end(self, operation: str) -> None:
        try:
            self.connection.finished(self._client, operation, OPERATION_SECONDS)
        except GoogleCloudError as error:
            if error.may_pass:  # it has not ended
                raise
