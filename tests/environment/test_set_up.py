"""Set-up runs only when its inputs change, and one that was interrupted is begun again.

The steps themselves are replaced by a list of their names; what they really do is shown by `make setup`.
"""

import json
import os
import subprocess
import sys
import time

import pytest

from environment import set_up


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with inputs of its own and steps that only note that they were called."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "environment").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "requirements" / "tools.txt").write_text("uv==1\n")
    (tmp_path / "requirements" / "development.txt").write_text("tfx==1\n")
    (tmp_path / "environment" / "set_up.py").write_text("pass\n")
    venv = tmp_path / ".venv"
    monkeypatch.setattr(set_up, "ROOT", tmp_path)
    monkeypatch.setattr(set_up, "VENV", venv)
    monkeypatch.setattr(set_up, "PYTHON", venv / "bin" / "python")
    monkeypatch.setattr(set_up, "RECORD", venv / "set-up.json")
    return tmp_path


@pytest.fixture
def steps(project, monkeypatch):
    """The purposes of the steps that ran; `fail_at` makes one of them end in failure."""

    class Steps(list):
        fail_at = None

        def run(self, purpose, *command):
            self.append(purpose)
            if purpose == self.fail_at:
                raise set_up.SetUpFailed(purpose)
            (project / ".venv").mkdir(exist_ok=True)

    steps = Steps()
    monkeypatch.setattr(set_up, "run", steps.run)
    return steps


WHOLE = ["make .venv", "install uv", "install the packages", "prepare TFX's libraries for this system", "install the project"]


def test_a_second_set_up_does_nothing(steps):
    set_up.set_up()
    assert steps == WHOLE
    assert set_up.is_current(None)
    set_up.set_up()
    assert steps == WHOLE


@pytest.mark.parametrize("step", WHOLE)
def test_a_set_up_that_failed_at_any_step_is_begun_again(steps, step):
    steps.fail_at = step
    with pytest.raises(set_up.SetUpFailed):
        set_up.set_up()
    assert not set_up.is_current(None)
    steps.clear()
    steps.fail_at = None
    set_up.set_up()
    assert steps == WHOLE
    assert set_up.is_current(None)


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements/tools.txt", "requirements/development.txt",
                                  "environment/set_up.py"])  # fmt: skip
def test_a_changed_input_renews_the_packages_in_the_same_environment(steps, project, name):
    set_up.set_up()
    steps.clear()
    (project / name).write_text((project / name).read_text() + "# changed\n")
    assert not set_up.is_current(None)
    set_up.set_up()
    assert steps == [step for step in WHOLE if step != "make .venv" and step != "install uv"]
    assert set_up.is_current(None)


def test_a_renewal_that_failed_starts_from_an_empty_environment(steps, project):
    set_up.set_up()
    (project / "pyproject.toml").write_text("[project]\n# changed\n")
    steps.fail_at = "install the packages"
    with pytest.raises(set_up.SetUpFailed):
        set_up.set_up()
    steps.clear()
    steps.fail_at = None
    set_up.set_up()
    assert steps == WHOLE


def test_new_times_on_unchanged_inputs_change_nothing(steps, project):
    set_up.set_up()
    later = time.time() + 1000
    for path in project.rglob("*.t*"):
        os.utime(path, (later, later))
    assert set_up.is_current(None)


@pytest.mark.parametrize("key, other", [("executable", "/opt/python"), ("version", "3.10"), ("libc", "glibc 2.31"),
                                        ("project", "/elsewhere")])  # fmt: skip
def test_an_environment_of_another_interpreter_system_or_place_is_made_anew(steps, key, other):
    set_up.set_up()
    steps.clear()
    record = json.loads(set_up.RECORD.read_text())
    record["interpreter"][key] = other
    set_up.RECORD.write_text(json.dumps(record))
    assert not set_up.is_current(None)
    set_up.set_up()
    assert steps == WHOLE


@pytest.mark.parametrize("content", ["", "{", "null", "[]"])
def test_a_damaged_record_counts_as_none(steps, content):
    set_up.set_up()
    steps.clear()
    set_up.RECORD.write_text(content)
    assert not set_up.is_current(None)
    set_up.set_up()
    assert steps == WHOLE


def test_a_wish_for_the_same_interpreter_is_met_and_for_another_is_not(steps, tmp_path):
    set_up.set_up()
    assert set_up.is_current(sys.executable)
    assert not set_up.is_current(str(tmp_path / "no-such-python"))
    other = tmp_path / "other-python"
    other.write_text("#!/bin/sh\necho /usr/bin/python3.99\n")
    other.chmod(0o755)
    assert not set_up.is_current(str(other))


def test_a_step_that_fails_is_named_with_its_status(project):
    with pytest.raises(set_up.SetUpFailed, match=r"could not do the thing \(exit status 7"):
        set_up.run("do the thing", sys.executable, "-c", "raise SystemExit(7)")


def test_two_set_ups_in_one_checkout_follow_one_another():
    program = ("from environment import set_up\n"
               "with set_up.only_one_at_a_time():\n"
               "    print('entered', flush=True)\n")  # fmt: skip
    with set_up.only_one_at_a_time():
        other = subprocess.Popen([sys.executable, "-c", program], cwd=set_up.ROOT, stdout=subprocess.PIPE, text=True)
        assert "waiting for it to end" in other.stdout.readline()
    assert other.communicate(timeout=20)[0] == "entered\n"
