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

RUNNER, ENDPOINT = "FLOWERS_BEAM_RUNNER", "FLOWERS_BEAM_ENDPOINT"

# Workers are threads of this process (LOOPBACK) whatever the engine, so they need no packages. Where neither packages nor an image are
# named, TFX packs itself into one for each node that uses Beam, which takes seconds and leaves 40 MB in the folder of temporary files.
# The image is never used. What Beam would send besides are the names of all installed packages.
OPTIONS = ("--environment_type=LOOPBACK", "--sdk_container_image=none", "--requirements_cache=skip",
           "--experiments=disable_logging_submission_environment")  # fmt: skip
ARGUMENTS = (
    "--runner=" + placeholder.environment_variable(RUNNER), "--job_endpoint=" + placeholder.environment_variable(ENDPOINT), *OPTIONS)  # fmt: skip


@contextlib.contextmanager
def chosen(endpoint: str) -> Iterator[None]:
    """Lets ARGUMENTS mean this process, or the job server at `endpoint`, HOST:PORT, during the block; "" is this process."""
    values = {RUNNER: PORTABLE if endpoint else IN_PROCESS, ENDPOINT: endpoint}
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
