"""The registry on Vertex AI: Google's own client on the wire to a local server, the files on a remote file system."""

import itertools
import json
import os
import posixpath
import shutil
import threading
import time

import grpc
import pytest
import tensorflow as tf
from google_server import server as faults
from google_server.service import Refusal
from google_server.storage import Storage

import contracts.files
from registry import files, lifecycle, publishing, reading
from registry.backend import MLMODEL_HASH, WITHHELD, RegistryError
from registry.opening import open_registry
from registry.vertex_backend import RECORD_MISSING, VertexBackend, vertex_place
from vertex import GoogleCloudError
from vertex.client import Connection

NAME = "flowers-backbone"
MODEL = f"projects/123456789012/locations/europe-west4/models/{NAME}"


@pytest.fixture
def registry(new_place):
    return open_registry(new_place(), NAME)


def with_little_patience(registry):
    return VertexBackend(Connection("a-project", "europe-west4", call_seconds=0.2, retry_seconds=0.6), registry.folder, NAME)


def champions(models, name=NAME):
    """What the server has, alias by alias; `registry.versions()` would show one at most."""
    versions = models.models[MODEL.replace(NAME, name)]
    return [number for number, version in sorted(versions.items()) if "champion" in version.version_aliases]


def test_the_first_publication_makes_version_and_champion(registry, candidate, models):
    arguments = candidate("a") | {"tags": {"accuracy": "0.61", "floor": "0.52", "run_id": "flowers-20261124",
                                           "gate": json.dumps({"min_accuracy": 0.55}), "reasons": "a reason, " * 500}}  # fmt: skip
    publication = publishing.publish(registry, **arguments)
    assert (publication.version.version, publication.created, publication.is_champion) == ("1", True, True)
    version = reading.champion(registry)
    assert version == publication.version
    assert version.aliases == ("champion", "default")
    # Everything that a registry on a disk has: what is no label is in the record.
    assert version.tags.items() >= arguments["tags"].items()
    assert version.tags["content_hash"] == arguments["backbone_hash"]
    assert version.tags["probe_content_hash"] == arguments["probe_hash"]
    assert version.path == posixpath.join(registry.folder, "versions", arguments["backbone_hash"])
    assert reading.verify(version) == []

    seen = models.models[MODEL]["1"]
    assert seen.artifact_uri == f"{version.path}/backbone"
    assert seen.labels["run_id"] == "flowers-20261124"
    assert seen.labels["content_hash"] == arguments["backbone_hash"][:63]
    assert {"accuracy", "gate", "reasons"}.isdisjoint(seen.labels)  # points, braces and length do not fit
    assert "linear top-1 61.0 %, random-init 52.0 %" in seen.version_description
    assert f"probe sha256 {arguments['probe_hash']}" in seen.version_description


def test_no_version_is_default_before_it_is_promoted_but_the_first(registry, candidate, models):
    publishing.publish(registry, **candidate("a"))
    late = publishing.publish(registry, **candidate("b", judged_against=None))
    assert not late.is_champion
    assert late.version.aliases == ()
    assert "judged against no champion, but the champion is now version 1" in late.version.tags[WITHHELD]
    assert "not champion when it was registered" in models.models[MODEL]["2"].version_description
    again = publishing.publish(registry, **candidate("b", judged_against="1"))
    assert again.version.aliases == ("champion", "default")
    assert again.version.tags[WITHHELD] == ""
    assert "not champion" not in models.models[MODEL]["2"].version_description


@pytest.mark.parametrize("aliases_move", [True, False])
def test_the_next_blessed_version_takes_the_alias(registry, candidate, models, aliases_move):
    models.aliases_move = aliases_move  # whether the server takes it from the former champion by itself
    publishing.publish(registry, **candidate("a"))
    publishing.publish(registry, **candidate("b", judged_against="1"))
    publishing.publish(registry, **candidate("c", judged_against="2"))
    assert [(v.version, v.aliases) for v in registry.versions()] == [("1", ()), ("2", ()), ("3", ("champion", "default"))]
    assert champions(models) == ["3"]
    assert reading.verify(*registry.versions()) == []


