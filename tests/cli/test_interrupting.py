"""Ctrl-C, SIGTERM, SIGHUP and SIGKILL in every phase of a run, on a terminal: what is kept, what is said, and its exit status."""

import codecs
import fcntl
import json
import os
import pathlib
import re
import select
import signal
import struct
import termios
import time
import tty

import pytest
from tiny import PATIENCE_SECONDS, PROJECT

HELD = pathlib.Path(__file__).with_name("held_run.py")
SETTINGS = ["pretrain.epochs=300", "pretrain.batch_size=16", "pretrain.width=4", "pretrain.resolution=16", "pretrain.knn_images=8",
            "pretrain.projector_width=16", "pretrain.predictor_width=8", "pretrain.views.min_area=1", "embedding.resolution=16",
            "pretrain.min_effective_rank=0", "linear_eval.folds=2", "linear_eval.neighbours=3", "gate.min_accuracy=0",
            "gate.min_gain_over_random=-1", "data.min_eval=0", "tracking.place=off"]  # fmt: skip
STEPS = 300 * 3  # 51 of 60 photographs in batches of 16 (near-duplicates, if any, change nothing)
CTRL_C = b"\x03"


class Run:
    """One command on a pseudoterminal, as a shell's foreground job."""

    def __init__(self, forked, arguments):
        self.screen, self.terminal = os.openpty()
        tty.setraw(self.screen)
        attributes = termios.tcgetattr(self.terminal)
        attributes[3] |= termios.ISIG  # the key Ctrl-C is a signal, as on any terminal
        attributes[6][termios.VINTR] = CTRL_C
        termios.tcsetattr(self.terminal, termios.TCSANOW, attributes)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.shown = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")()  # a read can end within a character
        # Our end of the terminal stays open, so that what was printed can be read after the end.
        self.process = forked.Process(
            arguments, cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT), "TERM": "xterm-256color"},
            stdin=self.terminal, stdout=self.terminal, stderr=self.terminal, terminal=True)  # fmt: skip

    def read(self, seconds=0.05):
        while select.select([self.screen], [], [], seconds)[0]:
            self.shown += self.decoder.decode(os.read(self.screen, 65536))
        return plain(self.shown)

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition(self.read()):
            assert self.process.poll() is None and time.monotonic() < deadline, plain(self.shown)

    def interrupt(self, how):
        if how == CTRL_C:
            os.write(self.screen, CTRL_C)
        else:
            self.process.send_signal(how)

    def status(self):
        """Waits for the end and returns the exit status."""
        while self.process.poll() is None:
            self.read()
        self.read()
        os.close(self.terminal)
        os.close(self.screen)
        return self.process.returncode


def plain(text):
    """`text` without the terminal's control sequences."""
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", text).replace("\r", "")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "DIR"


@pytest.fixture
def start(forked, small_folder, root, tmp_path):
    """start(*options, settings=[…], halts_in=NODE) starts a run below `root`; where it halts, it has come there."""

    def started(*options, settings=(), halts_in=None):
        sets = [argument for setting in [*SETTINGS, *settings] for argument in ("--set", setting)]
        arguments = ["run", "--data", str(small_folder), "--root", str(root), *sets, *options]
        if halts_in is None:
            return Run(forked, ["-m", "pipeline", *arguments])
        there = tmp_path / f"in {halts_in}"
        there.unlink(missing_ok=True)  # of an earlier start that halted there too
        run = Run(forked, [str(HELD), halts_in, str(there), *arguments])
        run.until(lambda shown: there.exists())
        return run

    return started


def latest(root):
    return json.loads((root / "latest" / "run.json").read_text())


def test_ctrl_c_while_the_libraries_start(start, root):
    run = start()
    run.until(lambda shown: "Full log" in shown)
    run.interrupt(CTRL_C)
    assert run.status() == 130
    assert latest(root)["status"] == "interrupted" and latest(root)["nodes"] == {}


