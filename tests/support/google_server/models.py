"""google.cloud.aiplatform.v1.ModelService, as far as a registry of versions needs it."""

import itertools
import re

import grpc
from google.cloud.aiplatform_v1.types import Model, UploadModelResponse, model_service
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, timestamp_pb2

from google_server.operations import Operations
from google_server.service import Service, by_number, require, with_project_number

DEFAULT = "default"
ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")


class ModelService(Service):
    """Models and their versions. A version exists when the operation of its upload ends, and not before.

    Attributes:
      models: versions by number, by the model's resource name.
      aliases_move: whether an alias that is given to one version leaves the one that had it, as Google's documentation has it.
    """

    NAME = "google.cloud.aiplatform.v1.ModelService"

    def __init__(self, operations: Operations):
        self.models: dict[str, dict[str, Model]] = {}
        self.aliases_move = True
        self._operations = operations
        self._numbers: dict[str, itertools.count] = {}
        self._clock = itertools.count(1_800_000_000)

    def UploadModel(self, request: model_service.UploadModelRequest) -> operations_pb2.Operation:
        model = request.model
        require(0 < len(model.display_name) <= 128, "display_name is required and has at most 128 characters.")
        require(model.container_spec.image_uri, "container_spec.image_uri is required.")
        require("://" in model.artifact_uri, "artifact_uri is required.")
        require(all(ALIAS.fullmatch(alias) for alias in model.version_aliases), "Invalid version alias.")
        _require_labels(model)
        if request.parent_model:
            self._versions(request.parent_model)
            name = by_number(request.parent_model)
        else:
            require(re.fullmatch(r"[a-z_][a-z0-9_-]{0,62}", request.model_id), f"Invalid model_id {request.model_id!r}")
            name = f"{with_project_number(request.parent)}/models/{request.model_id}"
            self._require_new(name)

        def work():
            if not request.parent_model:
                self._require_new(name)
            number = self._add(name, model)
            return UploadModelResponse.pb(UploadModelResponse(model=name, model_version_id=number))

        return self._operations.begin_work(request.parent, f"models/{name.rpartition('/')[2]}", work)

    def ListModelVersions(self, request: model_service.ListModelVersionsRequest) -> model_service.ListModelVersionsResponse:
        """Two a page at most, so that whoever reads the first page only is found out."""
        found = list(self._versions(request.name).values())
        start = int(request.page_token or 0)
        more = str(start + 2) if len(found) > start + 2 else ""
        return model_service.ListModelVersionsResponse(models=found[start : start + 2], next_page_token=more)

    def UpdateModel(self, request: model_service.UpdateModelRequest) -> Model:
        """Of a version, by name@number."""
        version = self._version(request.model.name)
        paths = list(request.update_mask.paths)
        require(paths and set(paths) <= {"version_description", "labels"}, f"Invalid update_mask: {', '.join(paths)}")
        _require_labels(request.model)
        for path in paths:
            setattr(version, path, getattr(request.model, path))
        self._touch(version)
        return version

    def MergeVersionAliases(self, request: model_service.MergeVersionAliasesRequest) -> Model:
        version = self._version(request.name)
        given = {alias for alias in request.version_aliases if not alias.startswith("-")}
        taken = {alias.removeprefix("-") for alias in request.version_aliases} - given
        require(all(ALIAS.fullmatch(alias) for alias in given | taken), "Invalid version alias.")
        require(DEFAULT not in taken, "A model has exactly one default version.", grpc.StatusCode.FAILED_PRECONDITION)
        # There is one default version in any case.
        leaving = given if self.aliases_move else given & {DEFAULT}
        for other in self._versions(request.name.partition("@")[0]).values():
            other.version_aliases = [alias for alias in other.version_aliases if alias not in leaving]
        version.version_aliases = sorted(set(version.version_aliases) - taken | given)
        self._touch(version)
        return version

    def DeleteModelVersion(self, request: model_service.DeleteModelVersionRequest) -> operations_pb2.Operation:
        version = self._version(request.name)
        name = by_number(request.name).partition("@")[0]
        refused = "Deleting the only version in the Model is not allowed."
        require(len(self.models[name]) > 1, refused, grpc.StatusCode.FAILED_PRECONDITION)
        refused = "The default version cannot be deleted."
        require(DEFAULT not in version.version_aliases, refused, grpc.StatusCode.FAILED_PRECONDITION)

        def work():
            del self.models[name][version.version_id]
            return empty_pb2.Empty()

        return self._operations.begin_work(name.partition("/models/")[0], f"models/{name.rpartition('/')[2]}", work)

    def _versions(self, name: str) -> dict[str, Model]:
        require(by_number(name) in self.models, f"The Model does not exist: {name}", grpc.StatusCode.NOT_FOUND)
        return self.models[by_number(name)]

    def _version(self, name: str) -> Model:
        model, _, number = name.partition("@")
        require(number in self._versions(model), f"The Model version does not exist: {name}", grpc.StatusCode.NOT_FOUND)
        return self.models[by_number(model)][number]

    def _require_new(self, name: str) -> None:
        require(name not in self.models, f"The Model already exists: {name}", grpc.StatusCode.ALREADY_EXISTS)

    def _add(self, name: str, model: Model) -> str:
        versions = self.models.setdefault(name, {})
        number = str(next(self._numbers.setdefault(name, itertools.count(1))))
        version = Model(model)
        version.name, version.version_id = name, number
        version.container_spec = None  # input only
        if not versions and DEFAULT not in version.version_aliases:
            version.version_aliases.append(DEFAULT)
        versions[number] = version
        self._touch(version)
        version.version_create_time = version.version_update_time
        return number

    def _touch(self, version: Model) -> None:
        version.version_update_time = timestamp_pb2.Timestamp(seconds=next(self._clock))


def _require_labels(model: Model) -> None:
    require(len(model.labels) <= 64, "A resource has at most 64 labels.")
    for key, value in model.labels.items():
        require(re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) and re.fullmatch(r"[a-z0-9_-]{0,63}", value),
                f"Invalid label {key}={value}")  # fmt: skip
