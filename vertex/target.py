"""Where on Google Cloud a pipeline runs, and on which machines. Imports nothing heavy.

Machine types and accelerators are from Google's pages "Configure compute resources for custom training" (the tables of machine types
and GPUs) and, for N1, "GPU models" of Compute Engine (vCPUs a GPU). Only Google's servers know what is available in which region,
and a project's quota.
"""

import dataclasses
import difflib
import re

from pipeline_config import Worker, require

TASK, DATAFLOW = BEAM_RUNNERS = ("task", "dataflow")

# Google's rules for the names of projects, regions and buckets.
PROJECT = r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
REGION = r"[a-z]+-[a-z]+[0-9]+"
BUCKET = r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[\w.-]+)*"
ADDRESS = r"[\w.-]+:[0-9]{1,5}"
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
      beam_endpoint, beam_workers: HOST:PORT of a job server that runs Beam instead, and of the pool at which its engine finds workers.
    """

    project: str
    region: str
    bucket: str
    image: str
    beam_runner: str = TASK
    beam_endpoint: str = ""
    beam_workers: str = ""

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
        require(not self.beam_endpoint or self.beam_runner == TASK, "--beam-runner", "left out with --beam-endpoint", self.beam_runner)
        require(bool(self.beam_endpoint) == bool(self.beam_workers), "--beam-workers",
                "given together with --beam-endpoint, as an engine cannot connect to workers in a task of Vertex AI",
                self.beam_workers)  # fmt: skip
        for key, address in (("--beam-endpoint", self.beam_endpoint), ("--beam-workers", self.beam_workers)):
            require(not address or re.fullmatch(ADDRESS, address) is not None, key, "HOST:PORT", address)


def require_place(project: str, region: str) -> None:
    """Raises ConfigurationError if a project or region cannot have this name."""
    require(re.fullmatch(PROJECT, project) is not None, "--project", "the id of a Google Cloud project", project)
    require(re.fullmatch(REGION, region) is not None, "--region", "a region such as europe-west4", region)


# Machine types without accelerators: family to numbers of vCPUs.
CPU_FAMILIES = {
    "e2-standard": (4, 8, 16, 32),
    "e2-highmem": (2, 4, 8, 16),
    "e2-highcpu": (16, 32),
    "n2-standard": (4, 8, 16, 32, 48, 64, 80),
    "n2-highmem": (2, 4, 8, 16, 32, 48, 64, 80),
    "n2-highcpu": (16, 32, 48, 64, 80),
    "c2-standard": (4, 8, 16, 30, 60),
}
# Machine types to which accelerators can be attached.
N1_FAMILIES = {"n1-standard": (4, 8, 16, 32, 64, 96), "n1-highmem": (2, 4, 8, 16, 32, 64, 96), "n1-highcpu": (16, 32, 64, 96)}
# Accelerators of an N1: the numbers that can be attached, and the most vCPUs for each of them.
N1_ACCELERATORS = {
    "NVIDIA_TESLA_T4": ((1, 2, 4), 24),
    "NVIDIA_TESLA_P100": ((1, 2, 4), 16),
    "NVIDIA_TESLA_V100": ((1, 2, 4, 8), 12),
}
# Machine types that come with their accelerators.
WITH_ACCELERATORS = {
    **{f"g2-standard-{vcpus}": ("NVIDIA_L4", count)
       for vcpus, count in ((4, 1), (8, 1), (12, 1), (16, 1), (24, 2), (32, 1), (48, 4), (96, 8))},
    **{f"a2-highgpu-{count}g": ("NVIDIA_TESLA_A100", count) for count in (1, 2, 4, 8)},
    "a2-megagpu-16g": ("NVIDIA_TESLA_A100", 16),
    **{f"a2-ultragpu-{count}g": ("NVIDIA_A100_80GB", count) for count in (1, 2, 4, 8)},
    **{f"a3-highgpu-{count}g": ("NVIDIA_H100_80GB", count) for count in (1, 2, 4, 8)},
    "a3-megagpu-8g": ("NVIDIA_H100_MEGA_80GB", 8),
}  # fmt: skip
# Parts of a larger machine, which Vertex AI gives only to spot (or queued) jobs.
SPOT_ONLY = ("a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g")

MACHINE_TYPES = {
    **{f"{family}-{vcpus}": vcpus for family, sizes in (CPU_FAMILIES | N1_FAMILIES).items() for vcpus in sizes},
    **dict.fromkeys(WITH_ACCELERATORS, 0),
}


def require_legal(worker: Worker, key: str) -> None:
    """Checks that machine type, accelerator and count fit together.

    Args:
      key: dotted key of the worker, for the message.

    Raises:
      ConfigurationError: no such machine, or not with these accelerators; the message lists the possible ones.
    """
    nearest = difflib.get_close_matches(worker.machine_type, MACHINE_TYPES, n=3)
    require(worker.machine_type in MACHINE_TYPES, f"{key}.machine_type",
            f"a machine type of Vertex AI training (near: {', '.join(nearest) or 'n1-standard-8, a2-highgpu-1g'})",
            worker.machine_type)  # fmt: skip
    legal = legal_accelerators(worker.machine_type)
    words = " or ".join(f"{count} x {name}" if name else "none" for name, count in legal)
    require((worker.accelerator, worker.accelerators) in legal, f"{key}.accelerator and {key}.accelerators",
            f"{words} for {worker.machine_type}", f"{worker.accelerators} x {worker.accelerator or 'none'}")  # fmt: skip
    require(worker.spot or worker.machine_type not in SPOT_ONLY, f"{key}.spot", f"true for {worker.machine_type}", worker.spot)


def legal_accelerators(machine_type: str) -> list[tuple[str, int]]:
    """All (accelerator, count) that a known machine type can have; ("", 0) for none."""
    if machine_type in WITH_ACCELERATORS:
        return [WITH_ACCELERATORS[machine_type]]
    attachable = N1_ACCELERATORS if machine_type.startswith("n1-") else {}
    vcpus = MACHINE_TYPES[machine_type]
    return [("", 0)] + [(name, count) for name, (counts, most) in attachable.items() for count in counts if count * most >= vcpus]
