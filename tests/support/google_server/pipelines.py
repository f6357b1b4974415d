"""google.cloud.aiplatform.v1.PipelineService, as far as pipeline jobs go."""

import itertools
import re

import grpc
from google.cloud.aiplatform_v1.types import PipelineJob, PipelineState, pipeline_service

from google_server.service import Service, existing, require, with_project_number

# Fields that a list of jobs is asked for: a whole job is megabytes.
READABLE = {"name", "state", "labels"}


class PipelineService(Service):
    """Pipeline jobs by name. Nothing runs: a test gives a job the states that it goes through.

    Attributes:
      jobs: by resource name.
      course: states and, with them, whatever else changes that the next jobs asked for go through, one at each GetPipelineJob;
        the last one stays.
    """

    NAME = "google.cloud.aiplatform.v1.PipelineService"

    def __init__(self):
        self.jobs: dict[str, PipelineJob] = {}
        self.course: list[PipelineJob] = []
        self._numbers = itertools.count(1)

    def CreatePipelineJob(self, request: pipeline_service.CreatePipelineJobRequest) -> PipelineJob:
        job_id = request.pipeline_job_id or f"job-{next(self._numbers)}"
        require(re.fullmatch(r"[a-z][-a-z0-9]{0,127}", job_id), f"Invalid pipeline_job_id {job_id!r}")
        require_valid(request.pipeline_job)
        job = PipelineJob(request.pipeline_job)
        job.name = f"{with_project_number(request.parent)}/pipelineJobs/{job_id}"
        require(job.name not in self.jobs, f"PipelineJob {job.name} already exists.", grpc.StatusCode.ALREADY_EXISTS)
        job.state = PipelineState.PIPELINE_STATE_PENDING
        self.jobs[job.name] = job
        return job

    def ListPipelineJobs(self, request: pipeline_service.ListPipelineJobsRequest) -> pipeline_service.ListPipelineJobsResponse:
        parent = with_project_number(request.parent)
        label = re.fullmatch(r'labels\.([a-z_]+)="([^"]*)"', request.filter)
        require(label, f"Invalid filter {request.filter!r}")
        found = [job for name, job in self.jobs.items() if name.startswith(f"{parent}/") and job.labels.get(label[1]) == label[2]]
        wanted = list(request.read_mask.paths)
        require(set(wanted) <= READABLE, f"Invalid read_mask {', '.join(wanted)}")
        # The newest first, as Google's servers do.
        shown = [PipelineJob({name: getattr(job, name) for name in wanted}) for job in reversed(found)]
        return pipeline_service.ListPipelineJobsResponse(pipeline_jobs=shown)

    def GetPipelineJob(self, request: pipeline_service.GetPipelineJobRequest) -> PipelineJob:
        job = existing(self.jobs, request.name)
        if self.course:
            step = self.course.pop(0) if len(self.course) > 1 else self.course[0]
            PipelineJob.pb(job).MergeFrom(PipelineJob.pb(step))
        return job


def require_valid(job: PipelineJob) -> None:
    """Refuses a job without what Google requires of one."""
    require(job.runtime_config.gcs_output_directory.startswith("gs://"), "runtime_config.gcs_output_directory is required.")
    require("root" in job.pipeline_spec, "pipeline_spec.root is required.")
    for key, value in job.labels.items():
        require(re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) and re.fullmatch(r"[a-z0-9_-]{0,63}", value),
                f"Invalid label {key}={value}")  # fmt: skip
