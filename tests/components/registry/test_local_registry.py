"""The registry on one machine: what it promises about versions, the alias, repair, verification and moving."""

import datetime
import hashlib
import importlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys

import pytest

from components.registry import files, local, store
from components.registry.version import RegistryError
from contracts.content_hash import content_hash

NAME = "flowers-backbone"


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory):
    """An empty database, made once: MLflow's migrations take seconds."""
    directory = tmp_path_factory.mktemp("template") / "registry"
    with store.lock(str(directory)):
        store.create(str(directory))
    return directory


@pytest.fixture
def registry(tmp_path, empty_registry):
    directory = tmp_path / "root" / "registry"
    shutil.copytree(empty_registry, directory)
    return str(directory)


def make_model(directory, text):
    """A stand-in for a model directory: files in two levels and, as in many SavedModels, an empty folder."""
    (directory / "variables").mkdir(parents=True)
    (directory / "assets").mkdir()
    (directory / "saved_model.pb").write_text(f"graph of {text}")
    (directory / "variables" / "variables.data").write_bytes(text.encode() * 1000)
    return str(directory)


@pytest.fixture
def candidate(tmp_path):
    """candidate(text, judged_against=…, recipe=…) gives the arguments of publish() for a backbone of that content."""

    def make(text, judged_against=None, recipe="", probe=None):
        backbone_dir, probe_dir = tmp_path / "models" / text / "backbone", tmp_path / "models" / text / (probe or "probe")
        backbone = str(backbone_dir) if backbone_dir.exists() else make_model(backbone_dir, text)
        probe = str(probe_dir) if probe_dir.exists() else make_model(probe_dir, f"{probe or 'probe'} of {text}")
        return {
            "backbone": backbone, "probe": probe, "backbone_hash": content_hash(backbone), "probe_hash": content_hash(probe),
            "tags": {"accuracy": "0.61", "recipe": recipe}, "judged_against": judged_against,
        }  # fmt: skip

    return make


def test_nothing_registered_is_an_empty_list_and_makes_no_file(tmp_path):
    directory = str(tmp_path / "registry")
    assert local.list_versions(directory, NAME) == []
    assert local.champion(directory, NAME) is None
    assert local.champion_for_gate(directory, NAME, "recipe") is None
    assert local.verify(directory, NAME) == []
    assert not os.path.exists(directory)


def test_the_first_publication_makes_registry_version_and_champion(tmp_path, candidate):
    before = datetime.datetime.now(datetime.UTC)
    directory = str(tmp_path / "root with space, # and %20" / "registry")
    publication = local.publish(directory, NAME, **candidate("a"))
    assert (publication.created, publication.is_champion) == (True, True)
    version = local.champion(directory, NAME)
    assert version == publication.version == local.get_version(directory, NAME, "1")
    assert version.aliases == ("champion",)
    assert version.tags["accuracy"] == "0.61"
    assert version.tags["content_hash"] == candidate("a")["backbone_hash"]
    assert version.tags["baseline_version"] == ""
    assert before - datetime.timedelta(seconds=1) <= version.created <= datetime.datetime.now(datetime.UTC)
    # The copies are the models, file by file.
    assert content_hash(os.path.join(version.path, "backbone")) == candidate("a")["backbone_hash"]
    assert content_hash(os.path.join(version.path, "probe")) == candidate("a")["probe_hash"]
    assert local.verify(directory, NAME) == []


def test_the_next_blessed_version_takes_the_alias(registry, candidate):
    local.publish(registry, NAME, **candidate("a"))
    publication = local.publish(registry, NAME, **candidate("b", judged_against="1"))
    assert (publication.version.version, publication.is_champion) == ("2", True)
    assert [(v.version, v.aliases) for v in local.list_versions(registry, NAME)] == [("1", ()), ("2", ("champion",))]
    assert publication.version.tags["baseline_version"] == "1"