def test_two_pushers_at_once_leave_one_champion_that_neither_takes_from_the_other_unseen(registry, candidate, models, monkeypatch):
    storage = Storage()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.address)
    monkeypatch.setattr(VertexBackend, "lock_place", lambda self: "gs://bucket/lock")
    publishing.publish(registry, **candidate("a"))
    candidates, done = [candidate(name, judged_against="1") for name in ("b", "c")], []
    # Both have been judged against version 1, and each moves the alias if that is still the champion.
    threads = [threading.Thread(target=lambda one=one: done.append(publishing.publish(registry, **one))) for one in candidates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    storage.stop()
    assert sorted(one.is_champion for one in done) == [False, True]
    assert champions(models) == [next(one.version.version for one in done if one.is_champion)]
    assert ("POST", 200) in storage.log and storage.objects == {}


def test_the_lock_is_beside_the_records_of_the_model():
    place = vertex_place("a-project", "europe-west4", "gs://bucket/registry")
    assert open_registry(place, NAME).lock_place() == f"gs://bucket/registry/records/a-project/europe-west4/{NAME}/lock"


def test_the_same_content_twice_makes_no_second_version(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    again = publishing.publish(registry, **candidate("a"))
    assert (again.version.version, again.created, again.is_champion) == ("1", False, True)
    assert len(registry.versions()) == 1


class Crash(BaseException):
    """The process ends here. Nothing in the code catches it."""


def crash_at(monkeypatch, number):
    """Ends the process before or after its `number`-th effect: each call and each write gives two chances."""
    left = itertools.count(number, -1)

    def fragile(function):
        def call(*arguments, **options):
            if next(left) == 0:
                raise Crash
            result = function(*arguments, **options)
            if next(left) == 0:
                raise Crash
            return result

        return call

    monkeypatch.setattr(Connection, "once", fragile(Connection.once))
    for module, name in ((files, "_copy"), (files, "_write"), (contracts.files, "write_text")):
        monkeypatch.setattr(module, name, fragile(getattr(module, name)))


@pytest.mark.parametrize("aliases_move", [True, False])
def test_a_crash_anywhere_leaves_a_champion_and_running_again_makes_one_version(new_place, models, operations, candidate,
                                                                                aliases_move):  # fmt: skip
    models.aliases_move, operations.polls_until_done = aliases_move, 2
    former, arguments = candidate("a"), candidate("b", judged_against="1")
    for number in itertools.count():
        registry = open_registry(new_place(), f"flowers-{number}")
        publishing.publish(registry, **former)
        with pytest.MonkeyPatch.context() as patch:
            crash_at(patch, number)
            try:
                publishing.publish(registry, **arguments)
                break
            except Crash:
                pass
        champion = reading.champion(registry)
        assert champion.version in ("1", "2"), f"after effect {number}"
        assert reading.verify(champion) == []
        completed = publishing.publish(registry, **arguments)
        assert (completed.version.version, completed.is_champion) == ("2", True), f"after effect {number}"
        assert [v.version for v in registry.versions()] == ["1", "2"]
        assert champions(models, registry.name) == ["2"]
        assert reading.verify(*registry.versions()) == []
    assert number >= 24  # six writes of files and six calls at least, before and after each


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("fault", [faults.unavailable(), faults.unavailable(done=True), faults.deadline_exceeded(done=True),
                                   faults.already_exists()])  # fmt: skip
def test_an_upload_whose_answer_is_lost_makes_one_version(model_server, registry, candidate, operations, fault, first):
    operations.polls_until_done = 3
    if not first:
        publishing.publish(registry, **candidate("a"))
    model_server.fault("UploadModel", fault)
    publication = publishing.publish(registry, **candidate("b", judged_against=None if first else "1"))
    assert (publication.created, publication.is_champion) == (True, True)
    assert len(registry.versions()) == (1 if first else 2)


@pytest.mark.parametrize("method", ["UploadModel", "GetOperation", "ListModelVersions", "MergeVersionAliases", "ListOperations"])
@pytest.mark.parametrize("done", [True, False])
def test_an_answer_that_never_comes_is_asked_for_again(model_server, registry, candidate, method, done):
    model_server.fault(method, faults.silent(done))
    publication = publishing.publish(with_little_patience(registry), **candidate("a"))
    assert publication.is_champion
    assert len(registry.versions()) == 1


@pytest.mark.parametrize("method", ["UploadModel", "GetOperation", "ListModelVersions", "MergeVersionAliases", "ListOperations"])
@pytest.mark.parametrize("fault", [faults.silent(), faults.unavailable()])
def test_what_stays_away_ends_in_an_error_and_running_again_completes(model_server, registry, candidate, method, fault):
    publishing.publish(registry, **candidate("a"))
    model_server.fault(method, fault, times=1000)
    with pytest.raises(GoogleCloudError, match="no answer in time|not available"):
        publishing.publish(with_little_patience(registry), **candidate("b", judged_against="1"))
    model_server.heal()
    assert reading.champion(registry).version == "1"
    assert publishing.publish(registry, **candidate("b", judged_against="1")).is_champion
    assert len(registry.versions()) == 2


@pytest.mark.parametrize(("method", "permission"), [
    ("UploadModel", "aiplatform.models.upload"), ("ListModelVersions", "aiplatform.models.list"),
    ("MergeVersionAliases", "aiplatform.models.update"), ("ListOperations", "aiplatform.operations.list"),
    ("GetOperation", "aiplatform.operations.get"),
])  # fmt: skip
def test_a_missing_permission_is_named_also_where_google_does_not(model_server, registry, candidate, method, permission):
    publishing.publish(registry, **candidate("a"))
    model_server.fault(method, faults.Fault(grpc.StatusCode.PERMISSION_DENIED, "The caller does not have permission"))
    with pytest.raises(GoogleCloudError, match=f"permission {permission} is missing"):
        publishing.publish(registry, **candidate("b", judged_against="1"))
    assert reading.champion(registry).version == "1"


def test_an_upload_that_google_cannot_do_says_why_and_registers_nothing(registry, candidate, models, monkeypatch):
    refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "The container image is not accessible.")
    monkeypatch.setattr(models, "_add", lambda name, model: (_ for _ in ()).throw(refusal))
    with pytest.raises(GoogleCloudError, match="The container image is not accessible"):
        publishing.publish(registry, **candidate("a"))
    assert registry.versions() == []


def test_doubles_of_an_upload_are_deleted_but_never_the_champion(registry, candidate, models):
    publishing.publish(registry, **candidate("a"))
    double = models.models[MODEL]["1"]
    for _ in range(2):
        models._add(MODEL, double)
        models.models[MODEL][max(models.models[MODEL])].version_aliases = []
    with registry.writing():
        assert [(v.version, v.aliases) for v in registry.versions()] == [("1", ("champion", "default"))]


def test_a_former_champion_that_has_not_lost_the_alias_yet_is_no_champion(registry, candidate, models):
    publishing.publish(registry, **candidate("a"))
    publishing.publish(registry, **candidate("b", judged_against="1"))
    models.models[MODEL]["1"].version_aliases = ["champion"]
    assert reading.champion(registry).version == "2"


def test_files_and_manifest_that_were_changed_together_differ_from_what_vertex_ai_has(registry, candidate):
    version = publishing.publish(registry, **candidate("a")).version
    other = publishing.publish(registry, **candidate("b", judged_against="1")).version
    tf.io.gfile.rmtree(version.path)
    for path in files._walk(other.path):
        tf.io.gfile.makedirs(posixpath.dirname(posixpath.join(version.path, path)))
        tf.io.gfile.copy(posixpath.join(other.path, path), posixpath.join(version.path, path))
    assert {difference.path for difference in reading.verify(version)} >= {"backbone", "probe", "manifest.json"}


def test_a_lost_record_is_told_and_a_damaged_one_refused(registry, candidate):
    content = publishing.publish(registry, **candidate("a")).version.tags["content_hash"]
    record = f"{registry.folder}/records/a-project/europe-west4/{NAME}/{content}.json"
    tf.io.gfile.remove(record)
    (version,) = registry.versions()
    assert version.tags[RECORD_MISSING] == record
    assert reading.verify(version) == []  # what identifies it is not in the record
    contracts.files.write_text(record, "[]")
    with pytest.raises(RegistryError, match="must be a record of tags"):
        registry.versions()


def test_a_version_of_an_earlier_release_becomes_a_model_of_mlflow(registry, older_candidate):
    before = publishing.publish(registry, **older_candidate).version
    assert [one.version for one in lifecycle.repair(registry)] == ["1"]
    (after,) = registry.versions()
    assert after.tags == before.tags | {MLMODEL_HASH: after.tags[MLMODEL_HASH]}
    assert reading.verify(after) == []
    assert tf.io.gfile.exists(posixpath.join(after.path, "MLmodel"))


def test_a_model_that_somebody_else_uploaded_is_listed_without_tags(registry, candidate, models):
    publishing.publish(registry, **candidate("a"))
    foreign = type(models.models[MODEL]["1"])(models.models[MODEL]["1"])
    foreign.artifact_uri = "ram://elsewhere/model"
    models._add(MODEL, foreign)
    models.models[MODEL]["2"].version_aliases = ["champion"]
    version = reading.champion(registry)
    assert (version.version, version.tags, version.path) == ("2", {}, "ram://elsewhere/model")
    assert reading.verify(version)[0].path == "."


def test_tags_of_versions_and_of_the_model_can_be_changed(registry, candidate, models):
    publishing.publish(registry, **candidate("a"))
    with registry.writing():
        registry.set_version_tag("1", "note", "seen-by-somebody")
        registry.set_model_tag("history", "x" * 4000)
    assert registry.versions()[0].tags["note"] == models.models[MODEL]["1"].labels["note"] == "seen-by-somebody"
    assert registry.model_tags()["history"] == "x" * 4000


def test_a_deleted_version_leaves_its_files_and_numbers_go_on(registry, candidate):
    for content, judged_against in (("a", None), ("b", "1"), ("c", "2")):
        publishing.publish(registry, **candidate(content, judged_against=judged_against))
    second = reading.get_version(registry, "2")
    with registry.writing():
        assert registry.leftovers() == []
        registry.delete_version("2")
        assert registry.leftovers() == [second.path]
        tf.io.gfile.rmtree(second.path)
        assert registry.leftovers() == []
    assert publishing.publish(registry, **candidate("b", judged_against="3")).version.version == "4"


def test_what_another_model_keeps_in_the_same_folder_is_no_leftover(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    publishing.publish(VertexBackend(registry.connection, registry.folder, "other"), **candidate("b"))
    with registry.writing():
        assert registry.leftovers() == []


def test_a_copy_that_may_be_under_way_is_no_leftover(model_server, candidate, tmp_path):
    registry = VertexBackend(Connection("a-project", "europe-west4"), str(tmp_path / "registry"), NAME)
    copy = registry.files_path("0" * 64)
    shutil.copytree(candidate("a")["backbone"], os.path.join(copy, "backbone"))
    for path in files._walk(copy):
        os.utime(os.path.join(copy, path))  # as a copy that is made now
    assert registry.leftovers() == []
    two_days_ago = time.time() - 2 * 24 * 3600
    for path in files._walk(copy):
        os.utime(os.path.join(copy, path), (two_days_ago, two_days_ago))
    assert registry.leftovers() == [copy]


def test_the_bucket_is_known_from_the_versions(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    without = open_registry(vertex_place("a-project", "europe-west4", ""), NAME)
    assert without.versions() == registry.versions()
    assert without.files_path("h") == registry.files_path("h")


def test_nothing_registered_is_an_empty_list(registry):
    assert registry.versions() == []
    assert registry.model_tags() == {}
    without = open_registry(vertex_place("a-project", "europe-west4", ""), NAME)
    assert without.model_tags() == {}
    with pytest.raises(RegistryError, match="has no versions yet.*--bucket"):
        without.files_path("h")


def test_what_vertex_ai_is_told_of_container_and_key(new_place, model_server, models, candidate):
    requests = []
    key = "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k"
    for options in ({}, {"serving_image": "europe-docker.pkg.dev/p/r/serving:1", "kms_key": key}):
        models.models.clear()
        publishing.publish(open_registry(new_place(**options), NAME), **candidate("a"))
        requests += [call.request.model for call in model_server.calls if call.method == "UploadModel"][-1:]
    plain, given = requests
    assert plain.container_spec.image_uri == "europe-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
    assert plain.encryption_spec.kms_key_name == ""
    assert given.container_spec.image_uri == "europe-docker.pkg.dev/p/r/serving:1"
    assert given.encryption_spec.kms_key_name == key


@pytest.mark.parametrize("name", ["Flowers", "9-flowers", "flowers.backbone", "f" * 64])
def test_a_name_that_vertex_ai_does_not_take_is_refused_in_words(name):
    with pytest.raises(RegistryError, match="registry.name must have .*lower-case letters, digits, '-' and '_'.*got"):
        open_registry(vertex_place("a-project", "europe-west4", "gs://b/registry"), name)


def test_a_place_that_is_none_is_refused_in_words():
    with pytest.raises(RegistryError, match="must be vertex://PROJECT/REGION/FOLDER, got"):
        open_registry("vertex://a-project", NAME)
