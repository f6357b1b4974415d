"""Damage, and races for an empty registry: the next publication completes what is missing. test_kills.py has the crashes."""

import os
import pathlib
import threading

import pytest

from registry import files, lifecycle, mlflow_backend, publishing, reading
from registry.backend import RegistryError
from registry.mlflow_backend import MlflowBackend

NAME = "flowers-backbone"


def test_publishing_again_repairs_a_damaged_copy(registry, candidate):
    version = publishing.publish(registry, **candidate("a")).version
    flip_byte(version.path, "backbone/saved_model.pb")
    publishing.publish(registry, **candidate("a"))
    assert reading.verify(*registry.versions()) == []


def test_a_directory_that_changed_since_it_was_judged_is_not_registered(registry, candidate):
    arguments = candidate("a")
    flip_byte(arguments["backbone"], "saved_model.pb")
    with pytest.raises(RegistryError, match="changed while it was copied"):
        publishing.publish(registry, **arguments)
    assert registry.versions() == []


def _create(directory):
    with mlflow_backend.lock(directory):
        mlflow_backend.create(directory)


# Two processes import MLflow.
@pytest.mark.slow
def test_two_processes_can_make_the_registry_at_once(processes, tmp_path, candidate):
    directory = str(tmp_path / "registry")
    both = [processes.Process(target=_create, args=(directory,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert sorted(os.listdir(directory)) == ["lock", "mlflow.db"]
    assert publishing.publish(MlflowBackend(directory, NAME), **candidate("a")).is_champion


def test_whoever_waits_for_another_writer_says_so(registry, caplog):
    caplog.set_level("INFO")
    written = []
    with mlflow_backend.lock(registry.directory):
        other = threading.Thread(target=lambda: written.append(_create(registry.directory)))
        other.start()
        while "Waiting for another run that is writing to the registry" not in caplog.text:
            other.join(0.05)
            assert other.is_alive()
        assert not written
    other.join()
    assert len(written) == 1


def test_a_database_that_a_crash_left_half_made_is_no_registry(tmp_path):
    directory = tmp_path / "registry"
    directory.mkdir()
    (directory / "mlflow.db.1.unfinished").write_bytes(b"SQLite format 3\0 cut off")
    assert MlflowBackend(str(directory), NAME).versions() == []
    _create(str(directory))
    assert sorted(os.listdir(directory)) == ["lock", "mlflow.db"]


def test_a_shell_is_offered_what_is_registered_under_each_name(registry, candidate):
    other = MlflowBackend(registry.directory, "other")
    publishing.publish(registry, **candidate("a"))
    publishing.publish(other, **candidate("b"))
    publishing.publish(registry, **candidate("c", judged_against="1"))
    assert mlflow_backend.offered(registry.directory) == {NAME: ["1", "2", "champion"], "other": ["1", "champion"]}
    lifecycle.promote(registry, "1", "a test", "because")
    lifecycle.prune(registry, keep=0)  # the champion before stays
    publishing.publish(registry, **candidate("d", judged_against="1"))
    lifecycle.prune(registry, keep=0)
    assert mlflow_backend.offered(registry.directory)[NAME] == ["1", "3", "champion"]


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff", b'{"flowers-backbone": ["9"'])
def test_offers_that_are_missing_or_damaged_stop_nothing_and_are_renewed(registry, candidate, content):
    path = pathlib.Path(registry.directory, "versions.json")
    if content is not None:
        path.write_bytes(content)
    assert mlflow_backend.offered(registry.directory) == {}
    publishing.publish(registry, **candidate("a"))
    assert mlflow_backend.offered(registry.directory) == {NAME: ["1", "champion"]}


def test_offers_that_were_left_stale_are_renewed_by_the_next_start_of_a_run(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    pathlib.Path(registry.directory, "versions.json").unlink()
    lifecycle.repair(registry)
    assert mlflow_backend.offered(registry.directory) == {NAME: ["1", "champion"]}


def test_offers_that_cannot_be_written_stop_nothing(registry, candidate):
    pathlib.Path(registry.directory, "versions.json").mkdir()
    assert publishing.publish(registry, **candidate("a")).is_champion
    assert mlflow_backend.offered(registry.directory) == {}


CARD = {files.MODEL_CARD: b"# Card\n"}


def test_files_are_published_by_the_manifest(tmp_path, candidate):
    arguments = candidate("a")
    target = str(tmp_path / "target")
    files.publish_files(target, arguments["backbone"], arguments["probe"], identity_of(arguments), CARD, lambda *_: None)
    stamp = os.stat(os.path.join(target, "manifest.json")).st_mtime_ns
    files.publish_files(target, arguments["backbone"], arguments["probe"], identity_of(arguments), CARD, lambda *_: None)
    assert os.stat(os.path.join(target, "manifest.json")).st_mtime_ns == stamp  # a good copy is left alone


def test_files_can_be_copied_to_and_from_remote_file_systems(candidate):
    arguments = candidate("a")
    identity = identity_of(arguments)
    files.publish_files("ram://source", arguments["backbone"], arguments["probe"], identity, CARD, lambda *_: None)
    files.publish_files("ram://target", "ram://source/backbone", "ram://source/probe", identity, CARD, lambda *_: None)
    assert files.differences("ram://target", identity) == []


def flip_byte(directory, name):
    path = os.path.join(directory, name)
    with open(path, "rb") as file:
        content = bytearray(file.read())
    content[len(content) // 2] ^= 1
    with open(path, "wb") as file:
        file.write(content)


def identity_of(one):
    return {"content_hash": one["backbone_hash"], "probe_content_hash": one["probe_hash"]}