def test_the_same_content_twice_makes_no_second_version(registry, candidate):
    local.publish(registry, NAME, **candidate("a"))
    again = local.publish(registry, NAME, **candidate("a"))
    assert (again.version.version, again.created, again.is_champion) == ("1", False, True)
    assert "already" in again.reason
    assert len(local.list_versions(registry, NAME)) == 1


def test_the_same_backbone_with_another_probe_is_no_new_version_and_keeps_the_probe_that_was_judged(registry, candidate):
    first = local.publish(registry, NAME, **candidate("a"))
    again = local.publish(registry, NAME, **candidate("a", judged_against="1", probe="second_probe"))
    assert not again.created
    assert "another probe" in again.reason
    assert local.list_versions(registry, NAME) == [first.version]
    assert local.verify(registry, NAME) == []


def test_a_champion_that_changed_since_the_judgement_keeps_its_alias(registry, candidate):
    local.publish(registry, NAME, **candidate("a"))
    local.publish(registry, NAME, **candidate("b", judged_against="1"))
    late = local.publish(registry, NAME, **candidate("c", judged_against="1"))
    assert (late.created, late.is_champion) == (True, False)
    assert local.champion(registry, NAME).version == "2"
    assert "judged against version 1" in late.reason and "champion is version 2" in late.reason
    assert late.version.tags[local.WITHHELD] == late.reason
    # Judged again, against the champion of now, it takes the alias, and the tag no longer says otherwise.
    again = local.publish(registry, NAME, **candidate("c", judged_against="2"))
    assert (again.version.version, again.created, again.is_champion) == ("3", False, True)
    assert again.version.tags[local.WITHHELD] == ""
    assert again.version.tags["baseline_version"] == "2"


def test_a_first_run_that_finds_a_champion_meanwhile_does_not_replace_it(registry, candidate):
    local.publish(registry, NAME, **candidate("a"))
    late = local.publish(registry, NAME, **candidate("b", judged_against=None))
    assert not late.is_champion
    assert local.champion(registry, NAME).version == "1"


def test_an_unknown_version_is_named_with_those_that_exist(registry, candidate):
    local.publish(registry, NAME, **candidate("a"))
    with pytest.raises(RegistryError, match=r"no version or alias '7'; versions: 1"):
        local.get_version(registry, NAME, "7")
    assert local.get_version(registry, NAME, "champion").version == "1"


def test_models_of_other_names_are_apart(registry, candidate):
    local.publish(registry, NAME, **candidate("a"))
    local.publish(registry, "other", **candidate("b"))
    assert local.champion(registry, NAME).tags["content_hash"] != local.champion(registry, "other").tags["content_hash"]
    assert len(local.list_versions(registry, NAME)) == 1


def test_the_gate_compares_with_the_champion(registry, candidate):
    local.publish(registry, NAME, **candidate("a", recipe="recipe of a"))
    baseline = local.champion_for_gate(registry, NAME, "recipe of b")
    version = local.champion(registry, NAME)
    assert baseline == {
        "version": "1", "probe_uri": os.path.join(version.path, "probe"), "content_hash": candidate("a")["probe_hash"],
    }  # fmt: skip


def test_an_unchanged_run_is_compared_with_what_its_champion_was_judged_against(registry, candidate):
    local.publish(registry, NAME, **candidate("a", recipe="recipe of a"))
    assert local.champion_for_gate(registry, NAME, "recipe of a") is None
    asked = local.champion_for_gate(registry, NAME, "recipe of b")
    local.publish(registry, NAME, **candidate("b", judged_against="1", recipe="recipe of b"))
    assert local.champion_for_gate(registry, NAME, "recipe of b") == asked
    assert local.champion_for_gate(registry, NAME, "recipe of a")["version"] == "2"


