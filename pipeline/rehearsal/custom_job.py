"""Replaces Vertex AI's job service: `python -m pipeline.rehearsal.custom_job MODULE …` does what `python -m MODULE …` does.

All of TFX's code runs as it would in the container, except the client of the job service, which runs the worker's command on this
machine instead of asking Google to.
"""

import os
import runpy
import subprocess
import sys
from collections.abc import Mapping

from google.cloud.aiplatform import gapic
from google.cloud.aiplatform_v1.types import CustomJob, JobState

from contracts import how_to_run


class LocalJobService:
    """The part of JobServiceClient that TFX uses; jobs run when they are created."""

    def __init__(self, client_options: dict):
        """`client_options` is ignored, as there is no endpoint."""
        del client_options
        self._jobs: dict[str, CustomJob] = {}

    def create_custom_job(self, parent: str, custom_job: dict) -> CustomJob:
        """Runs the first worker's command to its end.

        Raises:
          ValueError, TypeError: `custom_job` is not a CustomJob of the API.
        """
        job = CustomJob(custom_job)
        (pool,) = job.job_spec.worker_pool_specs  # the pipeline never asks for more than one machine
        command = [*pool.container_spec.command, *pool.container_spec.args]
        if command[0] == "python":
            command[0] = sys.executable
        limit = job.job_spec.scheduling.timeout
        job.name = f"{parent}/customJobs/{len(self._jobs) + 1}"
        try:
            environment = os.environ | {one.name: one.value for one in pool.container_spec.env}
            # This machine need not have what the job's would have: what is rehearsed is the file, not the GPUs.
            running = how_to_run.settings(environment) | {"allow_cpu": True}
            environment |= {how_to_run.VARIABLE: how_to_run.as_text(running)}
            status = _start(command, environment, limit.total_seconds() if limit else None)
        except subprocess.TimeoutExpired:
            print(f"The job did not end within {limit}.", file=sys.stderr)
            status = 1
        job.state = JobState.JOB_STATE_FAILED if status else JobState.JOB_STATE_SUCCEEDED
        self._jobs[job.name] = job
        return job

    def get_custom_job(self, name: str, retry: object = None) -> CustomJob:
        """The job as it ended; `retry` is ignored, as there is no network."""
        del retry
        return self._jobs[name]


def _start(command: list[str], environment: Mapping[str, str], seconds: float | None) -> int:
    """Runs a command to its end; its exit status. The seam at which tests start it otherwise.

    Raises:
      subprocess.TimeoutExpired: it did not end within `seconds`, and has been killed.
    """
    return subprocess.run(command, check=False, env=environment, timeout=seconds).returncode


def main() -> None:
    """Replaces the client, then runs MODULE."""
    gapic.JobServiceClient = LocalJobService
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
