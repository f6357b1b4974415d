"""Runs one row of a benchmark's table in a process of its own, so that rows share no memory, devices or settings."""

import os
import subprocess
import sys

from contracts import libraries


def last_line(script: str, *options: str) -> str:
    """The last line that `script` prints with `options`, or the error that ended it."""
    return lines(script, *options)[-1]


def lines(script: str, *options: str) -> list[str]:
    """What `script` prints with `options`, or one line on the error that ended it."""
    environment = dict(os.environ)
    libraries.set_variables(environment)
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    done = subprocess.run([sys.executable, script, *options], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"  failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}"]
    return done.stdout.rstrip("\n").splitlines()
