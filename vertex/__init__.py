"""Everything that talks to Google Cloud, and nothing else does: its client, and Vertex AI's jobs, schedules and models."""


class GoogleCloudError(RuntimeError):
    """A call to Google Cloud failed. Exit status 1 where it may pass, else 2.

    Attributes:
      code: the grpc.StatusCode that the service answered with; None where there was none.
      may_pass: whether the same may succeed a little later, and whether what was asked for may have been done all the same.
    """

    def __init__(self, message: str, code: object = None, may_pass: bool = False):
        super().__init__(message)
        self.code = code
        self.may_pass = may_pass
