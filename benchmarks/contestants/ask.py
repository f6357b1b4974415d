"""The benchmark's end of the pipe to a contestant; see worker.py."""

import contextlib
import os
import pathlib
import subprocess
import sys

from contestants.worker import MARK

FOLDER = pathlib.Path(__file__).parent


class Contestant:
    """A running process of `script` (a file beside this one); `images_per_second` asks it for a measurement."""

    def __init__(self, script: str, options: dict[str, object], *, python: str = sys.executable, environment: dict[str, str] = {}):
        command = [python, str(FOLDER / script), *(f"--{name}={value}" for name, value in options.items())]
        self.process = subprocess.Popen(
            command, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip

    def images_per_second(self, steps: int) -> float:
        """Measured over `steps` steps.

        Raises:
          RuntimeError: the contestant ended; the message has its standard error.
        """
        with contextlib.suppress(BrokenPipeError):  # it has ended, which its output tells better
            self.process.stdin.write(f"{steps}\n")
            self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith(MARK):
                return float(line.removeprefix(MARK))
        raise RuntimeError(f"{self.process.args} ended:\n{self.process.stderr.read()}")

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate()
