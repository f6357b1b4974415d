"""google.longrunning.Operations: the work that an RPC has begun and whose end the client asks for."""

import itertools
from collections.abc import Callable

from google.longrunning import operations_pb2
from google.protobuf import any_pb2, message
from google.rpc import status_pb2

from google_server.service import Refusal, Service, by_number, existing, with_project_number


class Operations(Service):
    """Operations that other services began.

    Attributes:
      polls_until_done: how often an operation is asked for in vain before it is done.
    """

    NAME = "google.longrunning.Operations"

    def __init__(self, polls_until_done: int = 1):
        self.polls_until_done = polls_until_done
        self._operations: dict[str, operations_pb2.Operation] = {}
        self._polls: dict[str, int] = {}
        self._work: dict[str, Callable[[], message.Message]] = {}
        self._numbers = itertools.count(1)

    def begin(self, parent: str, response: message.Message, error: status_pb2.Status | None = None) -> operations_pb2.Operation:
        """An operation that ends with `response` (plain protobuf), or with `error`."""
        operation = operations_pb2.Operation(name=f"{with_project_number(parent)}/operations/{next(self._numbers)}", done=True)
        if error is not None:
            operation.error.CopyFrom(error)
        else:
            packed = any_pb2.Any()
            packed.Pack(response)
            operation.response.CopyFrom(packed)
        self._operations[operation.name] = operation
        self._polls[operation.name] = self.polls_until_done
        return self._as_seen(operation)

    def begin_work(self, parent: str, resource: str, work: Callable[[], message.Message]) -> operations_pb2.Operation:
        """An operation of a resource (such as models/m) that takes effect at its end: `work` gives its response or refuses."""
        name = f"{with_project_number(parent)}/{resource}/operations/{next(self._numbers)}"
        self._operations[name] = operations_pb2.Operation(name=name, done=True)
        self._polls[name] = self.polls_until_done
        self._work[name] = work
        return self._as_seen(self._operations[name])

    def GetOperation(self, request: operations_pb2.GetOperationRequest) -> operations_pb2.Operation:
        operation = existing(self._operations, request.name)
        self._polls[operation.name] -= 1
        return self._as_seen(operation)

    def ListOperations(self, request: operations_pb2.ListOperationsRequest) -> operations_pb2.ListOperationsResponse:
        """Those of one resource; looking at them brings none nearer to its end."""
        owner = by_number(request.name)
        found = [self._as_seen(one) for name, one in self._operations.items() if name.startswith(f"{owner}/operations/")]
        return operations_pb2.ListOperationsResponse(operations=found)

    def _as_seen(self, operation: operations_pb2.Operation) -> operations_pb2.Operation:
        if self._polls[operation.name] > 0:
            return operations_pb2.Operation(name=operation.name)
        if work := self._work.pop(operation.name, None):
            try:
                operation.response.Pack(work())
            except Refusal as refusal:
                operation.error.CopyFrom(status_pb2.Status(code=refusal.code.value[0], message=refusal.details))
        return operation
