"""MLflow's own client finds the files of versions, also after DIR was moved; the registry itself never depends on those addresses."""

import os
import pathlib
import shutil
import sqlite3

import pytest

from registry import mlflow_backend, mlflow_places, publishing, reading
from registry.mlflow_backend import MlflowBackend

FOREIGN = "file:///elsewhere/model"


def addresses(registry):
    with sqlite3.connect(os.path.join(registry.directory, "mlflow.db")) as opened:
        return opened.execute("SELECT source, storage_location FROM model_versions ORDER BY version").fetchall()


def execute(registry, *statement):
    with sqlite3.connect(os.path.join(registry.directory, "mlflow.db")) as opened:
        opened.execute(*statement)


@pytest.fixture
def published(registry, candidate):
    return registry, publishing.publish(registry, **candidate("a")).version.path


def test_a_new_version_has_an_absolute_address(published):
    registry, path = published
    uri = pathlib.Path(path).as_uri()
    assert addresses(registry) == [(uri, uri)]
    assert mlflow_backend.connect(registry.directory).get_model_version_download_uri(registry.name, "1") == uri


@pytest.mark.parametrize("name", ["moved", "moved to #1, 100 %"])
def test_a_moved_registry_is_read_as_it_is_and_gets_its_new_addresses(published, tmp_path, name):
    registry, before = published
    moved = MlflowBackend(str(tmp_path / name / "registry"), registry.name)
    shutil.move(registry.directory, moved.directory)
    (version,) = moved.versions()
    assert version.path == before.replace(registry.directory, moved.directory)
    assert reading.verify(version) == []
    assert addresses(moved)[0][0] == pathlib.Path(before).as_uri()  # reading wrote nothing

    mlflow_backend.relocate(moved.directory)
    right = pathlib.Path(version.path).as_uri()
    assert addresses(moved) == [(right, right)]
    assert moved.versions() == [version]
    with moved.writing():
        assert moved.leftovers() == []


def test_addresses_of_earlier_releases_are_made_absolute_and_those_of_other_models_stay(published):
    registry, path = published
    relative = f"versions/{os.path.basename(path)}"
    execute(registry, "UPDATE model_versions SET source = ?, storage_location = ?", (relative, relative))
    client = mlflow_backend.connect(registry.directory)
    client.create_registered_model("another")
    client.create_model_version("another", FOREIGN)
    (version,) = registry.versions()
    assert version.path == path
    with registry.writing():  # as each run does at its start
        pass
    uri = pathlib.Path(path).as_uri()
    assert sorted(addresses(registry)) == sorted([(uri, uri), (FOREIGN, FOREIGN)])


def test_nothing_is_written_where_nothing_has_moved(published):
    registry, _ = published
    database = os.path.join(registry.directory, "mlflow.db")
    before = os.stat(database).st_mtime_ns
    mlflow_backend.relocate(registry.directory)
    assert os.stat(database).st_mtime_ns == before


def test_a_registry_that_cannot_be_written_stays_readable_and_a_warning_says_what_does_not_work(published, caplog):
    registry, path = published
    execute(registry, "UPDATE model_versions SET source = ?", (f"/former/versions/{os.path.basename(path)}",))
    database = os.path.join(registry.directory, "mlflow.db")
    # A lock that another process never gives back, which fails like a read-only disk, for root as well.
    held = sqlite3.connect(database, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    real = mlflow_places.sqlite3.connect
    mlflow_places.sqlite3.connect = lambda *arguments, **options: real(*arguments, **options, timeout=0.01)
    try:
        mlflow_backend.relocate(registry.directory)
    finally:
        mlflow_places.sqlite3.connect = real
        held.close()
    assert "MLflow's own client will not find the files" in caplog.text
    assert registry.versions()[0].path == path
