"""Set-up names everything that is missing at once, before it downloads anything, and takes the first interpreter that works.

The script runs with a PATH of our own making: links to the few tools it uses, and stand-ins for interpreters and `df`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "environment" / "check_prerequisites.sh"
TOOLS = ("sh", "uname", "getconf", "df", "awk", "dirname", "grep")


class Machine:
    """A PATH in which only what the test puts there exists."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        for tool in TOOLS:
            (folder / tool).symlink_to(shutil.which(tool))

    def has(self, name: str, script: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        (self.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / name).chmod(0o755)

    def check(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(["sh", SCRIPT, *arguments], env={"PATH": str(self.folder), "HOME": str(self.folder)},
                              check=False, cwd=self.folder, capture_output=True, text=True)  # fmt: skip


@pytest.fixture
def machine(tmp_path):
    """A machine with a C++ compiler, enough disk and no Python."""
    machine = Machine(tmp_path / "bin")
    machine.has("g++", "exit 0")
    machine.has("df", "echo header; echo disk 9 9 6291456 9 /")  # KiB: exactly 6 GiB are free
    return machine


def with_real_python(machine: Machine, name: str) -> None:
    machine.has(name, f'exec {sys.executable} "$@"')


def test_this_interpreter_is_suitable_and_its_base_is_named(machine):
    with_real_python(machine, "python3")
    result = machine.check()
    if "Python.h" in result.stderr or "ensurepip" in result.stderr:
        pytest.skip("this interpreter has no headers or no ensurepip")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(Path(sys._base_executable).resolve())
    assert result.stderr == ""


def test_the_newest_suitable_interpreter_is_taken(machine):
    machine.has("python3.11", "printf 'suitable /usr/bin/python3.11'")
    machine.has("python3.13", "printf 'suitable /usr/bin/python3.13'")
    assert machine.check().stdout.strip() == "/usr/bin/python3.13"


@pytest.mark.parametrize("answer", ["echo unknown >&2; exit 127", "printf 'version 3.14'", "printf 'lacking 3.13 venv dev'"])
def test_an_interpreter_that_is_broken_too_new_or_incomplete_is_passed_over(machine, answer):
    machine.has("python3.13", answer)
    machine.has("python3", "printf 'suitable /usr/bin/python3.11'")
    result = machine.check()
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "/usr/bin/python3.11", "")


def test_the_interpreter_wished_for_is_taken_and_no_other(machine):
    machine.has("python3.13", "printf 'suitable /usr/bin/python3.13'")
    machine.has("python3.12", "printf 'suitable /usr/bin/python3.12'")
    assert machine.check("python3.12").stdout.strip() == "/usr/bin/python3.12"
    refused = machine.check("python3.9")
    assert refused.returncode == 1
    assert "Python 3.11, 3.12 or 3.13 (looked for python3.9)" in refused.stderr


def test_an_interpreter_in_a_folder_with_a_space_can_be_wished_for(machine):
    folder = machine.folder / "my programs"
    folder.mkdir()
    (folder / "python").write_text("#!/bin/sh\nprintf 'suitable /usr/bin/python3.12'\n")
    (folder / "python").chmod(0o755)
    assert machine.check(f"{folder}/python").stdout.strip() == "/usr/bin/python3.12"


def test_everything_that_is_missing_is_named_at_once(machine):
    (machine.folder / "g++").unlink()
    machine.has("python3", "printf 'version 3.9'")
    machine.has("df", "echo header; echo disk 9 9 6291455 9 /")  # one KiB less than 6 GiB
    machine.has("uname", '[ "$1" = -s ] && echo Darwin || echo arm64')
    machine.has("getconf", "echo glibc 2.31")
    result = machine.check()
    assert (result.returncode, result.stdout) == (1, "")
    for part in ("Python 3.11, 3.12 or 3.13", "python3 is Python 3.9", "C++ compiler g++", "6 GB of free disk", "free: 5 GB",
                 "Linux on x86_64", "this is Darwin arm64", "glibc 2.34 or newer (this is glibc 2.31)",
                 "Nothing was downloaded"):  # fmt: skip
        assert part in result.stderr
    install = [line for line in result.stderr.splitlines() if "apt-get install" in line]
    assert len(install) == 1
    assert set(install[0].split("install ")[1].split()) >= {"g++"}


def test_a_python_without_venv_and_headers_is_told_which_packages_bring_them(machine):
    machine.has("python3", "printf 'lacking 3.11 venv dev'")
    result = machine.check()
    assert result.returncode == 1
    assert "venv and ensurepip of python3" in result.stderr
    assert "Python.h of python3" in result.stderr
    assert result.stderr.count("  - ") == 2
    assert "apt-get install python3.11-venv python3.11-dev\n" in result.stderr


def test_another_c_library_is_refused(machine):
    machine.has("python3", "printf 'suitable /usr/bin/python3'")
    machine.has("getconf", "exit 1")
    assert "glibc 2.34 or newer (this is another C library)" in machine.check().stderr
