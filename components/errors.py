"""Errors by which components tell the command line why a run ended."""


class SourceNotFound(ValueError):
    """The source does not name a data set: no such folder, an empty one, an unknown TFDS name. Exit status 2."""


class DataRefused(RuntimeError):
    """The data was looked at and cannot be used: anomalies, too many unreadable files, too few classes. Exit status 3."""


