"""`pip install .`: what is installed is the whole project, and works outside the clone, without `make setup`."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile

import pytest
from tiny import PATIENCE_SECONDS, PROJECT

PACKAGES = sorted(
    {
        name.partition(".")[0]
        for name in tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    }
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that pip makes of a clone. Of a copy, as setuptools leaves files beside the sources."""
    clone = tmp_path_factory.mktemp("clone")
    for name in PACKAGES:
        shutil.copytree(PROJECT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "pipeline_config.py", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, clone)
    # Without isolation: the packages to build with are there, in the pinned versions.
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", clone, clone],
                   check=True, cwd=clone, capture_output=True, timeout=PATIENCE_SECONDS)  # fmt: skip
    (made,) = clone.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of programs of a fresh environment with the wheel; what the project needs comes from this one's packages."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=PATIENCE_SECONDS)
    packages = next(folder.glob("lib/python*/site-packages"))
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
    )
    # Behind its own, and without the links to the clone that are among them.
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])
    return folder / "bin"


def outside(command, folder):
    """Runs a command where the clone is neither the working directory nor on the path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=False,
                          timeout=PATIENCE_SECONDS)  # fmt: skip


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_every_package_and_no_other(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    paths = [path for name in PACKAGES for path in (PROJECT / name).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert held == {path.relative_to(PROJECT).as_posix() for path in paths} | {"pipeline_config.py"}


@pytest.mark.slow
def test_the_command_and_the_function_work_outside_the_clone(installed, tmp_path):
    version = outside([installed / "flowers", "--version"], tmp_path)
    assert version.stdout == "flowers 0.1.0\n", version.stderr
    assert "Runs the whole pipeline" in outside([installed / "flowers", "run", "--help"], tmp_path).stdout
    where = outside([installed / "python", "-c", "from pipeline import run; print(run.__code__.co_filename)"], tmp_path)
    assert pathlib.Path(where.stdout.strip()).is_relative_to(installed.parent), where.stdout + where.stderr
