"""Errors of components that end a run with an exit status of their own."""


class SourceNotFound(ValueError):
    """The source does not name any data: no such folder, an empty one, an unknown TFDS name. Exit status 2."""


class SourceUnreachable(SourceNotFound):
    """Whether the source names any data cannot be told: no permission, no credentials, no network. Exit status 2."""


class DataRefused(RuntimeError):
    """The data was read and cannot be used: anomalies, too many unreadable files, too few classes. Exit status 3."""
