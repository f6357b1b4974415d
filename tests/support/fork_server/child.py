"""What a child of the server does to become the command that it was forked for."""

import contextlib
import fcntl
import os
import random
import runpy
import signal
import sys
import termios
import time

from fork_server import messages

# Standard input, output and error.
DESCRIPTORS = 3
# Those that the server handles or ignores.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


def become(request: dict) -> None:
    """Does what `python ARGUMENTS` does, in a process that has just been forked.

    Args:
      request: `arguments` as after `python`; `folder` to work in; `environment`, all of it; `new_session`, whether it leads one, and
        `terminal`, whether its standard input is the terminal that controls it; the three `descriptors`; and the `connection` to
        who asked for it.
    """
    if request["new_session"] or request["terminal"]:
        os.setsid()
    _take_descriptors(request["descriptors"])
    if request["terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # From now on, signals to its session or process group reach it, as after subprocess.Popen.
    with request["connection"] as connection, contextlib.suppress(OSError):
        messages.send(connection, {"process": os.getpid()})
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _as_if_new()
    _run(request["arguments"])


def _take_descriptors(descriptors: list[int]) -> None:
    for number, one in enumerate(descriptors):
        os.dup2(one, number)
    for one in descriptors:
        os.close(one)
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())


def _as_if_new() -> None:
    """What an interpreter and the imported libraries have from the moment of their start, or from the environment."""
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(line_buffering=True, write_through=True)
    if "TZ" in os.environ:
        time.tzset()
    # Python's own generator starts anew in every fork; NumPy's would be the same in all.
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _run(arguments: list[str]) -> None:
    """Runs `-m MODULE …`, `-c CODE …` or `FILE …` as the module __main__, with the path and arguments that Python gives it."""
    what, *rest = arguments
    first = os.getcwd() if what == "-m" else "" if what == "-c" else os.path.dirname(os.path.abspath(what))
    sys.path[:0] = [first, *(part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part)]
    main = sys.modules["__main__"]
    if what == "-m":
        sys.argv = ["-m", *rest[1:]]
        runpy._run_module_as_main(rest[0])  # noqa: SLF001 what `python -m` itself calls
        return
    if what == "-c":
        sys.argv, code, name = ["-c", *rest[1:]], rest[0], "<string>"
    else:
        sys.argv, main.__file__ = arguments, what
        with open(what, encoding="utf-8") as file:
            code, name = file.read(), what
    exec(compile(code, name, "exec"), main.__dict__)
