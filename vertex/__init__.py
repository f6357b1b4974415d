"""The only package that talks to Google Cloud: its client, and Vertex AI's jobs, schedules and models."""


class GoogleCloudError(RuntimeError):
    """A call to Google Cloud failed. Exit status 1 if it may pass, else 2.

    Attributes:
      code: the grpc.StatusCode of the answer; None if there was none.
      may_pass: whether the same call may succeed a little later; the failed one may have been carried out nevertheless.
    """

    def __init__(self, message: str, code: object = None, may_pass: bool = False):
        super().__init__(message)
        self.code = code
        self.may_pass = may_pass
