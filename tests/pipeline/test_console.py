"""What reaches the terminal while a run goes on, and what the log file."""

import pathlib
import subprocess
import sys

PROJECT = pathlib.Path(__file__).resolve().parents[2]

SCRIPT = """
import logging, os, pathlib, sys
from absl import logging as absl_logging
from pipeline.console import console

with console(pathlib.Path(sys.argv[1])) as shown:
    os.write(2, b"from C++\\n")
    print("a library prints")
    logging.getLogger("tensorflow").warning("a library warns")
    logging.getLogger("trainer.pretraining").info("epoch [1/2]")
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


def test_only_our_lines_reach_the_terminal_and_all_lines_the_log(tmp_path):
    log = tmp_path / "log.txt"
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(log)], cwd=PROJECT, capture_output=True, text=True, check=False)  # fmt: skip
    assert process.returncode == 0, process.stderr
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
