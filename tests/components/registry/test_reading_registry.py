"""Reading the local registry: versions, the champion, what the gate compares with; nothing is made or imported on the way."""

import os
import shutil
import subprocess
import sys

import pytest

from components.registry import local, publishing
from components.registry.version import RegistryError

NAME = "flowers-backbone"


def test_nothing_registered_is_an_empty_list_and_makes_no_file(tmp_path):
    directory = str(tmp_path / "registry")
    assert local.list_versions(directory, NAME) == []
    assert local.champion(directory, NAME) is None
    assert local.champion_for_gate(directory, NAME, "recipe") is None
    assert local.verify(directory, NAME) == []
    assert not os.path.exists(directory)


def test_an_unknown_version_is_named_with_those_that_exist(registry, candidate):
    publishing.publish(registry, NAME, **candidate("a"))
    with pytest.raises(RegistryError, match=r"no version or alias '7'; versions: 1"):
        local.get_version(registry, NAME, "7")
    assert local.get_version(registry, NAME, "champion").version == "1"


def test_the_gate_compares_with_the_champion(registry, candidate):
    publishing.publish(registry, NAME, **candidate("a", recipe="recipe of a"))
    baseline = local.champion_for_gate(registry, NAME, "recipe of b")
    version = local.champion(registry, NAME)
    assert baseline == {
        "version": "1", "probe_uri": os.path.join(version.path, "probe"), "content_hash": candidate("a")["probe_hash"],
    }  # fmt: skip


def test_an_unchanged_run_is_compared_with_what_its_champion_was_judged_against(registry, candidate):
    publishing.publish(registry, NAME, **candidate("a", recipe="recipe of a"))
    assert local.champion_for_gate(registry, NAME, "recipe of a") is None
    asked = local.champion_for_gate(registry, NAME, "recipe of b")
    publishing.publish(registry, NAME, **candidate("b", judged_against="1", recipe="recipe of b"))
    assert local.champion_for_gate(registry, NAME, "recipe of b") == asked
    assert local.champion_for_gate(registry, NAME, "recipe of a")["version"] == "2"


def test_the_whole_directory_can_be_moved(registry, candidate, tmp_path):
    publishing.publish(registry, NAME, **candidate("a"))
    moved = str(tmp_path / "elsewhere" / "registry")
    shutil.move(os.path.dirname(registry), os.path.dirname(moved))
    assert local.verify(moved, NAME) == []
    assert local.champion(moved, NAME).path.startswith(str(tmp_path / "elsewhere"))


def test_a_relative_directory_is_the_same_registry(registry, candidate, monkeypatch):
    publishing.publish(registry, NAME, **candidate("a"))
    monkeypatch.chdir(os.path.dirname(registry))
    assert local.list_versions("registry", NAME) == local.list_versions(registry, NAME)


def test_reading_the_registry_module_does_not_import_mlflow_or_tensorflow():
    code = "import sys, components.registry.local; print([m for m in ('mlflow', 'tensorflow') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=os.getcwd())
    assert shown.stdout.strip() == "[]"


def test_mlflow_is_imported_with_its_telemetry_off(registry):
    code = (
        f"from components.registry import local; local.list_versions({registry!r}, {NAME!r});"
        "from mlflow.telemetry.utils import is_telemetry_disabled; print(is_telemetry_disabled())"
    )
    # A bare environment: MLflow keeps quiet under pytest and continuous integration by itself, which would prove nothing.
    bare = {"PATH": os.environ["PATH"]}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=bare)
    assert shown.stdout.strip() == "True"
