"""Where on Google Cloud a pipeline runs, as the command line names it. Called by its verbs; imports nothing heavy."""

import dataclasses
import re

from pipeline_config import require

TASK, DATAFLOW = BEAM_RUNNERS = ("task", "dataflow")

# What may stand where on the command line: Google's rules for the names of projects, regions and buckets.
PROJECT = r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
REGION = r"[a-z]+-[a-z]+[0-9]+"
BUCKET = r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[\w.-]+)*"
IMAGE = r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})"


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a compiled pipeline is to run.

    Attributes:
      project: id of the Google Cloud project.
      region: such as europe-west4.
      bucket: gs://BUCKET or gs://BUCKET/FOLDER, below which everything is kept.
      image: the container image of every task and job, with tag or digest.
      beam_runner: `task`, Beam on the task's own machine, or `dataflow`.
    """

    project: str
    region: str
    bucket: str
    image: str
    beam_runner: str = TASK

    @property
    def outcomes(self) -> str:
        """The folder that gets a file about each run that has ended; see components.run_outcome."""
        return f"{self.bucket}/outcomes"

    def __post_init__(self):
        require_place(self.project, self.region)
        for key, pattern, expected in (
            ("bucket", BUCKET, "gs://BUCKET or gs://BUCKET/FOLDER, without a slash at the end"),
            ("image", IMAGE, "HOST/PATH:TAG or HOST/PATH@sha256:DIGEST"),
        ):
            require(re.fullmatch(pattern, getattr(self, key)) is not None, f"--{key}", expected, getattr(self, key))
        require(self.beam_runner in BEAM_RUNNERS, "--beam-runner", " or ".join(BEAM_RUNNERS), self.beam_runner)


def require_place(project: str, region: str) -> None:
    """Raises ConfigurationError where no project or region can be called so."""
    require(re.fullmatch(PROJECT, project) is not None, "--project", "the id of a Google Cloud project", project)
    require(re.fullmatch(REGION, region) is not None, "--region", "a region such as europe-west4", region)