@pytest.mark.parametrize(
    ("damage", "path", "problem"),
    [
        (lambda d: flip_byte(d, "backbone/variables/variables.data"), "backbone/variables/variables.data", "changed: SHA-256"),
        (lambda d: flip_byte(d, "probe/saved_model.pb"), "probe/saved_model.pb", "changed: SHA-256"),
        (lambda d: os.remove(os.path.join(d, "backbone/saved_model.pb")), "backbone/saved_model.pb", "missing"),
        (lambda d: write(d, "backbone/extra.txt", "x"), "backbone/extra.txt", "not part of what was registered"),
        (lambda d: write(d, "beside.txt", "x"), "beside.txt", "not part of what was registered"),
        (lambda d: write(d, "backbone/saved_model.pb", "short"), "backbone/saved_model.pb", "5 bytes, registered with 10"),
        (lambda d: os.remove(os.path.join(d, "manifest.json")), "manifest.json", "missing"),
        (lambda d: write(d, "manifest.json", "{"), "manifest.json", "not a manifest"),
        (lambda d: write(d, "manifest.json", '["list"]'), "manifest.json", "not a manifest"),
        (lambda d: shutil.rmtree(d), ".", "the directory is missing"),
    ],
    ids=["byte", "byte of the probe", "gone", "extra", "beside", "shorter", "no manifest", "cut manifest", "odd manifest", "all gone"],
)
def test_verify_names_every_difference(registry, candidate, damage, path, problem):
    version = local.publish(registry, NAME, **candidate("a")).version
    local.publish(registry, NAME, **candidate("b", judged_against="1"))
    damage(version.path)
    found = local.verify(registry, NAME)
    assert [(d.version, d.path) for d in found] == [("1", path)]
    assert problem in found[0].problem
    assert local.verify(registry, NAME, "1") == found
    assert local.verify(registry, NAME, "champion") == []


def test_verify_notices_a_file_changed_together_with_its_manifest(registry, candidate):
    version = local.publish(registry, NAME, **candidate("a")).version
    flip_byte(version.path, "backbone/saved_model.pb")
    manifest = json.loads(files.read_text(os.path.join(version.path, "manifest.json")))
    with open(os.path.join(version.path, "backbone/saved_model.pb"), "rb") as file:
        manifest["files"]["backbone/saved_model.pb"]["sha256"] = hashlib.sha256(file.read()).hexdigest()
    write(version.path, "manifest.json", json.dumps(manifest))
    (difference,) = local.verify(registry, NAME)
    assert difference.path == "backbone"
    assert "the registry has " + candidate("a")["backbone_hash"] in difference.problem


def test_several_differences_are_all_listed(registry, candidate):
    version = local.publish(registry, NAME, **candidate("a")).version
    flip_byte(version.path, "backbone/saved_model.pb")
    os.remove(os.path.join(version.path, "probe/saved_model.pb"))
    write(version.path, "probe/extra", "x")
    assert {d.path for d in local.verify(registry, NAME)} == {"backbone/saved_model.pb", "probe/saved_model.pb", "probe/extra"}


def test_publishing_again_repairs_a_damaged_copy(registry, candidate):
    version = local.publish(registry, NAME, **candidate("a")).version
    flip_byte(version.path, "backbone/saved_model.pb")
    local.publish(registry, NAME, **candidate("a"))
    assert local.verify(registry, NAME) == []


def test_a_directory_that_changed_since_it_was_judged_is_not_registered(registry, candidate):
    arguments = candidate("a")
    flip_byte(arguments["backbone"], "saved_model.pb")
    with pytest.raises(RegistryError, match="changed while it was copied"):
        local.publish(registry, NAME, **arguments)
    assert local.list_versions(registry, NAME) == []


def test_the_whole_directory_can_be_moved(registry, candidate, tmp_path):
    local.publish(registry, NAME, **candidate("a"))
    moved = str(tmp_path / "elsewhere" / "registry")
    shutil.move(os.path.dirname(registry), os.path.dirname(moved))
    assert local.verify(moved, NAME) == []
    assert local.champion(moved, NAME).path.startswith(str(tmp_path / "elsewhere"))


