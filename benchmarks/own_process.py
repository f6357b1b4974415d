"""Runs one row of a benchmark's table in a process of its own, so that rows share no memory, devices or settings."""

import os
import subprocess
import sys

from contracts import libraries


def last_line(script: str, *options: str) -> str:
    """The last line that `script` prints with `options`, or the error that ended it."""
    done = _run(script, options, stdout=subprocess.PIPE)
    return _error(done) if done.returncode else done.stdout.rstrip("\n").splitlines()[-1]


def shown(script: str, *options: str) -> None:
    """Lets `script` print with `options`; and the error that ended it."""
    done = _run(script, options, stdout=None)
    if done.returncode:
        print(_error(done), flush=True)


def _run(script: str, options: tuple[str, ...], stdout: int | None) -> subprocess.CompletedProcess:
    environment = dict(os.environ)
    libraries.set_variables(environment)
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    return subprocess.run([sys.executable, script, *options], env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


def _error(done: subprocess.CompletedProcess) -> str:
    return f"  failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}"
