"""`python -m rehearse_by_forks ARGUMENTS` does what `flowers ARGUMENTS` does, with rehearsed tasks and jobs forked by the fork server.

Each task of a DAG starts Python once to three times, and every start imports TensorFlow and TFX. Only how a command is started is
exchanged, at the two seams that are there for it.
"""

import os
import pathlib
import sys
from collections.abc import Mapping

import fork_server

from cli.main import main
from pipeline.rehearsal import custom_job, task

HERE, ITSELF = pathlib.Path(__file__).resolve().parent, "rehearse_by_forks"
JOB = "pipeline.rehearsal.custom_job"


def start_task(arguments: list[str], folder: pathlib.Path, environment: Mapping[str, str], log) -> int:
    python, *arguments = arguments
    assert python == sys.executable
    # The stand-in for the job service starts a command too: it becomes this module, which exchanges that as well.
    arguments = [ITSELF if one == JOB else one for one in arguments]
    environment = {**environment, "PYTHONPATH": f"{environment['PYTHONPATH']}{os.pathsep}{HERE}"}
    return fork_server.run(
        arguments, cwd=folder, env=environment, stdin=fork_server.DEVNULL, stdout=log, stderr=fork_server.STDOUT).returncode  # fmt: skip


def start_job(command: list[str], environment: Mapping[str, str], seconds: float | None) -> int:
    python, *arguments = command
    assert python == sys.executable
    return fork_server.run(arguments, env=environment, timeout=seconds).returncode


if __name__ == "__main__":
    task._start, custom_job._start = start_task, start_job  # noqa: SLF001
    if sys.argv[1] in ("compile", "rehearse", "run"):
        raise SystemExit(main())
    custom_job.main()
