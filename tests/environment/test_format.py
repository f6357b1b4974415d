"""The code is as `make format` leaves it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ruff", reason="ruff, of the development packages, is not installed here")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("words", [("format", "--diff"), ("check",)])
def test_ruff_would_change_nothing_and_finds_nothing(words):
    done = subprocess.run([sys.executable, "-m", "ruff", *words, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
