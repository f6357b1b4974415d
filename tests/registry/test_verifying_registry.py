"""`verify` lists every difference between what was registered and what is there."""

import hashlib
import json
import os
import shutil

import pytest

from contracts import files
from registry import publishing, reading


@pytest.mark.parametrize(
    ("damage", "path", "problem"),
    [
        (lambda d: flip_byte(d, "backbone/variables/variables.data"), "backbone/variables/variables.data", "changed: SHA-256"),
        (lambda d: flip_byte(d, "probe/saved_model.pb"), "probe/saved_model.pb", "changed: SHA-256"),
        (lambda d: os.remove(os.path.join(d, "backbone/saved_model.pb")), "backbone/saved_model.pb", "missing"),
        (lambda d: write(d, "backbone/extra.txt", "x"), "backbone/extra.txt", "not part of what was registered"),
        (lambda d: write(d, "MODEL_CARD.md", "# Card of b\n"), "MODEL_CARD.md", "changed: SHA-256"),
        (lambda d: write(d, "beside.txt", "x"), "beside.txt", "not part of what was registered"),
        (lambda d: write(d, "backbone/saved_model.pb", "short"), "backbone/saved_model.pb", "5 bytes, registered with 10"),
        (lambda d: os.remove(os.path.join(d, "manifest.json")), "manifest.json", "missing"),
        (lambda d: write(d, "manifest.json", "{"), "manifest.json", "not a manifest"),
        (lambda d: write(d, "manifest.json", '["list"]'), "manifest.json", "not a manifest"),
        (lambda d: shutil.rmtree(d), ".", "the directory is missing"),
    ],
    ids=["byte", "probe", "gone", "extra", "card", "beside", "shorter", "no manifest", "cut manifest", "odd manifest", "all gone"],
)
def test_verify_names_every_difference(registry, candidate, damage, path, problem):
    version = publishing.publish(registry, **candidate("a")).version
    publishing.publish(registry, **candidate("b", judged_against="1"))
    damage(version.path)
    found = reading.verify(*registry.versions())
    assert [(d.version, d.path) for d in found] == [("1", path)]
    assert problem in found[0].problem
    assert reading.verify(reading.get_version(registry, "1")) == found
    assert reading.verify(reading.get_version(registry, "champion")) == []


def test_verify_notices_a_file_changed_together_with_its_manifest(registry, candidate):
    version = publishing.publish(registry, **candidate("a")).version
    flip_byte(version.path, "backbone/saved_model.pb")
    manifest = files.read_json(os.path.join(version.path, "manifest.json"))
    with open(os.path.join(version.path, "backbone/saved_model.pb"), "rb") as file:
        manifest["files"]["backbone/saved_model.pb"]["sha256"] = hashlib.sha256(file.read()).hexdigest()
    write(version.path, "manifest.json", json.dumps(manifest))
    (difference,) = reading.verify(*registry.versions())
    assert difference.path == "backbone"
    assert "the registry has " + candidate("a")["backbone_hash"] in difference.problem


def test_several_differences_are_all_listed(registry, candidate):
    version = publishing.publish(registry, **candidate("a")).version
    flip_byte(version.path, "backbone/saved_model.pb")
    os.remove(os.path.join(version.path, "probe/saved_model.pb"))
    write(version.path, "probe/extra", "x")
    assert {d.path for d in reading.verify(*registry.versions())} == {"backbone/saved_model.pb", "probe/saved_model.pb", "probe/extra"}


def flip_byte(directory, name):
    path = os.path.join(directory, name)
    with open(path, "rb") as file:
        content = bytearray(file.read())
    content[len(content) // 2] ^= 1
    with open(path, "wb") as file:
        file.write(content)


def write(directory, name, text):
    with open(os.path.join(directory, name), "w") as file:
        file.write(text)