def test_a_relative_directory_is_the_same_registry(registry, candidate, monkeypatch):
    local.publish(registry, NAME, **candidate("a"))
    monkeypatch.chdir(os.path.dirname(registry))
    assert local.list_versions("registry", NAME) == local.list_versions(registry, NAME)


# What a killed process was about to do: (module, object in it, function).
BOUNDARIES = {
    "before the copy": ("components.registry.files", None, "publish"),
    "before the first file": ("components.registry.files", None, "_copy"),
    "before the manifest": ("components.registry.files", None, "write_text"),
    "before the version": ("components.registry.local", None, "_write_version"),
    "before the alias": ("mlflow", "MlflowClient", "set_registered_model_alias"),
}


@pytest.fixture(scope="module")
def processes():
    """Starts processes from a server that has TensorFlow and MLflow imported, so that each costs no import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["components.registry.files", "mlflow"])
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    return context


def _publish_until(boundary, directory, arguments):
    module, holder, function = BOUNDARIES[boundary]
    owner = importlib.import_module(module)
    setattr(getattr(owner, holder) if holder else owner, function, lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL))
    local.publish(directory, NAME, **arguments)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_kill_leaves_the_former_champion_and_the_next_publication_completes(processes, registry, candidate, boundary):
    former = local.publish(registry, NAME, **candidate("a")).version
    arguments = candidate("b", judged_against="1")
    killed = processes.Process(target=_publish_until, args=(boundary, registry, arguments))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert local.champion(registry, NAME) == former
    assert local.verify(registry, NAME, "champion") == []

    completed = local.publish(registry, NAME, **arguments)
    assert (completed.version.version, completed.is_champion) == ("2", True)
    assert len(local.list_versions(registry, NAME)) == 2
    assert local.verify(registry, NAME) == []


def _create(directory):
    with store.lock(directory):
        store.create(directory)


def test_two_processes_can_make_the_registry_at_once(processes, tmp_path, candidate):
    directory = str(tmp_path / "registry")
    both = [processes.Process(target=_create, args=(directory,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert sorted(os.listdir(directory)) == ["lock", "mlflow.db"]
    assert local.publish(directory, NAME, **candidate("a")).is_champion


def test_a_database_that_a_crash_left_half_made_is_no_registry(tmp_path):
    directory = tmp_path / "registry"
    directory.mkdir()
    (directory / "mlflow.db.1.unfinished").write_bytes(b"SQLite format 3\0 cut off")
    assert local.list_versions(str(directory), NAME) == []
    _create(str(directory))
    assert sorted(os.listdir(directory)) == ["lock", "mlflow.db"]


def test_reading_the_registry_module_does_not_import_mlflow_or_tensorflow():
    code = "import sys, components.registry.local; print([m for m in ('mlflow', 'tensorflow') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=os.getcwd())
    assert shown.stdout.strip() == "[]"


def test_mlflow_is_imported_with_its_telemetry_off(registry):
    local.list_versions(registry, NAME)
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()


def test_files_are_published_by_the_manifest(tmp_path, candidate):
    arguments = candidate("a")
    target = str(tmp_path / "target")
    files.publish(target, arguments["backbone"], arguments["probe"], arguments["backbone_hash"], arguments["probe_hash"])
    stamp = os.stat(os.path.join(target, "manifest.json")).st_mtime_ns
    files.publish(target, arguments["backbone"], arguments["probe"], arguments["backbone_hash"], arguments["probe_hash"])
    assert os.stat(os.path.join(target, "manifest.json")).st_mtime_ns == stamp  # a good copy is left alone


def test_files_can_be_copied_to_and_from_remote_file_systems(candidate):
    arguments = candidate("a")
    identity = {"content_hash": arguments["backbone_hash"], "probe_content_hash": arguments["probe_hash"]}
    files.publish("ram://source", arguments["backbone"], arguments["probe"], *identity.values())
    files.publish("ram://target", "ram://source/backbone", "ram://source/probe", *identity.values())
    assert files.differences("ram://target", identity) == []


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
