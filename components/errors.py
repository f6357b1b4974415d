"""Errors by which components tell the command line why a run ended."""


class SourceNotFound(ValueError):
    """The source does not name a data set: no such folder, an empty one, an unknown TFDS name. Exit status 2."""


class DataRefused(RuntimeError):
    """The data was looked at and cannot be used: anomalies, too many unreadable files, too few classes. Exit status 3."""


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
