"""environment/browser.sh says why there is no Chromium, and breaks nothing."""

import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "environment" / "browser.sh"


def run(path, **programs):
    """Runs the script where only these programs can be found: name to what they do."""
    for name, body in programs.items():
        program = path / name.replace("_", "-")
        program.write_text(f'#!/bin/sh\necho "$0 $*" >> {path}/calls\n{body}\n')
        program.chmod(0o755)
    return subprocess.run(["/bin/sh", SCRIPT], env={"PATH": str(path)}, capture_output=True, text=True, check=False)


def calls(path):
    return (path / "calls").read_text() if (path / "calls").exists() else ""


def test_a_chromium_that_is_there_is_left_alone(tmp_path):
    found = run(tmp_path, chromium="exit 1", apt_get="exit 0")
    assert (found.returncode, found.stdout, found.stderr, calls(tmp_path)) == (0, "", "", "")


def test_root_installs_the_distribution_s(tmp_path):
    found = run(tmp_path, apt_get="exit 0", id="echo 0")
    assert found.returncode == 0 and "Installed chromium" in found.stdout
    assert "apt-get update" in calls(tmp_path) and "apt-get install -y -qq --no-install-recommends chromium" in calls(tmp_path)


@pytest.mark.parametrize(("programs", "why"), [
    ({}, "has no apt-get"),
    ({"apt_get": "exit 0", "id": "echo 1000"}, "only root may install"),
    ({"apt_get": "exit 100", "id": "echo 0"}, "apt-get install chromium failed"),
])  # fmt: skip
def test_where_it_cannot_be_installed_the_reason_is_said_and_nothing_fails(tmp_path, programs, why):
    found = run(tmp_path, **programs)
    assert found.returncode == 0 and why in found.stderr and "will be skipped" in found.stderr
