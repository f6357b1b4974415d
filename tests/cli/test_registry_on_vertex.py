"""`flowers registry … --vertex`: the verbs as a user types them, on the wire to a local server."""

import os
import re

import pytest
import tensorflow as tf
from google_server import server as faults

from cli.main import main
from registry import keys, publishing
from registry.opening import open_registry
from tests.registry.conftest import candidate  # noqa: F401

NAME = "flowers-backbone"


@pytest.fixture
def flowers(capfd):
    """flowers("registry list") runs it and gives exit status, standard output and standard error."""

    def run(line, *more):
        status = main([*line.split(), "--vertex", "--project", "a-project", "--region", "europe-west4", *more])
        return status, *capfd.readouterr()

    return run


@pytest.fixture
def registry(new_place, candidate):  # noqa: F811
    """Three versions, of which the last is champion."""
    registry = open_registry(new_place(), NAME)
    for number in range(3):
        one = candidate(f"content {number}", judged_against=str(number) if number else None)
        assert publishing.publish(registry, **one).is_champion
    return registry


def test_versions_are_listed_shown_and_verified(registry, flowers):
    status, out, _ = flowers("registry list")
    assert status == 0 and f"{NAME} at Vertex AI in project a-project, europe-west4" in out
    assert re.search(r"3\s.*champion", out)
    status, out, _ = flowers("registry show champion")
    assert status == 0 and registry.versions()[2].path in out
    status, out, _ = flowers("registry verify")
    assert status == 5 and "3 versions of flowers-backbone checked, 0 damaged, 3 not signed" in out
    with tf.io.gfile.GFile(f"{registry.versions()[1].path}/backbone/saved_model.pb", "a") as file:
        file.write("x")
    status, out, _ = flowers("registry verify")
    assert status == 1 and "backbone/saved_model.pb" in out and "1 damaged" in out


def test_a_version_is_signed_with_a_key_of_the_user_s_own_alone(registry, flowers, tmp_path):
    status, _, err = flowers("registry sign 1")
    assert status == 2 and "there is no key to sign with for Vertex AI in project a-project, europe-west4: give one with --key" in err
    key = keys.signing_key(str(tmp_path), "").path
    assert flowers("registry sign 1", "--key", key)[0] == 0
    assert flowers("registry verify 1")[0] == 0
    assert tf.io.gfile.listdir(f"{registry.keys}/trusted") == os.listdir(tmp_path / "trusted")


def test_champions_are_chosen_and_old_versions_pruned(registry, flowers):
    assert flowers("registry promote 1", "--reason", "by hand")[0] == 0
    assert registry.versions()[0].aliases == ("champion", "default")
    assert flowers("registry rollback", "--reason", "too slow")[0] == 0
    assert [version.aliases for version in registry.versions()] == [(), (), ("champion", "default")]
    _, out, _ = flowers("registry list")
    assert "by hand" in out and "too slow" in out
    first = registry.versions()[0].path
    assert flowers("registry prune --keep 0")[0] == 0
    # The champion stays, and the one before it, to which a rollback returns.
    assert [version.version for version in registry.versions()] == ["2", "3"]
    assert not tf.io.gfile.exists(first)


def test_the_best_version_so_far_is_not_pruned(new_place, candidate, flowers):  # noqa: F811
    registry = open_registry(new_place(), NAME)
    for number, accuracy in enumerate(("0.70", "0.61", "0.62", "0.61")):
        publishing.publish(registry, **candidate(str(number), judged_against=str(number) if number else None, accuracy=accuracy))
    _, out, _ = flowers("registry prune --keep 0")
    assert [version.version for version in registry.versions()] == ["1", "3", "4"]
    assert "version 1: kept (the best so far, which the gate compares with)" in out and "version 2: deleted" in out


def test_an_empty_registry_says_so(new_place, flowers):
    status, out, _ = flowers("registry list")
    assert status == 0 and "No versions" in out


def test_a_missing_permission_is_told_without_a_traceback(model_server, flowers):
    model_server.fault("ListModelVersions", faults.permission_denied("aiplatform.models.list"))
    status, out, error = flowers("registry list")
    assert status == 2
    assert error.startswith("flowers: ") and "permission aiplatform.models.list is missing" in error
    assert "Traceback" not in out + error


@pytest.mark.parametrize(("line", "message"), [
    ("--vertex --region europe-west4", "--project must be the id of a Google Cloud project"),
    ("--vertex --project a-project --region europe", "--region must be a region such as europe-west4"),
    ("--vertex --project a-project --region europe-west4 --bucket a-bucket", "--bucket must be gs://BUCKET"),
    ("--vertex --project a-project --region europe-west4 --name Flowers", "lower-case letters, digits"),
    ("--project a-project", "--project must be given with --vertex, or left out"),
])  # fmt: skip
def test_what_names_no_registry_is_refused_before_anything_is_called(line, message, capfd):
    assert main(["registry", "list", *line.split()]) == 2
    assert message in capfd.readouterr().err
