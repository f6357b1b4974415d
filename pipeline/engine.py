"""Which engine of Beam's runs the nodes that use Beam: this process, or what a job server runs them on (`--beam-endpoint`).

An engine changes no output, and so no cache key. TFX hashes a node's Beam arguments; the engine is therefore a placeholder in them,
which is filled from the environment when the node runs.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator

from tfx.dsl.placeholder import placeholder

# Not DirectRunner, which first tries Prism, whose executable it downloads.
IN_PROCESS = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
PORTABLE = "PortableRunner"

RUNNER, ENDPOINT, WORKERS, POOL = (f"FLOWERS_BEAM_{name}" for name in ("RUNNER", "ENDPOINT", "WORKERS", "POOL"))
# Workers are threads of this process, to which the engine connects; or processes that a pool starts where the engine asks for them.
HERE, OF_A_POOL = "LOOPBACK", "EXTERNAL"

# Where neither packages nor an image are named, TFX packs itself into one for each node that uses Beam, which takes seconds and leaves
# 40 MB in the folder of temporary files. The image is never used. What Beam would send besides are the names of all installed packages.
OPTIONS = ("--sdk_container_image=none", "--requirements_cache=skip", "--experiments=disable_logging_submission_environment")
ARGUMENTS = (
    *(
        f"--{option}=" + placeholder.environment_variable(name)
        for option, name in (("runner", RUNNER), ("job_endpoint", ENDPOINT), ("environment_type", WORKERS), ("environment_config", POOL))
    ),
    *OPTIONS,
)


def portable_arguments(endpoint: str, pool: str) -> list[str]:
    """Beam's options for a job server at `endpoint`, whose workers are processes of the pool at `pool`; both HOST:PORT."""
    return [
        f"--runner={PORTABLE}",
        f"--job_endpoint={endpoint}",
        f"--environment_type={OF_A_POOL}",
        f"--environment_config={pool}",
        *OPTIONS,
    ]


@contextlib.contextmanager
def chosen(endpoint: str, pool: str = "") -> Iterator[None]:
    """Lets ARGUMENTS mean this process, or the job server at `endpoint`, HOST:PORT, during the block; "" is this process.

    Args:
      pool: HOST:PORT at which the engine finds a pool of workers; "": threads of this process are its workers.
    """
    values = {RUNNER: PORTABLE if endpoint else IN_PROCESS, ENDPOINT: endpoint, WORKERS: OF_A_POOL if pool else HERE, POOL: pool}
    before = {name: os.environ.get(name) for name in values}
    folder_before = tempfile.tempdir
    with contextlib.ExitStack() as at_the_end:
        if endpoint:  # Beam leaves a folder behind for each pipeline that it sends
            folder = at_the_end.enter_context(tempfile.TemporaryDirectory())
            at_the_end.callback(setattr, tempfile, "tempdir", folder_before)
            tempfile.tempdir = folder
        os.environ.update(values)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
