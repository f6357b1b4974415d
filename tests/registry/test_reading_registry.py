"""Reading the local registry: versions, the champion; nothing is made or imported on the way."""

import os
import shutil
import subprocess
import sys

import pytest

from registry import publishing, reading
from registry.backend import RegistryError
from registry.mlflow_backend import MlflowBackend

NAME = "flowers-backbone"


def test_nothing_registered_is_an_empty_list_and_makes_no_file(tmp_path):
    registry = MlflowBackend(str(tmp_path / "registry"), NAME)
    assert registry.versions() == []
    assert reading.champion(registry) is None
    assert reading.verify(*registry.versions()) == []
    assert registry.model_tags() == {}
    assert not os.path.exists(registry.directory)


def test_an_unknown_version_is_named_with_those_that_exist(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    with pytest.raises(RegistryError, match=r"no version or alias '7'; versions: 1"):
        reading.get_version(registry, "7")
    assert reading.get_version(registry, "champion").version == "1"


def test_the_whole_directory_can_be_moved(registry, candidate, tmp_path):
    publishing.publish(registry, **candidate("a"))
    moved = MlflowBackend(str(tmp_path / "elsewhere" / "registry"), NAME)
    shutil.move(os.path.dirname(registry.directory), os.path.dirname(moved.directory))
    assert reading.verify(*moved.versions()) == []
    assert reading.champion(moved).path.startswith(str(tmp_path / "elsewhere"))


def test_a_relative_directory_is_the_same_registry(registry, candidate, monkeypatch):
    publishing.publish(registry, **candidate("a"))
    monkeypatch.chdir(os.path.dirname(registry.directory))
    assert MlflowBackend("registry", NAME).versions() == registry.versions()


def test_reading_the_registry_module_does_not_import_mlflow_or_tensorflow():
    code = (
        "import sys, registry.opening, registry.reading, registry.lifecycle;"
        "print([m for m in ('mlflow', 'tensorflow') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=os.getcwd())
    assert shown.stdout.strip() == "[]"


def test_mlflow_is_imported_with_its_telemetry_off(registry):
    code = (
        f"from registry.mlflow_backend import MlflowBackend; {registry!r}.versions();"
        "from mlflow.telemetry.utils import is_telemetry_disabled; print(is_telemetry_disabled())"
    )
    # A bare environment: MLflow keeps quiet under pytest and continuous integration by itself, which would prove nothing.
    bare = {"PATH": os.environ["PATH"]}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=bare)
    assert shown.stdout.strip() == "True"
