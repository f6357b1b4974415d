"""Versions of the code that nodes run, so that changed code re-runs its nodes and a registered version can be traced to it.

Called by the command line before the DAG is built. The TFX cache compares parameters only: it would serve the output of
yesterday's code if the code's version were not one of them. `python -m pipeline.code_version` prints the versions of an
installation, such as the one in an image.
"""

import hashlib
import json
import pathlib
from collections.abc import Sequence

from pipeline import __version__

PROJECT = pathlib.Path(__file__).resolve().parent.parent

# The two parts that are versioned separately: a changed trainer does not read the photographs again.
COMPONENTS = ("contracts", "components")
TRAINER = ("contracts", "trainer")

# What a node runs: code, and the templates of the page.
SOURCES = (".py", ".html", ".css", ".js")


def code_version(packages: Sequence[str], project: pathlib.Path = PROJECT) -> str:
    """`<release>+<12 hex digits>`: the digits are of the SHA-256 over the paths and bytes of all SOURCES below `packages`.

    Args:
      packages: folders below `project`, such as COMPONENTS or TRAINER.

    Raises:
      FileNotFoundError: one of the folders holds no source file.
    """
    digest = hashlib.sha256()
    for package in packages:
        files = sorted(path for path in (project / package).rglob("*") if path.suffix in SOURCES)
        if not files:
            raise FileNotFoundError(f"no source file below {project / package}: the installation is incomplete")
        for file in files:
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.relative_to(project).as_posix()}\0{content}\n".encode())
    return f"{__version__}+{digest.hexdigest()[:12]}"


def code_versions() -> dict[str, str]:
    """The present versions of both parts, by their last package: `components` and `trainer`."""
    return {packages[-1]: code_version(packages) for packages in (COMPONENTS, TRAINER)}


if __name__ == "__main__":
    print(json.dumps(code_versions()))
