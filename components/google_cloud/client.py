"""Calls to Vertex AI's services, none of which can hang: each attempt has a deadline, and attempts have one together.

The clients are google-cloud-aiplatform's own. They come without any deadline, and some of their calls must not simply be sent
again, so that neither is left to them.
"""

import contextlib
import dataclasses
import functools
import os
import time
import typing
from collections.abc import Callable, Iterable, Iterator

import google.auth
import google.auth.transport.requests
import grpc
from google.api_core import exceptions, retry
from google.auth import exceptions as auth_exceptions
from google.longrunning import operations_pb2

import pipeline_config
from components.errors import GoogleCloudError
from components.google_cloud import problems
from pipeline_config import require

# localhost:PORT of a server that stands in for Google's, as for Google's own emulators (STORAGE_EMULATOR_HOST, …). It is called
# without credentials and without encryption.
EMULATOR = "VERTEX_AI_EMULATOR_HOST"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
# Seconds before the second attempt, doubled for each further one up to the second number: as Google's own retries.
FIRST_WAIT, LONGEST_WAIT = 1.0, 32.0

Client = typing.TypeVar("Client")
Answer = typing.TypeVar("Answer")


@dataclasses.dataclass(frozen=True)
class Connection:
    """A project's Vertex AI in one region.

    Attributes:
      project: id of the project.
      region: such as europe-west4.
      call_seconds: after which an attempt without an answer has failed.
      retry_seconds: after which no further attempt is made.
    """

    project: str
    region: str
    call_seconds: float = pipeline_config.Vertex.call_seconds
    retry_seconds: float = pipeline_config.Vertex.retry_seconds

    @property
    def parent(self) -> str:
        """The resource name of the region, in which everything of it lies."""
        return f"projects/{self.project}/locations/{self.region}"

    def client(self, client_class: type[Client]) -> Client:
        """A client of google-cloud-aiplatform, such as aiplatform_v1's PipelineServiceClient.

        Raises:
          GoogleCloudError: there are no credentials, or they do not hold any more.
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
        with self._in_plain_words(rpc):
            return rpc(request=request, retry=None, timeout=self.call_seconds)

    def repeated(self, attempt: Callable[[], Answer]) -> Answer:
        """What `attempt` returns; makes it again while it fails for a reason that may pass, for retry_seconds at most.

        Args:
          attempt: makes its calls with `once`, and has to be right also where an earlier attempt did all its work and only the
            answer was lost.

        Raises:
          GoogleCloudError: as the last attempt.
        """
        again = retry.Retry(
            predicate=lambda error: isinstance(error, GoogleCloudError) and error.may_pass,
            initial=FIRST_WAIT, maximum=LONGEST_WAIT, timeout=self.retry_seconds)  # fmt: skip
        try:
            return again(attempt)()
        except exceptions.RetryError as error:
            raise typing.cast(GoogleCloudError, error.cause) from None

    def call(self, rpc: Callable[..., Answer], request: object) -> Answer:
        """One call that may be sent again as it is: reading, or setting what may be set twice.

        Raises:
          GoogleCloudError: it failed.
        """
        return self.repeated(functools.partial(self.once, rpc, request))

    def listed(self, rpc: Callable[..., Iterable[Answer]], request: object) -> list[Answer]:
        """All that a call lists, over all its pages.

        Raises:
          GoogleCloudError: it failed, at whichever page.
        """

        return self.repeated(lambda: self.listed_once(rpc, request))

    def listed_once(self, rpc: Callable[..., Iterable[Answer]], request: object) -> list[Answer]:
        """The same in one attempt.

        Raises:
          GoogleCloudError: it failed, at whichever page.
        """
        with self._in_plain_words(rpc):
            return list(rpc(request=request, retry=None, timeout=self.call_seconds))

    def finished(self, client, name: str, seconds: float) -> operations_pb2.Operation:
        """The long-running operation `name` after its end.

        Args:
          client: of the service that began it.
          seconds: for which it is waited for.

        Raises:
          GoogleCloudError: it failed, or has not ended in time.
        """
        end, wait = time.monotonic() + seconds, FIRST_WAIT
        while True:
            operation = self.call(client.get_operation, operations_pb2.GetOperationRequest(name=name))
            if operation.HasField("error"):
                raise problems.failed(operation.error, name)
            if operation.done:
                return operation
            if time.monotonic() + wait > end:
                raise GoogleCloudError(f"{name} has not ended within {seconds:g} s; it goes on at Google's", may_pass=True)
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    @contextlib.contextmanager
    def _in_plain_words(self, rpc: Callable) -> Iterator[None]:
        try:
            yield
        except (exceptions.GoogleAPICallError, auth_exceptions.GoogleAuthError) as error:
            raise problems.explained(error, rpc.__name__, self.parent) from error

    def _credentials(self):
        """The application's default credentials, refreshed: a failure here is told from one of the service."""
        request = google.auth.transport.requests.Request()
        try:
            credentials, _ = google.auth.default(scopes=SCOPES)
            credentials.refresh(functools.partial(request, timeout=self.call_seconds))
        except auth_exceptions.GoogleAuthError as error:
            raise problems.explained(error, "credentials", self.parent) from error
        return credentials
