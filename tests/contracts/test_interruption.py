"""What SIGINT, SIGTERM and SIGHUP do to a process that listens: real signals to real processes, unless one thread is enough."""

import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from contracts import interruption

PROJECT = pathlib.Path(__file__).resolve().parents[2]

# Each script says that it is ready, gets its signals one by one as it asks for them, and tells what came of it.
PROLOGUE = """
import signal, sys, time
from contracts import interruption

def ask():
    print("ready", flush=True)
    sys.stdin.readline()

def wait():
    while not interruption.requested():
        time.sleep(0.01)
"""

SCRIPTS = {
    # A released block is broken off where it is.
    "released": ("""
with interruption.listening(lambda name: print("asked by", name)):
    try:
        with interruption.released():
            ask(); wait(); print("went on")
    except KeyboardInterrupt as error:
        print("broken off by", error)
    wait()
    print("requested", interruption.requested())
print("requested", interruption.requested())
""", 1, ["asked by {name}", "broken off by {name}", "requested {name}", "requested None"], 0),
    # A held block inside it is not, and ends with the interrupt that came meanwhile.
    "held": ("""
with interruption.listening():
    try:
        with interruption.released():
            with interruption.held():
                ask(); wait(); print("finished", interruption.requested())
            print("went on")
    except KeyboardInterrupt as error:
        print("broken off by", error)
""", 1, ["finished {name}", "broken off by {name}"], 0),
    # Held without anyone who listens, as in a trainer that runs by itself.
    "alone": ("""
try:
    with interruption.held():
        ask(); wait(); print("finished")
except KeyboardInterrupt as error:
    print("broken off by", error)
print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
""", 1, ["finished", "broken off by {name}", "True"], 0),
    # What came before a block is released is raised at its beginning.
    "late": ("""
with interruption.listening():
    ask(); wait()
    try:
        with interruption.released():
            print("went on")
    except KeyboardInterrupt as error:
        print("never began:", error)
""", 1, ["never began: {name}"], 0),
    # A second one ends the process at once, whatever it is doing.
    "twice": ("""
with interruption.listening(second=lambda: print("at once", flush=True)):
    ask(); wait()
    ask(); time.sleep(600)
    print("went on")
""", 2, ["at once"], interruption.ENDED_AT_ONCE),
}  # fmt: skip


NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


@pytest.mark.parametrize(("script", "how"), [
    *((script, how) for script in SCRIPTS for how in (signal.SIGINT, signal.SIGTERM)),
    ("released", signal.SIGHUP), ("held", signal.SIGHUP),
])  # fmt: skip
def test_a_signal(script, how):
    code, signals, lines, status = SCRIPTS[script]
    process = subprocess.Popen([sys.executable, "-c", PROLOGUE + code], cwd=PROJECT, text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    for _ in range(signals):
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert out.splitlines() == [line.format(name=NAMES[how]) for line in lines], err
    assert process.returncode == status


@pytest.fixture
def hangs_up():
    """Sends SIGHUP to this process; afterwards its handler is as before."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda: signal.raise_signal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_closes_sends_sighup_more_than_once_and_asks_for_no_end_at_once(hangs_up):
    with interruption.listening(second=lambda: pytest.fail("ends at once")):
        for _ in range(3):
            hangs_up()
        assert interruption.requested() == "SIGHUP"


def test_what_nohup_ignores_stays_ignored(hangs_up):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruption.listening():
        hangs_up()
        assert interruption.requested() is None


def test_handlers_are_as_before_after_the_block():
    before = [signal.getsignal(number) for number in interruption.SIGNALS]
    with interruption.held(), interruption.held():
        assert [signal.getsignal(number) for number in interruption.SIGNALS] != before
    assert [signal.getsignal(number) for number in interruption.SIGNALS] == before


def test_in_another_thread_nothing_is_taken_or_changed():
    before = [signal.getsignal(number) for number in interruption.SIGNALS]
    seen = []

    def work():
        with interruption.listening(), interruption.released(), interruption.held():
            seen.extend(signal.getsignal(number) for number in interruption.SIGNALS)
            interruption.check()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == before and interruption.requested() is None
