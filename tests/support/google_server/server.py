"""The local server: it serves services on a free port, and records every call.

    server = Server(PipelineService(), ScheduleService())
    server.fault("CreatePipelineJob", unavailable(), times=2)
    ...
    server.stop()

It goes wrong where a test tells it to.
"""

import collections
import dataclasses
import threading
import typing
from collections.abc import Callable
from concurrent import futures

import grpc

from google_server.service import Refusal, Service


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens to a call instead of its answer.

    Attributes:
      code: the status that is answered; None for no answer at all, until the caller gives up.
      details: the words of the status.
      done: whether the call takes effect all the same, so that only its answer is lost.
    """

    code: grpc.StatusCode | None
    details: str
    done: bool = False


def unavailable(done: bool = False) -> Fault:
    return Fault(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.", done)


def deadline_exceeded(done: bool = False) -> Fault:
    return Fault(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline expired before operation could complete.", done)


def permission_denied(permission: str, resource: str = "//aiplatform.googleapis.com/projects/a-project") -> Fault:
    """In the words of Google's servers."""
    return Fault(grpc.StatusCode.PERMISSION_DENIED,
                 f"Permission '{permission}' denied on resource '{resource}' (or it may not exist).")  # fmt: skip


def already_exists(details: str = "Resource already exists.") -> Fault:
    return Fault(grpc.StatusCode.ALREADY_EXISTS, details)


def silent(done: bool = False) -> Fault:
    """No answer ever comes."""
    return Fault(None, "", done)


class Call(typing.NamedTuple):
    """An RPC that reached the server, in the order of arrival."""

    method: str
    request: object


class Server:
    """Serves on localhost while it lives.

    Attributes:
      address: host and port.
      calls: every call so far, those that went wrong included.
    """

    def __init__(self, *services: Service):
        self.calls: list[Call] = []
        self._faults: dict[str, collections.deque[Fault]] = collections.defaultdict(collections.deque)
        self._one_at_a_time = threading.Lock()
        self._stopped = threading.Event()
        # Threads enough for calls that are never answered beside those that are.
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        for service in services:
            handlers = {name: self._handler(name, *rpc) for name, rpc in service.rpcs().items()}
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.NAME, handlers),))
        self.address = f"localhost:{self._server.add_insecure_port('localhost:0')}"
        self._server.start()

    def fault(self, method: str, fault: Fault, times: int = 1) -> None:
        """Lets the next `times` calls of an RPC go wrong so; faults of one RPC happen in the order in which they were given."""
        self._faults[method].extend([fault] * times)

    def heal(self) -> None:
        """Lets nothing go wrong from here on."""
        self._faults.clear()

    def methods(self) -> list[str]:
        """Names of the RPCs that were called, in order."""
        return [call.method for call in self.calls]

    def stop(self) -> None:
        """Ends at once, with all calls that still wait."""
        self._stopped.set()
        self._server.stop(grace=None).wait()

    def _handler(self, name: str, request_type: type, response_type: type, rpc: Callable) -> grpc.RpcMethodHandler:
        def answer(request, context: grpc.ServicerContext):
            with self._one_at_a_time:
                self.calls.append(Call(name, request))
                fault = self._faults[name].popleft() if self._faults[name] else None
                try:
                    response = rpc(request) if fault is None or fault.done else None
                except Refusal as refusal:
                    fault = Fault(refusal.code, refusal.details)
            if fault is None:
                return response
            if fault.code is None:
                # Until the caller gives up. In steps, as nothing else wakes this thread when the test is over.
                while context.is_active() and not self._stopped.wait(0.05):
                    pass
                context.abort(grpc.StatusCode.CANCELLED, "nobody waits any more")
            context.abort(fault.code, fault.details)

        return grpc.unary_unary_rpc_method_handler(answer, _reader(request_type), _writer(response_type))


def _reader(message: type) -> Callable[[bytes], object]:
    """How a message of google-cloud-aiplatform (proto-plus) or of plain protobuf is read."""
    return getattr(message, "deserialize", None) or message.FromString


def _writer(message: type) -> Callable[[object], bytes]:
    return getattr(message, "serialize", None) or message.SerializeToString
