"""What every service of the local server is made of: RPCs as plain methods, and the errors that they answer with."""

import re
import typing
from collections.abc import Callable

import grpc

# Google answers with the number of a project where it was asked by id.
PROJECT_NUMBER = "123456789012"


Resource = typing.TypeVar("Resource")


class Refusal(Exception):
    """An RPC's answer is this status, with these words."""

    def __init__(self, code: grpc.StatusCode, details: str):
        super().__init__(details)
        self.code = code
        self.details = details


class Service:
    """A gRPC service. Every public method is an RPC of the same name: its annotations are the request's and response's types.

    Attributes:
      NAME: full name of the service, such as google.cloud.aiplatform.v1.PipelineService.
    """

    NAME: str

    def rpcs(self) -> dict[str, tuple[type, type, Callable]]:
        """Name of each RPC, with types of request and response, and the function."""
        found = {}
        for name in vars(type(self)):
            if name[0].isupper() and callable(method := getattr(self, name)):
                hints = typing.get_type_hints(method)
                found[name] = (hints["request"], hints["return"], method)
        return found


def require(condition: object, details: str, code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT) -> None:
    """Refuses the request unless `condition` holds."""
    if not condition:
        raise Refusal(code, details)


def with_project_number(parent: str) -> str:
    """projects/ID/locations/REGION with the project's number, as names in answers are. Refuses anything else."""
    found = re.fullmatch(r"projects/[^/]+/locations/([^/]+)", parent)
    require(found, f"Invalid resource name: {parent!r}")
    return f"projects/{PROJECT_NUMBER}/locations/{found[1]}"


def by_number(name: str) -> str:
    """A resource name with the project's number, whether it was given by id or by number."""
    return re.sub(r"^projects/[^/]+/", f"projects/{PROJECT_NUMBER}/", name)


def existing(resources: dict[str, Resource], name: str) -> Resource:
    """The resource of that name, whether its project is given by id or by number. Refuses one that there is not."""
    require(by_number(name) in resources, f"Resource not found: {name}", grpc.StatusCode.NOT_FOUND)
    return resources[by_number(name)]
