"""A version is a model of MLflow: what MLflow reads, what it answers, and what verify says of those files."""

import base64
import importlib.util
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import numpy as np
import pandas
import pytest
import tensorflow as tf
from PIL import Image
from scipy.special import softmax

from contracts import files as contents
from registry import files, lifecycle, mlflow_backend, mlflow_loader, mlflow_model, publishing, reading, signatures, trust
from registry.backend import MLMODEL_HASH, SIGNED_BY
from trainer.probe import load_probe

RECORD = {"embedding_size": 96, "photograph_side": 64}
DOCUMENTS = mlflow_model.model_documents(RECORD, "a" * 64, "b" * 64)


def write(directory, model):
    for name, content in model.items():
        (directory / name).write_bytes(content)


def test_mlflow_reads_signature_example_and_identity(tmp_path):
    from mlflow.models import Model

    write(tmp_path, DOCUMENTS)
    model = Model.load(str(tmp_path))
    assert [(one["name"], one["type"]) for one in model.signature.inputs.to_dict()] == [("image_bytes", "binary")]
    assert [one["name"] for one in model.signature.outputs.to_dict()] == ["label", "probability", "unsure", "embedding"]
    assert set(model.flavors) == {"python_function", "tensorflow", "keras"}
    assert model.metadata["backbone_content_hash"] == "a" * 64
    (picture,) = model.load_input_example(str(tmp_path))["image_bytes"]
    assert picture.startswith(b"\x89PNG")
    requirements = (tmp_path / "requirements.txt").read_text().split()
    assert {line.split("==")[0] for line in requirements} == {"mlflow", "tensorflow", "keras", "numpy", "pandas"}


def test_the_same_version_gives_the_same_files():
    assert mlflow_model.model_documents(RECORD, "a" * 64, "b" * 64) == DOCUMENTS
    assert tuple(sorted(DOCUMENTS)) == tuple(sorted(files.MLFLOW_FILES))


