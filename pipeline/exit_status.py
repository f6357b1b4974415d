"""Exit statuses of `flowers`, which scripts and schedules rely on."""

import enum


class ExitStatus(enum.IntEnum):
    """What the process tells its caller."""

    FINISHED = 0  # the run finished, whether or not the backbone was pushed
    NODE_FAILED = 1
    BAD_ARGUMENTS = 2  # or a configuration or source that cannot work
    DATA_REFUSED = 3
    NOT_PUSHED = 4  # with --require-push only
    INTERRUPTED = 130  # by Ctrl-C, as shells report it, or by SIGTERM
