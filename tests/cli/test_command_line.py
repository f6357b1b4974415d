"""The command line as a user starts it: what answers at once, and with which exit status."""

import fcntl
import pathlib
import subprocess
import sys
import time
import tomllib

import pytest

from cli.main import main
from pipeline import __version__

PROJECT = pathlib.Path(__file__).resolve().parents[2]

TARGET = ("--project", "a-project", "--region", "europe-west4", "--bucket", "gs://bucket", "--image", "host/flowers:1",
          "--data", "gs://photographs/flowers")  # fmt: skip


def flowers(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)  # fmt: skip


def test_help_answers_without_tensorflow():
    code = ("import sys; from cli.main import main\n"
            "try: main(['--help'])\n"
            "except SystemExit as end: assert end.code == 0\n"
            "heavy = {'tensorflow', 'tfx', 'apache_beam', 'mlflow', 'ml_metadata', 'grpc', 'numpy'}\n"
            "sys.exit(any(name.split('.')[0] in heavy for name in sys.modules))")  # fmt: skip
    started = time.monotonic()
    process = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert "exit status:" in process.stdout
    assert time.monotonic() - started < 10  # a second where nothing else runs; TensorFlow alone takes several


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "required: VERB"),
    (["run", "--set", "pretrain.epoch=3"], "did you mean 'pretrain.epochs'?"),
    (["run", "--set", "pretrain.epochs=x"], "pretrain.epochs must be a whole number, got 'x'"),
    (["run", "--preset", "quik"], "did you mean 'quick'?"),
    (["run", "--data", ""], "data.source must be synthetic, tfds:NAME or a folder"),
    (["run", "--colour"], "unrecognized arguments: --colour"),
    (["registry"], "required: ACTION"),
    (["compile", *TARGET, "-o", "job.yaml"], "--output must be a path that ends in .json, got 'job.yaml'"),
    (["compile", *TARGET, "-o", "job.json", "--set", "vertex.pretrain.machine=x"], "did you mean 'vertex.pretrain.machine_type'?"),
    (["rehearse", "nowhere.json"], "nowhere.json cannot be read"),
])  # fmt: skip
def test_mistakes_end_with_exit_status_2_and_name_what_would_do(arguments, message):
    process = flowers(*arguments)
    assert process.returncode == 2
    assert message in process.stderr and "Traceback" not in process.stderr


def test_a_mistake_leaves_nothing_behind(tmp_path):
    assert flowers("run", "--root", str(tmp_path / "DIR"), "--set", "pretrain.epoch=3").returncode == 2
    assert not (tmp_path / "DIR").exists()


def test_a_second_run_below_one_DIR_is_refused_and_names_the_first(tmp_path, capsys):
    with open(tmp_path / "lock", "w") as held:
        held.write("4711\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(["run", "--root", str(tmp_path)]) == 2
    assert "process 4711" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"]


def test_the_version_is_the_package_s():
    assert flowers("--version").stdout == f"flowers {__version__}\n"
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "pipeline.__version__"}
    assert settings["project"]["scripts"]["flowers"] == "cli.main:main"
