"""Runs one row of a benchmark's table in a process of its own, so that rows share no memory, devices or settings."""

import os
import subprocess
import sys

import psutil

from contracts import libraries


def processor_seconds() -> float:
    """Of this process and all that it has started, also those that ended and were waited for."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(one.cpu_times()[:4]) for one in family)  # user, system, and both of children that were waited for


def memory_of_others() -> float:
    """What the processes that this one has started take besides what they share, in 10^6 bytes."""
    return sum(one.memory_full_info().uss for one in psutil.Process().children(recursive=True)) / 1e6


def last_line(script: str, *options: str, checkout: str | None = None) -> str:
    """The last line that `script` prints with `options`, or the error that ended it; with the code of another `checkout`, if given."""
    done = _run(script, options, stdout=subprocess.PIPE, checkout=checkout)
    return _error(done) if done.returncode else done.stdout.rstrip("\n").splitlines()[-1]


def shown(script: str, *options: str) -> None:
    """Lets `script` print with `options`; and the error that ended it."""
    done = _run(script, options, stdout=None)
    if done.returncode:
        print(_error(done), flush=True)


def _run(script: str, options: tuple[str, ...], stdout: int | None, checkout: str | None = None) -> subprocess.CompletedProcess:
    environment = dict(os.environ)
    libraries.set_variables(environment)
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if checkout:
        environment["PYTHONPATH"] = os.path.abspath(checkout)
    return subprocess.run(
        [sys.executable, script, *options], env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


def _error(done: subprocess.CompletedProcess) -> str:
    return f"  failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}"
