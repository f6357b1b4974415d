"""An empty registry, and candidates to publish into it."""

import multiprocessing
import os
import shutil

import pytest
from google_server.fixtures import model_server, models, new_place, operations  # noqa: F401

from contracts.content_hash import content_hash
from registry.mlflow_backend import MlflowBackend


@pytest.fixture
def registry(tmp_path, empty_registry):
    directory = tmp_path / "root" / "registry"
    shutil.copytree(empty_registry, directory)
    return MlflowBackend(str(directory), "flowers-backbone")


@pytest.fixture(scope="session")
def processes():
    """Starts processes from a server that has TensorFlow and MLflow imported, so that each costs no import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "registry.files", "mlflow.store.model_registry.sqlalchemy_store"])
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    return context


def make_model(directory, text):
    """A stand-in for a model directory: files in two levels and, as in many SavedModels, an empty folder."""
    (directory / "variables").mkdir(parents=True)
    (directory / "assets").mkdir()
    (directory / "saved_model.pb").write_text(f"graph of {text}")
    (directory / "variables" / "variables.data").write_bytes(text.encode() * 1000)
    return str(directory)


@pytest.fixture
def candidate(tmp_path):
    """candidate(text, judged_against=…, …) gives the arguments of publish() for a backbone of that content."""

    def make(text, judged_against=None, recipe="", probe=None, accuracy="0.61", **tags):
        backbone_dir, probe_dir = tmp_path / "models" / text / "backbone", tmp_path / "models" / text / (probe or "probe")
        backbone = str(backbone_dir) if backbone_dir.exists() else make_model(backbone_dir, text)
        probe = str(probe_dir) if probe_dir.exists() else make_model(probe_dir, f"{probe or 'probe'} of {text}")
        return {
            "backbone": backbone, "probe": probe, "backbone_hash": content_hash(backbone), "probe_hash": content_hash(probe),
            "tags": {"accuracy": accuracy, "recipe": recipe, "run_id": f"run-{text}", **tags}, "judged_against": judged_against,
            "card": f"# Card of {text}\n", "sbom": "{}\n", "model": {"MLmodel": f"flavors of {text}\n".encode()},
        }  # fmt: skip

    return make


@pytest.fixture
def older_candidate(candidate):
    """As candidate("a") of an earlier release, whose versions had no files of MLflow."""
    arguments = candidate("a") | {"model": None}
    for kind, name, content in (
        ("backbone", "backbone.json", '{"embedding_size": 96, "photograph_side": 64}'),
        ("probe", "probe.npz", "arrays"),
    ):
        with open(os.path.join(arguments[kind], name), "w") as file:
            file.write(content)
        arguments[f"{kind}_hash"] = content_hash(arguments[kind])
    return arguments
