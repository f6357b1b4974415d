"""Processes that the server forks, with as much of the module subprocess as the tests use.

`begin` starts the server of a session in the background, whoever calls it first; `Process` waits until it listens.
"""

import contextlib
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence

from fork_server import messages

PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL
# Folder of the session's server, and the process whose end is its end; inherited by the workers of a session.
FOLDER, OWNER = "TEST_FORK_SERVER", "TEST_FORK_SERVER_OWNER"
# A busy machine imports slowly, which is no reason to fail.
PATIENCE_SECONDS = 600

_started: list[subprocess.Popen] = []


def open_session() -> None:
    """Makes the place where this process and those that it starts find their server. Called once, by the owner."""
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="fork_server_")
    os.environ[OWNER] = str(os.getpid())


def close_session() -> None:
    """Ends the server, if there is one, and removes its place. Called by the owner."""
    folder = pathlib.Path(os.environ.pop(FOLDER))
    os.environ.pop(OWNER)
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / "socket"))
        messages.send(connection, {"end": True})
    for process in _started:
        process.terminate()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def begin() -> None:
    """Starts the server, unless someone has."""
    folder = pathlib.Path(os.environ[FOLDER])
    try:
        log = open(folder / "log", "x")
    except FileExistsError:
        return
    with log:
        _started.append(subprocess.Popen(
            [sys.executable, str(pathlib.Path(__file__).with_name("server.py")), str(folder), os.environ[OWNER]],
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, cwd="/", stdin=DEVNULL, stdout=log,
            stderr=log))  # fmt: skip


def _connection() -> socket.socket:
    """A connection to the server, as soon as it listens."""
    begin()
    folder = pathlib.Path(os.environ[FOLDER])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(folder / "socket"))
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline or any(process.poll() is not None for process in _started):
                raise RuntimeError(f"the fork server does not answer: {(folder / 'log').read_text()}") from error
            time.sleep(0.1)
        else:
            return connection


class Process:
    """A command that runs, as subprocess.Popen([sys.executable, *arguments]).

    Args:
      arguments: as after `python`: `-m MODULE …`, `-c CODE …` or `FILE …`.
      cwd, env, stdin, stdout, stderr, text, start_new_session: as Popen has them.
      terminal: whether `stdin` is a terminal that shall control the process, as a shell's foreground job has one.
    """

    def __init__(
        self, arguments: Sequence[str | os.PathLike], *, cwd: str | os.PathLike | None = None, env: Mapping[str, str] | None = None,
        stdin=None, stdout=None, stderr=None, text: bool = False, start_new_session: bool = False, terminal: bool = False,
    ):  # fmt: skip
        self.args = [os.fspath(one) for one in arguments]
        self.returncode: int | None = None
        self.stdin = self.stdout = self.stderr = None
        mode = {"encoding": "utf-8"} if text else {}
        with contextlib.ExitStack() as ours:  # what only the child needs
            given = []
            for number, wanted in enumerate((stdin, stdout, stderr)):
                if wanted == PIPE:
                    reads, writes = os.pipe()
                    theirs, here = (reads, writes) if number == 0 else (writes, reads)
                    ours.callback(os.close, theirs)
                    opened = open(here, ("w" if number == 0 else "r") + ("" if text else "b"), **mode)
                    setattr(self, ("stdin", "stdout", "stderr")[number], opened)
                    given.append(theirs)
                elif wanted == DEVNULL:
                    given.append(ours.enter_context(open(os.devnull, "r+b", buffering=0)).fileno())
                elif wanted == STDOUT:
                    given.append(given[1])
                else:
                    given.append(number if wanted is None else wanted if isinstance(wanted, int) else wanted.fileno())
            self._connection = _connection()
            messages.send(self._connection, {
                "arguments": self.args, "folder": os.path.abspath(cwd or "."), "environment": dict(os.environ if env is None else env),
                "new_session": start_new_session, "terminal": terminal}, tuple(given))  # fmt: skip
        self.pid: int = self._answer()["process"]

    def _answer(self) -> dict:
        answer, _ = messages.receive(self._connection)
        if answer is None:
            raise RuntimeError(f"the fork server has gone: {(pathlib.Path(os.environ[FOLDER]) / 'log').read_text()}")
        return answer

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = self._answer()["status"]
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends the signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, input=None, timeout: float | None = None) -> tuple:
        """Writes `input`, reads both outputs to their ends, waits; returns what was read, None for what is no pipe."""
        read = {}

        def drain(name, file):
            with file:
                read[name] = file.read()

        drains = [threading.Thread(target=drain, args=(name, file), daemon=True)
                  for name in ("stdout", "stderr") if (file := getattr(self, name)) and not file.closed]  # fmt: skip
        for one in drains:
            one.start()
        if self.stdin and not self.stdin.closed:
            with contextlib.suppress(BrokenPipeError), self.stdin:
                if input:
                    self.stdin.write(input)
        deadline = None if timeout is None else time.monotonic() + timeout
        self.wait(timeout)
        for one in drains:
            one.join(None if deadline is None else max(0, deadline - time.monotonic()))
            if one.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        return read.get("stdout"), read.get("stderr")

    def __enter__(self):
        return self

    def __exit__(self, *caught):
        for file in (self.stdin, self.stdout, self.stderr):
            if file and not file.closed:
                with contextlib.suppress(BrokenPipeError):
                    file.close()
        self.wait()


def run(
    arguments: Sequence[str | os.PathLike], *, input=None, capture_output: bool = False, timeout: float | None = None,
    check: bool = False, **options,
) -> subprocess.CompletedProcess:  # fmt: skip
    """Runs a command to its end, as subprocess.run([sys.executable, *arguments]); the options are those of Process."""
    if capture_output:
        options |= {"stdout": PIPE, "stderr": PIPE}
    if input is not None:
        options["stdin"] = PIPE
    process = Process(arguments, **options)
    try:
        stdout, stderr = process.communicate(input, timeout)
    except BaseException:
        process.kill()
        process.wait()
        raise
    ended = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    if check:
        ended.check_returncode()
    return ended
