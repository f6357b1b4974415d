"""`flowers doctor` as a user starts it, where something is wrong. (That it finds nothing wrong where all is well, docs show.)"""

import json
import os
import subprocess
import sys

import pytest
from tiny import PROJECT

from cli import doctor
from cli.doctor import Finding, line
from contracts.layout import Layout, point_latest_at, run_lock
from pipeline import surroundings
from pipeline_config import ConfigurationError


@pytest.fixture(scope="module")
def ill(tmp_path_factory):
    """What the doctor prints where TensorFlow cannot be imported, the registry is damaged and a setting does not exist."""
    folder = tmp_path_factory.mktemp("ill")
    for name in ("tensorflow", "tfx", "tensorflow_data_validation", "tensorflow_model_analysis"):
        (folder / "broken" / name).mkdir(parents=True)
        (folder / "broken" / name / "__init__.py").write_text("raise ImportError('GLIBCXX_3.4.32 not found')")
    (folder / "DIR" / "registry").mkdir(parents=True)
    (folder / "DIR" / "registry" / "mlflow.db").write_text("this is no database")
    process = subprocess.run(
        [sys.executable, "-m", "pipeline", "doctor", "--root", str(folder / "DIR"), "--data", str(folder / "nowhere"),
         "--set", "pretrain.epoch=3"],
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": f"{folder / 'broken'}:{PROJECT}"}, capture_output=True, text=True, timeout=300,
        check=False)  # fmt: skip
    return process, {text.split()[1]: text for text in process.stdout.splitlines()}


def test_it_ends_with_1_and_still_says_all_that_can_be_told(ill):
    process, lines = ill
    assert process.returncode == 1 and "Traceback" not in process.stderr, process.stderr
    assert lines["Python"].startswith("ok") and lines["DIR"].startswith("ok") and lines["disk"].startswith(("ok", "warn"))


def test_what_cannot_be_imported_is_named_with_its_error_and_fix(ill):
    assert ill[1]["tensorflow"].startswith("fail") and "GLIBCXX_3.4.32 not found" in ill[1]["tensorflow"]
    assert "-> make setup" in ill[1]["tensorflow"] and ill[1]["tfx"].startswith("fail")


def test_a_damaged_registry_and_a_wrong_setting_are_named(ill):
    assert ill[1]["registry"].startswith("fail") and "back-up" in ill[1]["registry"]
    assert ill[1]["configuration"].startswith("fail") and "did you mean 'pretrain.epochs'?" in ill[1]["configuration"]


def test_a_name_that_is_found_cannot_break_the_line_or_reach_the_terminal():
    shown = line(Finding("ok", "data", "a\nclass\x1b[2J called ‮x"), coloured=False)
    assert "\n" not in shown and "\x1b" not in shown and "‮" not in shown


def test_a_run_that_was_killed_is_told_but_not_one_that_goes_on(tmp_path):
    layout = Layout(tmp_path)
    assert list(doctor.last_run(layout)) == []
    layout.run("a").mkdir(parents=True)
    point_latest_at(layout, "a")
    record = {"run_id": "a", "status": "started", "error": None, "failing_node": "Pretrain"}
    (layout.run("a") / "run.json").write_text(json.dumps(record))
    with run_lock(layout.lock):
        assert [(one.level, one.says) for one in doctor.last_run(layout)] == [("ok", "a started")]
    (killed,) = doctor.last_run(layout)
    assert killed.level == "warn" and killed.says.startswith("a was killed in Pretrain") and "the same command" in killed.fix


def test_what_is_missing_around_it_is_named_with_its_fix(monkeypatch):
    def nothing():
        raise ConfigurationError("TMPDIR names /gone, where no file can be written; unset TMPDIR")

    monkeypatch.setattr(surroundings, "require_temporary_folder", nothing)
    assert [(one.level, one.fix) for one in doctor.around()] == [("fail", "unset TMPDIR"), ("ok", "")]
