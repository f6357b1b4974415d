"""Ctrl-C and SIGTERM in every phase of a run, on a terminal: what is kept, what is said, and with which status it ends.

The runs share one DIR and build on each other in the order of this file: each gets one phase further than the one before.
"""

import fcntl
import json
import os
import pathlib
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import tty

import pytest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
HELPER = pathlib.Path(__file__).with_name("interrupted_runs.py")
SETTINGS = ["pretrain.epochs=300", "pretrain.batch_size=16", "pretrain.width=4", "pretrain.resolution=16", "pretrain.knn_images=8",
            "pretrain.projector_width=16", "pretrain.predictor_width=8", "pretrain.views.min_area=1", "embedding.resolution=16",
            "pretrain.min_effective_rank=0", "linear_eval.folds=2", "linear_eval.neighbours=3", "gate.min_accuracy=0",
            "gate.min_gain_over_random=-1"]  # fmt: skip
STEPS = 300 * 3  # 51 of 60 photographs in batches of 16 (near-duplicates, if any, change nothing)
CTRL_C = b"\x03"
PATIENCE_SECONDS = 900


class Run:
    """One `flowers run` on a pseudoterminal."""

    def __init__(self, helper, arguments):
        self.screen, terminal = os.openpty()
        tty.setraw(self.screen)
        attributes = termios.tcgetattr(terminal)
        attributes[3] |= termios.ISIG  # the key Ctrl-C is a signal, as on any terminal
        attributes[6][termios.VINTR] = CTRL_C
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.helper, self.shown = helper, ""
        helper.stdin.write(json.dumps([os.ttyname(terminal), *arguments]) + "\n")
        helper.stdin.flush()
        self.process = int(helper.stdout.readline())
        self.terminal = terminal  # kept open, so that what was printed can be read after the end

    def read(self, seconds=0.05):
        while select.select([self.screen], [], [], seconds)[0]:
            self.shown += os.read(self.screen, 65536).decode()
        return plain(self.shown)

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition(self.read()):
            assert time.monotonic() < deadline, plain(self.shown)

    def interrupt(self, how):
        if how == CTRL_C:
            os.write(self.screen, CTRL_C)
        else:
            os.kill(self.process, how)

    def status(self):
        """Waits for the end and returns the exit status."""
        ended = []
        while not ended:
            self.read()
            ended = select.select([self.helper.stdout], [], [], 0)[0]
        status = int(self.helper.stdout.readline())
        self.read()
        os.close(self.terminal)
        os.close(self.screen)
        return status


def plain(text):
    """`text` without the terminal's control sequences."""
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", text).replace("\r", "")


@pytest.fixture(scope="module")
def helper():
    process = subprocess.Popen([sys.executable, str(HELPER)], cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    yield process
    process.stdin.close()
    process.wait(60)


@pytest.fixture(scope="module")
def start(helper, tmp_path_factory):
    """Starts a run below the shared DIR; returns it."""
    from components.synthetic_flowers import scene

    folder, root = tmp_path_factory.mktemp("flowers"), tmp_path_factory.mktemp("run") / "DIR"
    for index in range(60):
        picture = folder / f"class-{index % 5}" / f"{index}.jpg"
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes(scene.draw_jpeg(3, index, 48))

    def started(*options, settings=()):
        sets = [argument for setting in [*SETTINGS, *settings] for argument in ("--set", setting)]
        run = Run(helper, ["run", "--data", str(folder), "--root", str(root), *sets, *options])
        run.root = root
        return run

    return started


def latest(root):
    return json.loads((root / "latest" / "run.json").read_text())


def running(node):
    """Whether the live view's last picture shows `node` at work."""
    return lambda shown: f"▸ {node} " in shown


def test_ctrl_c_while_the_libraries_start(start):
    run = start()
    run.until(lambda shown: "Full log" in shown)
    run.interrupt(CTRL_C)
    assert run.status() == 130
    assert latest(run.root)["status"] == "interrupted" and latest(run.root)["nodes"] == {}


@pytest.mark.parametrize(("node", "how", "name"), [
    ("ExampleGen", signal.SIGTERM, "SIGTERM"),
    ("StatisticsGen", CTRL_C, "Ctrl-C"),
])  # fmt: skip
def test_a_signal_while_the_data_is_read(start, node, how, name):
    run = start()
    run.until(running(node))
    run.interrupt(how)
    assert run.status() == 130
    record = latest(run.root)
    assert (record["status"], record["failing_node"], record["error"]) == ("interrupted", node, f"interrupted by {name}")
    assert record["pretrain"] is None
    assert f"! {node}" in plain(run.shown)


def test_ctrl_c_while_it_learns_saves_the_step_it_was_at(start):
    run = start(settings=["pretrain.checkpoint_seconds=1000000"])
    run.until(lambda shown: re.search(r"[1-9]\d* of 900 steps", shown))
    run.interrupt(CTRL_C)
    assert run.status() == 130
    shown, record = plain(run.shown), latest(run.root)
    assert (record["status"], record["failing_node"]) == ("interrupted", "Pretrain")
    saved = int(re.search(r"Pretrain up to step (\d+) of 900", shown)[1])
    # No checkpoint was due: the only one is that of the interruption.
    (checkpoint,) = run.root.glob("checkpoints/*/checkpoint")
    assert f'model_checkpoint_path: "ckpt-{saved}"' in checkpoint.read_text() and 0 < saved < STEPS
    assert "Kept: ExampleGen, StatisticsGen, SchemaGen, ExampleValidator, DataGate" in shown
    assert "The same command continues from there: flowers run --data" in shown


def test_a_second_ctrl_c_ends_at_once(start):
    run = start(settings=["pretrain.checkpoint_seconds=1000000"])
    before = latest(run.root)["run_id"]
    run.until(lambda shown: re.search(r"[1-9]\d* of 900 steps", shown))
    os.kill(run.process, signal.SIGSTOP)  # both arrive before the step ends
    run.interrupt(signal.SIGTERM)
    run.interrupt(CTRL_C)
    os.kill(run.process, signal.SIGCONT)
    assert run.status() == 130
    assert latest(run.root)["run_id"] == before
    newest = max(path.name for path in run.root.glob("runs/*"))
    assert newest > before and not (run.root / "runs" / newest / "run.json").exists()
    assert run.shown.rstrip().endswith("\x1b[?25h")  # the cursor is back


@pytest.mark.parametrize(("node", "how"), [("LinearEval", signal.SIGTERM), ("Evaluator", CTRL_C), ("Pusher", signal.SIGTERM)])
def test_a_signal_after_training(start, node, how):
    run = start(settings=["pretrain.epochs=1"])
    run.until(running(node))
    run.interrupt(how)
    assert run.status() == 130
    record = latest(run.root)
    assert (record["status"], record["failing_node"]) == ("interrupted", node)
    assert record["nodes"]["Pretrain"]["state"] in ("complete", "cached")
    assert f"Run interrupted by {'Ctrl-C' if how == CTRL_C else 'SIGTERM'} in {node}. Kept: " in plain(run.shown)


def test_what_was_interrupted_everywhere_finishes(start):
    run = start("--require-push", settings=["pretrain.epochs=1"])
    assert run.status() == 0
    record = latest(run.root)
    assert record["status"] == "finished" and record["registry"]["pushed"] and record["registry"]["version"] == "1"
    assert "= ExampleGen" in plain(run.shown) and "✓ Pusher" in plain(run.shown)