# A start for each node.
@pytest.mark.slow
def test_a_run_that_is_interrupted_in_one_node_after_the_other_continues_each_time_and_finishes(start, root):
    for node, how, name in (
        ("ExampleGen", signal.SIGTERM, "SIGTERM"), ("StatisticsGen", CTRL_C, "Ctrl-C"), ("LinearEval", signal.SIGHUP, "SIGHUP"),
        ("Evaluator", CTRL_C, "Ctrl-C"), ("Pusher", signal.SIGTERM, "SIGTERM"),
    ):  # fmt: skip
        run = start(settings=["pretrain.epochs=1"], halts_in=node)
        run.interrupt(how)
        assert run.status() == 130, node
        record = latest(root)
        assert (record["status"], record["failing_node"], record["error"]) == ("interrupted", node, f"interrupted by {name}")
        assert all(one["state"] in ("complete", "cached") for before, one in record["nodes"].items() if before != node)
        assert f"! {node}" in plain(run.shown) and f"Run interrupted by {name} in {node}. " in plain(run.shown)
    run = start("--require-push", settings=["pretrain.epochs=1"])
    assert run.status() == 0
    record = latest(root)
    assert record["status"] == "finished" and record["registry"]["pushed"] and record["registry"]["version"] == "1"
    assert "= ExampleGen" in plain(run.shown) and "✓ Pusher" in plain(run.shown)


def test_ctrl_c_while_it_learns_saves_the_step_it_was_at(start, root):
    run = start(settings=["pretrain.checkpoint_seconds=1000000"])
    run.until(lambda shown: re.search(r"[1-9]\d* of 900 steps", shown))
    run.interrupt(CTRL_C)
    assert run.status() == 130
    shown, record = plain(run.shown), latest(root)
    assert (record["status"], record["failing_node"]) == ("interrupted", "Pretrain")
    saved = int(re.search(r"Pretrain up to step (\d+) of 900", shown)[1])
    # No checkpoint was due: the only one is that of the interruption.
    (checkpoint,) = root.glob("checkpoints/*/checkpoint")
    assert f'model_checkpoint_path: "ckpt-{saved}"' in checkpoint.read_text() and 0 < saved < STEPS
    assert "Kept: ExampleGen, StatisticsGen, SchemaGen, ExampleValidator, DataGate" in shown
    assert "The same command continues from there: flowers run --data" in shown


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(start, root):
    run = start(settings=["pretrain.checkpoint_seconds=1000000"])
    run.until(lambda shown: re.search(r"[1-9]\d* of 900 steps", shown))
    os.kill(run.process.pid, signal.SIGSTOP)  # both arrive before the step ends
    run.interrupt(signal.SIGTERM)
    run.interrupt(CTRL_C)
    os.kill(run.process.pid, signal.SIGCONT)
    assert run.status() == 130
    # Its end was not recorded.
    assert (latest(root)["status"], latest(root)["failing_node"]) == ("started", "Pretrain")
    assert run.shown.rstrip().endswith("\x1b[?25h")  # the cursor is back


@pytest.mark.slow
def test_after_sigkill_nothing_shows_the_former_run_and_the_next_says_where_it_was_killed(start, root):
    run = start(halts_in="StatisticsGen")
    run.interrupt(signal.SIGKILL)
    run.status()
    killed = latest(root)
    assert (killed["status"], killed["failing_node"]) == ("started", "StatisticsGen")
    again = start(halts_in="StatisticsGen")
    again.interrupt(signal.SIGTERM)
    again.status()
    assert f"Run {killed['run_id']} was killed in StatisticsGen: " in plain(again.shown) and "= ExampleGen" in plain(again.shown)
    assert json.loads((root / "runs" / killed["run_id"] / "run.json").read_text())["status"] == "killed"
    assert latest(root)["status"] == "interrupted"


@pytest.mark.slow
def test_a_terminal_that_is_closed_ends_a_run_in_order(start, root):
    run = start(settings=["pretrain.checkpoint_seconds=1000000"])
    run.until(lambda shown: re.search(r"[1-9]\d* of 900 steps", shown))
    os.close(run.terminal)
    os.close(run.screen)  # the last that holds the other side: the kernel sends SIGHUP, and every write fails from now on
    assert run.process.wait(PATIENCE_SECONDS) == 130
    assert (latest(root)["status"], latest(root)["error"]) == ("interrupted", "interrupted by SIGHUP")
    assert len(list(root.glob("checkpoints/*/checkpoint"))) == 1
