"""What reaches the terminal while a run goes on, and what the log file: on a terminal, elsewhere, and by how much is asked for."""

import os
import pty
import re
import subprocess
import sys

import pytest
import rich.console
from tiny import PATIENCE_SECONDS, PROJECT

from cli.live_view import LiveView
from trainer.loop import Progress

SCRIPT = """
import logging, os, pathlib, sys
from absl import logging as absl_logging
from cli.console import Output, console

with console(pathlib.Path(sys.argv[1]), Output[sys.argv[2]]) as shown:
    os.write(2, b"from C++\\n")
    print("a library prints")
    logging.getLogger("tensorflow").warning("a library warns")
    logging.getLogger("trainer.loop").info("epoch [1/2]")
    logging.getLogger("components.x").debug("too much")
    absl_logging.info("Component %s is running.", "Pretrain")
    absl_logging.info("A cached execution %d is used.", 7)
    absl_logging.info("Component %s is finished.", "Pretrain")
    absl_logging.set_verbosity(absl_logging.get_verbosity())  # as TensorFlow does when it exports
    absl_logging.info("Component %s is running.", "Pusher")
    absl_logging.info("Component %s is finished.", "Pusher")
    shown.fail("it failed")
print("afterwards", shown.node, sorted(shown.seconds))
"""


def shown_by(script, *arguments):
    process = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=PROJECT, capture_output=True, text=True, check=False)  # fmt: skip
    assert process.returncode == 0, process.stderr
    return process


def test_only_our_lines_reach_the_terminal_and_all_lines_the_log(tmp_path):
    log = tmp_path / "log.txt"
    process = shown_by(SCRIPT, log, "NORMAL")
    assert process.stdout.splitlines() == [
        "  epoch [1/2]",
        "Pretrain          cached",
        "Pusher            0.0 s",
        "afterwards Pusher ['Pretrain', 'Pusher']",
    ]
    assert process.stderr == "it failed\n"
    written = log.read_text()
    for part in ("from C++", "a library prints", "a library warns", "epoch [1/2]", "Component Pretrain is running."):
        assert part in written, part
    assert "too much" not in written


@pytest.mark.parametrize("which", ["stdout", "stderr"])
def test_a_pipe_that_nobody_reads_ends_nothing(tmp_path, which):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as pipe:
        command = [sys.executable, "-c", SCRIPT.rpartition("print")[0], str(tmp_path / "log.txt"), "VERBOSE"]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, which: pipe}
        done = subprocess.run(command, cwd=PROJECT, check=False, **streams)
    assert done.returncode == 0, done.stderr
    assert "Component Pusher is finished." in (tmp_path / "log.txt").read_text()


def test_quiet_prints_nothing_but_errors_and_the_log_has_all(tmp_path):
    process = shown_by(SCRIPT, tmp_path / "log.txt", "QUIET")
    assert process.stdout == "afterwards Pusher ['Pretrain', 'Pusher']\n" and process.stderr == "it failed\n"
    assert "a library warns" in (tmp_path / "log.txt").read_text()


def test_verbose_prints_what_libraries_log_beside_our_lines(tmp_path):
    shown = shown_by(SCRIPT, tmp_path / "log.txt", "VERBOSE").stdout
    assert "WARNING tensorflow: a library warns" in shown and "INFO absl: Component Pretrain is running." in shown
    assert shown.count("epoch [1/2]") == 1 and "too much" not in shown and "from C++" not in shown


ON_A_TERMINAL = """
import logging, pathlib, sys, time
from absl import logging as absl_logging
from cli.console import console
from trainer.loop import Progress

with console(pathlib.Path(sys.argv[1])) as shown:
    shown.say("Run 1")
    shown.expect(["Pretrain", "Pusher"])
    absl_logging.info("Component %s is running.", "Pretrain")
    logging.getLogger("trainer.loop").debug("step", extra={"progress": Progress(30, 120, 25, 200.0, 45.0)})
    logging.getLogger("trainer").info("epoch [1/2]")
    logging.getLogger("trainer").warning("a warning that lasts")
    time.sleep(0.6)  # more than one refresh
    shown.interrupting("SIGTERM")
    time.sleep(0.6)
    shown.end_live_view("interrupted")
    shown.fail("how to go on")
"""


