"""One run at a time below a DIR: who holds the lock is told, and a process that is gone holds nothing."""

import fcntl
import os
import subprocess
import sys
import threading

import pytest

from contracts import layout
from contracts.layout import AnotherRunIsActive, active_run, run_lock

# Holds the lock, with a child that knows nothing of it, until it is killed.
HOLDER = """
import os, pathlib, sys, time
from contracts.layout import run_lock

with run_lock(pathlib.Path(sys.argv[1])):
    if not os.fork():
        print(os.getpid(), flush=True)  # by the child: from then on it holds nothing of its parent's
    time.sleep(600)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "DIR" / "lock"


@pytest.fixture
def holder(path):
    """The process that holds the lock, and its child's id."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    yield process, child
    process.kill()
    process.wait()
    os.kill(child, 9)


def test_the_process_that_holds_it_is_named_to_every_other(path, holder, monkeypatch):
    monkeypatch.setattr(layout, "PROBE_SECONDS", 0.0)
    for _ in range(2):  # whoever is refused leaves the holder's id where it stands
        with pytest.raises(AnotherRunIsActive, match=rf"process {holder[0].pid}\) is active below .*DIR"), run_lock(path):
            pass
        assert active_run(path) == str(holder[0].pid)


def test_a_process_that_was_killed_holds_nothing_though_its_child_lives_on(path, holder):
    process, _ = holder
    process.kill()
    process.wait()
    assert active_run(path) is None
    with run_lock(path):
        assert active_run(path) == str(os.getpid())
    assert active_run(path) is None


def test_whoever_asks_whether_a_run_is_active_makes_and_changes_nothing(path):
    assert active_run(path) is None and not path.parent.exists()
    with run_lock(path):
        pass
    before = path.read_bytes(), path.stat().st_mtime_ns
    path.chmod(0o444)
    assert active_run(path) is None and (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_run_that_starts_while_somebody_asks_is_not_refused(path, monkeypatch):
    monkeypatch.setattr(layout, "PROBE_SECONDS", 60.0)
    with run_lock(path):
        pass
    asking = open(path, "rb")
    fcntl.flock(asking, fcntl.LOCK_SH)
    assert active_run(path) is None  # nor does one who asks take another one for a run
    threading.Timer(0.2, asking.close).start()
    with run_lock(path):
        assert active_run(path) == str(os.getpid())


def test_a_body_that_fails_gives_the_lock_back(path):
    with pytest.raises(ZeroDivisionError), run_lock(path):
        1 / 0
    with run_lock(path):
        pass