def test_the_code_in_a_version_imports_nothing_of_this_project():
    with zipfile.ZipFile(io.BytesIO(DOCUMENTS["mlflow_code.zip"])) as archive:
        (name,) = archive.namelist()
        source = archive.read(name).decode()
    assert f"loader_module: {name.removesuffix('.py')}" in DOCUMENTS["MLmodel"].decode()
    imported = {line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported == {"json", "os", "numpy", "pandas", "tensorflow"}


@pytest.fixture(scope="module")
def version(finished_run):
    (directory,) = (finished_run.root / "registry" / "versions").iterdir()
    return directory


def pictures(folder):
    return sorted(folder.glob("*/*.jpg"))[:3]


def table(paths):
    return pandas.DataFrame({"image_bytes": [path.read_bytes() for path in paths]}, index=[path.name for path in paths])


@pytest.fixture(scope="module")
def model(version):
    return mlflow_loader.Model(str(version))


def test_class_probability_and_vector_are_those_of_probe_calibration_and_backbone(model, version, finished_run):
    answered = model.predict(table(chosen := pictures(finished_run.folder)))
    assert list(answered.index) == [path.name for path in chosen]
    served = tf.saved_model.load(str(version / "backbone")).signatures["encoded_images"]
    vectors = served(image_bytes=tf.constant([path.read_bytes() for path in chosen]))["embedding"].numpy()
    assert np.array_equal(np.array(answered["embedding"].tolist(), np.float32), vectors)
    record = json.loads((version / "probe" / "probe.json").read_text())
    measured = record["calibration"]["candidate"]
    probabilities = softmax(load_probe(str(version / "probe")).logits(vectors) / (measured["temperature"] or 1), axis=1)
    assert answered["probability"].tolist() == pytest.approx(probabilities.max(axis=1).tolist())
    assert answered["label"].tolist() == [record["classes"][one] for one in probabilities.argmax(axis=1)]
    assert answered["unsure"].tolist() == [measured["threshold"] is None or one < measured["threshold"] for one in probabilities.max(1)]


def test_a_model_answers_in_batches_keeps_zeros_at_the_end_of_a_file_and_says_what_it_refuses(model, finished_run, monkeypatch):
    whole = model.predict(table(paths := pictures(finished_run.folder)))
    monkeypatch.setattr(mlflow_loader, "BATCH", 2)
    pandas.testing.assert_frame_equal(model.predict(table(paths)), whole, atol=1e-5)
    assert model.predict(table([])).shape == (0, 4)
    packed = io.BytesIO()
    Image.new("RGB", (32, 32)).save(packed, "BMP")  # ends in 3,072 zeros, which are its pixels
    assert model.predict(pandas.DataFrame({"image_bytes": [packed.getvalue()]})).shape == (1, 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="image 1 of the request is refused"):
        model.predict(pandas.DataFrame({"image_bytes": [b"text"]}))
    with pytest.raises(ValueError, match="a column 'image_bytes' of bytes"):
        model.predict(pandas.DataFrame({"path": ["rose.jpg"]}))


def test_a_version_has_mlflows_files_and_they_are_verified(registry, candidate):
    published = publishing.publish(registry, **candidate("a")).version
    assert published.tags[MLMODEL_HASH]
    # What MLflow's client writes into each model that it loads.
    path = pathlib.Path(published.path)
    (path / "registered_model_meta").write_text("model_name: flowers-backbone\nmodel_version: '1'\n")
    assert reading.verify(published) == []
    (path / "MLmodel").write_text("other flavors\n")
    manifest = contents.read_json(path / "manifest.json")
    size, digest = contents.size_and_sha256(path / "MLmodel")
    contents.write_json(path / "manifest.json", manifest | {"files": manifest["files"] | {"MLmodel": {"bytes": size, "sha256": digest}}})
    (difference,) = reading.verify(published)
    assert difference.path == "MLmodel"
    assert f"the registry has {published.tags[MLMODEL_HASH]}" in difference.problem


@pytest.fixture
def older(registry, older_candidate):
    """A registry with a version of an earlier release, which signed nothing."""
    published = publishing.publish(registry, **older_candidate).version
    registry.set_version_tag(published.version, SIGNED_BY, "")
    for name in (signatures.SIGNATURE, signatures.PROVENANCE):
        os.remove(os.path.join(published.path, name))
    return registry, older_candidate


def test_a_version_of_an_earlier_release_becomes_a_model_and_keeps_its_identity(older):
    registry, arguments = older
    (before,) = registry.versions()
    assert MLMODEL_HASH not in before.tags
    assert [one.version for one in lifecycle.repair(registry)] == ["1"]
    (after,) = registry.versions()
    assert after.tags == before.tags | {MLMODEL_HASH: after.tags[MLMODEL_HASH]}
    assert reading.verify(after) == []
    assert set(files.MLFLOW_FILES) <= set(os.listdir(after.path))
    assert lifecycle.repair(registry) == []
    publishing.publish(registry, **arguments)
    assert registry.versions() == [after]


def test_a_version_is_completed_before_it_is_signed_and_never_afterwards(older):
    registry, _ = older
    _, now = trust.sign_version(registry, "1", "", "a test")
    assert now.standing is trust.Standing.VERIFIED and now.version.tags[MLMODEL_HASH]
    registry.set_version_tag("1", MLMODEL_HASH, "")
    assert lifecycle.repair(registry) == []
    assert trust.standing(registry, *registry.versions()).standing is trust.Standing.VERIFIED


@pytest.mark.parametrize("at", [0, 4, 5, 6])
def test_an_addition_that_was_interrupted_is_no_damage_and_is_done_again(older, monkeypatch, at):
    registry, _ = older
    done, real = [], contents.os.replace

    def replace(source, target):
        if len(done) == at:
            shutil.copy(source, f"{source}.kept")
            os.rename(f"{source}.kept", target + contents.UNFINISHED)  # what a kill leaves
            raise KeyboardInterrupt
        done.append(target)
        real(source, target)

    monkeypatch.setattr(contents.os, "replace", replace)
    if at < 6:  # five files and the manifest; then the tag
        with pytest.raises(KeyboardInterrupt):
            lifecycle.repair(registry)
    else:
        monkeypatch.setattr(type(registry), "set_version_tag", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            lifecycle.repair(registry)
    monkeypatch.undo()
    assert reading.verify(*registry.versions()) == []
    assert [one.version for one in lifecycle.repair(registry)] == ["1"]
    assert reading.verify(*registry.versions()) == []
    assert not [name for name in os.listdir(registry.versions()[0].path) if name.endswith(contents.UNFINISHED)]


def test_a_damaged_version_of_an_earlier_release_stays_as_it_is(older, caplog):
    registry, _ = older
    (version,) = registry.versions()
    (pathlib.Path(version.path) / "backbone" / "saved_model.pb").write_text("other")
    assert lifecycle.repair(registry) == []
    assert "does not become a model of MLflow" in caplog.text
    assert "MLmodel" not in os.listdir(version.path)


def test_a_damaged_version_that_is_registered_again_becomes_a_model(older):
    registry, arguments = older
    (version,) = registry.versions()
    (pathlib.Path(version.path) / "backbone" / "saved_model.pb").write_text("other")
    publishing.publish(registry, **arguments | {"model": {"MLmodel": b"flavors\n"}})
    (after,) = registry.versions()
    assert after.tags[MLMODEL_HASH] and reading.verify(after) == []


# A process that has MLflow and TensorFlow but not this project: site-packages without what was installed in editable mode.
WITHOUT_PROJECT = """
import json, sys, mlflow, pandas
try:
    import contracts
except ImportError:
    pass
else:
    raise SystemExit("this project can be imported")
mlflow.set_tracking_uri(sys.argv[1])
uri = "models:/flowers-backbone@champion"
model = mlflow.pyfunc.load_model(uri)
answer = model.predict(pandas.DataFrame({"image_bytes": [open(sys.argv[2], "rb").read()]}))
network = mlflow.keras.load_model(uri)
print(json.dumps([answer.to_dict("records"), len(model.predict(model.input_example)), network.output_shape,
                  sorted(mlflow.tensorflow.load_model(uri).signatures)]))
"""


# Two processes import TensorFlow.
@pytest.mark.slow
def test_mlflows_client_and_its_command_load_the_champion_of_a_moved_dir_without_this_project(finished_run, tmp_path):
    moved = shutil.copytree(finished_run.root / "registry", tmp_path / "moved to #1" / "registry")
    mlflow_backend.relocate(str(moved))
    picture = pictures(finished_run.folder)[0]
    request = tmp_path / "request.json"
    encoded = base64.b64encode(picture.read_bytes()).decode()
    request.write_text(json.dumps({"dataframe_split": {"columns": ["image_bytes"], "data": [[encoded]]}}))
    database = mlflow_backend.uri(str(moved / "mlflow.db"))
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_paths()["purelib"], "MLFLOW_TRACKING_URI": database}
    assert importlib.util.find_spec("mlflow").origin.startswith(environment["PYTHONPATH"])

    def answered(*arguments):
        process = subprocess.run([sys.executable, "-S", *arguments], cwd="/", env=environment, capture_output=True, text=True,
                                 check=False)  # fmt: skip
        assert process.returncode == 0, process.stderr
        return json.loads(next(line for line in process.stdout.splitlines() if line.startswith(("[", "{"))))

    (row,), examples, shape, signatures = answered("-c", WITHOUT_PROJECT, database, str(picture))
    assert row["label"].startswith("class-") and 0.2 <= row["probability"] <= 1
    assert len(row["embedding"]) == shape[-1] and examples == 1
    assert signatures == ["encoded_images", "pixels", "serving_default"]
    command = answered("-m", "mlflow", "models", "predict", "--env-manager", "local", "-m", "models:/flowers-backbone@champion",
                       "-i", str(request), "-t", "json")  # fmt: skip
    assert command["predictions"][0]["label"] == row["label"]
    assert command["predictions"][0]["embedding"] == pytest.approx(row["embedding"], abs=1e-5)
    registry = mlflow_backend.MlflowBackend(str(moved), "flowers-backbone")
    assert reading.verify(*registry.versions()) == []  # MLflow left nothing that counts
