"""Runs commands inside a container image, by docker, podman or buildah.

Folders are mounted at the paths that they have on this machine, so that every path means the same inside and outside. The command
runs as the caller, not as the user of the image, so that the files it writes belong to the caller.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping

from pipeline_config import ConfigurationError

PROGRAMS = ("docker", "podman", "buildah")
READ_WRITE, READ_ONLY = "rw", "readonly"
# Lines that buildah adds to the output of a failed command: they have only the status.
ONLY_THE_STATUS = re.compile(r"(Error: .*exit status|subprocess exited with status) \d+")


@dataclasses.dataclass(frozen=True)
class Image:
    """An image on this machine.

    Attributes:
      name: name with tag, digest or id.
      program: which of PROGRAMS has it.
    """

    name: str
    program: str


def find(name: str) -> Image:
    """The image in the store of the first program that works and has it; nothing is pulled.

    Raises:
      ConfigurationError: none has it; the message has the answer of each.
    """
    answers = []
    for program in PROGRAMS:
        if not shutil.which(program):
            answers.append(f"{program} is not installed")
            continue
        inspect = ["inspect", "--type", "image"] if program == "buildah" else ["image", "inspect"]
        asked = subprocess.run([program, *inspect, "--", name], check=False, capture_output=True, text=True)
        if asked.returncode == 0:
            return Image(name, program)
        answers.append(f"{program}: {_last_line(asked.stderr)}")
    raise ConfigurationError(
        f"--in-image must be an image on this machine, such as `make image` builds, got {name!r}: {'; '.join(answers)}"
    )


def node_code(image: Image) -> dict[str, dict[str, str]]:
    """The code in the image, as pipeline.identity.node_code returns it.

    Raises:
      ConfigurationError: a container cannot be started, or has no such code.
    """
    with _command(image, ["python", "-m", "pipeline.identity"], {}, "/") as command:
        asked = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if asked.returncode:
        raise ConfigurationError(
            f"--in-image must be an image of this project that {image.program} can run, got {image.name!r}, "
            f"which ended with {_last_line(asked.stderr)!r}"
        )
    return json.loads(asked.stdout)


def run(image: Image, arguments: list[str], folders: Mapping[str, str], workplace: pathlib.Path, log) -> int:
    """Runs one command in a container of its own, as for a task on Vertex AI.

    Args:
      arguments: the command, without a shell.
      folders: READ_WRITE or READ_ONLY by path; absolute, without commas.
      workplace: the working directory.
      log: open file that gets all output.

    Returns:
      The exit status of the command, or that of the program if no container could be started.

    Raises:
      subprocess.CalledProcessError: buildah could not make a container.
    """
    with _command(image, arguments, {**folders, str(workplace): READ_WRITE}, str(workplace)) as command:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False)
    return status.returncode


@contextlib.contextmanager
def _command(image: Image, arguments: list[str], folders: Mapping[str, str], workplace: str) -> Iterator[list[str]]:
    """The command to run on this machine; for the block only, as buildah's containers have to be removed afterwards."""
    # HOME: the user may be unknown in the image, and then has no home that can be written to.
    options = ["--env", "HOME=/tmp"]
    for path, access in folders.items():
        # Without `rw` buildah mounts read-only; the others mount writable, and docker does not accept `rw`.
        ending = "" if access == READ_WRITE and image.program != "buildah" else f",{access}"
        options += ["--mount", f"type=bind,source={path},target={path}{ending}"]
    if image.program != "buildah":
        options = ["--rm", "--pull=never", *_as_caller(image.program), *options, "--workdir", workplace]
        yield [image.program, "run", *options, "--entrypoint", arguments[0], image.name, *arguments[1:]]
        return
    made = subprocess.run(["buildah", "from", "--pull-never", image.name], check=True, stdout=subprocess.PIPE, text=True)
    container = made.stdout.strip()
    try:
        yield ["buildah", "run", *_as_caller("buildah"), *options, "--workingdir", workplace, container, "--", *arguments]
    finally:
        subprocess.run(["buildah", "rm", container], check=False, stdout=subprocess.DEVNULL)


def _as_caller(program: str) -> list[str]:
    """Options by which files that the command writes belong to the caller."""
    user, group = os.getuid(), os.getgid()
    if program == "docker":
        return ["--user", f"{user}:{group}"]
    # Without root's rights the others run in a user namespace, in which root is the caller. Podman can use the caller's own
    # number instead; its labels would block the mounted folders on a system with SELinux.
    if program == "podman":
        return ["--security-opt", "label=disable", "--user", f"{user}:{group}", *(["--userns", "keep-id"] if user else [])]
    return ["--user", "0:0"]


def _last_line(text: str) -> str:
    return ([line for line in text.strip().splitlines() if not ONLY_THE_STATUS.fullmatch(line)] or ["no answer"])[-1]
