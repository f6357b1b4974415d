"""The files of a version go to and come from remote file systems; the registry's database does not, and says so."""

import pytest
import tensorflow as tf

from registry import files, publishing
from registry.backend import RegistryError
from registry.opening import open_registry

TARGET = "ram://registry/versions/one"


@pytest.fixture
def published(candidate, tmp_path, monkeypatch):
    """A version copied to TARGET from an empty working directory, and the hashes that it is known by."""
    workplace = tmp_path / "workplace"
    workplace.mkdir()
    monkeypatch.chdir(workplace)
    one = candidate("one")
    publish(TARGET, one)
    yield one, identity_of(one)
    assert list(workplace.iterdir()) == []
    tf.io.gfile.rmtree(TARGET)


def test_a_remote_copy_is_what_was_published(published):
    assert files.differences(TARGET, published[1]) == []


def test_a_remote_copy_without_its_manifest_is_unfinished_and_is_completed(published):
    one, identity = published
    tf.io.gfile.remove(f"{TARGET}/{files.MANIFEST}")
    assert files.differences(TARGET, identity)[0][0] == files.MANIFEST
    publish(TARGET, one)
    assert files.differences(TARGET, identity) == []


def test_a_copy_that_breaks_off_leaves_no_manifest(candidate, monkeypatch):
    one, copied, real = candidate("two"), [], files._copy

    def copy(source, target):
        if len(copied) == 2:
            raise OSError("the connection is gone")
        copied.append(target)
        return real(source, target)

    monkeypatch.setattr(files, "_copy", copy)
    with pytest.raises(OSError, match="connection"):
        publish("ram://registry/versions/two", one)
    assert not tf.io.gfile.exists(f"ram://registry/versions/two/{files.MANIFEST}")


def test_a_version_is_registered_from_remote_models(registry, candidate):
    one = candidate("three")
    remote = {name: f"ram://models/{name}" for name in ("backbone", "probe")}
    for name, target in remote.items():
        for path in files._walk(one[name]):
            files._copy(f"{one[name]}/{path}", f"{target}/{path}")
    assert publishing.publish(registry, **one | remote).is_champion


def test_a_remote_registry_is_refused_in_words():
    with pytest.raises(RegistryError, match="cannot be kept at gs://bucket/registry: SQLite"):
        open_registry("gs://bucket/registry", "flowers-backbone")


def publish(target, one):
    files.publish_files(target, one["backbone"], one["probe"], identity_of(one), {files.MODEL_CARD: one["card"]}, lambda *_: None)


def identity_of(one):
    return {"content_hash": one["backbone_hash"], "probe_content_hash": one["probe_hash"]}
