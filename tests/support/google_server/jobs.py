"""google.cloud.aiplatform.v1.JobService, as far as custom jobs go."""

import itertools

from google.cloud.aiplatform_v1.types import CustomJob, JobState, job_service

from google_server.service import Service, existing, require, with_project_number


class JobService(Service):
    """Custom jobs by name. Nothing runs: a test gives the states that jobs go through.

    Attributes:
      jobs: by resource name.
      course: states that the next jobs asked for go through, one at each GetCustomJob; the last one stays.
    """

    NAME = "google.cloud.aiplatform.v1.JobService"

    def __init__(self):
        self.jobs: dict[str, CustomJob] = {}
        self.course: list[JobState] = [JobState.JOB_STATE_SUCCEEDED]
        self._numbers = itertools.count(1_000_000_000_000_000_001)

    def CreateCustomJob(self, request: job_service.CreateCustomJobRequest) -> CustomJob:
        job = CustomJob(request.custom_job)
        require(job.display_name, "display_name is required.")
        require(job.job_spec.worker_pool_specs, "worker_pool_specs is required.")
        for pool in job.job_spec.worker_pool_specs:
            require(pool.machine_spec.machine_type and pool.container_spec.image_uri and pool.replica_count >= 1,
                    "machine_type, image_uri and replica_count are required.")  # fmt: skip
        job.name = f"{with_project_number(request.parent)}/customJobs/{next(self._numbers)}"
        job.state = JobState.JOB_STATE_PENDING
        self.jobs[job.name] = job
        return job

    def GetCustomJob(self, request: job_service.GetCustomJobRequest) -> CustomJob:
        job = existing(self.jobs, request.name)
        job.state = self.course.pop(0) if len(self.course) > 1 else self.course[0]
        return job