@pytest.mark.slow
def test_a_terminal_shows_one_live_picture(forked, tmp_path):
    """In a pseudoterminal, whose control sequences are taken away."""
    terminal, theirs = pty.openpty()
    process = forked.Process(
        ["-c", ON_A_TERMINAL, tmp_path / "log.txt"], cwd=PROJECT, stdin=theirs, stdout=theirs, stderr=theirs, terminal=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"})  # fmt: skip
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that the other side is closed
            break
        if not part:
            break
        written += part
    os.close(terminal)
    assert process.wait(PATIENCE_SECONDS) == 0, written.decode()
    shown = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", written.decode()).replace("\r", "")
    assert re.search(r"25%  30 of 120 steps 200 images/s -:--:-- left", shown)
    assert re.search(r"▸ Pretrain +0:00:0\d epoch \[1/2\]", shown) and "· Pusher" in shown
    assert "SIGTERM: finishes its step and writes a checkpoint; Ctrl-C again ends at once" in shown
    assert "  a warning that lasts\n" in shown
    # The last picture, which stays: no bar, no notice, and the cursor is back before the error.
    last = shown.rpartition("▸")[2].partition("! Pretrain")
    assert last[1] and "steps" not in last[2] and "again ends" not in last[2] and "how to go on" in last[2]
    assert written.rindex(b"\x1b[?25h") < written.rindex(b"how to go on")
    assert "a warning that lasts" in (tmp_path / "log.txt").read_text()


@pytest.fixture
def view():
    return LiveView(rich.console.Console())


def picture(view, width):
    terminal = rich.console.Console(width=width, color_system=None, force_terminal=True)
    with terminal.capture() as captured:
        terminal.print(view)
    return captured.get()


def test_names_and_lines_are_no_markup_and_every_node_has_one_line_at_any_width(view):
    view.expect([f"Node{index}" for index in range(8)] + ["Pretrain"])
    view.start_node("Pretrain")
    view.set("Pretrain", line="class '[bold]{rose}[/bold]' " * 20)
    view.advance(Progress(1, 3, 0, None, None))
    for width in (10, 20, 40, 80, 200):
        lines = picture(view, width).splitlines()
        assert len(lines) == 10 and max(map(len, lines)) <= width
    assert "class '[bold]{rose}[/bold]'" in picture(view, 200) and " 33% 1 of 3 steps" in picture(view, 80)


def test_each_state_has_its_mark_and_an_end_without_completion_its_word(view):
    view.expect(["Cached", "Complete", "Failed", "Waiting"])
    for node in ("Cached", "Complete", "Failed"):
        view.start_node(node)
    view.set("Cached", state="cached")
    view.end_node("Cached")
    view.end_node("Complete")
    assert picture(view, 80).splitlines()[2].split() == ["▸", "Failed", "0:00:00"]
    view.set("Failed", state="failed")
    assert [line.split() for line in picture(view, 80).splitlines()] == [
        ["=", "Cached", "cached"], ["✓", "Complete", "0:00:00"], ["✗", "Failed", "failed"], ["·", "Waiting"]]  # fmt: skip


def test_the_time_left_follows_from_the_steps_since_this_start():
    """A run that goes on at step 60: 20 steps in 10 s, and 40 to do, are 20 s."""
    clock = [0]
    view = LiveView(rich.console.Console(get_time=lambda: clock[0]))
    view.start_node("Pretrain")
    for clock[0], step in ((100, 60), (105, 70), (110, 80)):
        view.advance(Progress(step, 120, 0, 32.4, None))
    assert " 67%  80 of 120 steps 32 images/s 0:00:20 left" in picture(view, 100)


def test_the_bar_is_there_only_while_the_node_trains(view):
    view.expect(["Pretrain"])
    view.start_node("Pretrain")
    assert len(picture(view, 80).splitlines()) == 1
    view.advance(Progress(3, 3, 0, None, None))
    assert len(picture(view, 80).splitlines()) == 2
    view.end_node("Pretrain")
    assert len(picture(view, 80).splitlines()) == 1
