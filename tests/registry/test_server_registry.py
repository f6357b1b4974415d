"""A registry on an MLflow server that several machines share, on a real server: two folders stand for two machines."""

import itertools
import os
import shutil
import threading

import pytest

from cli import registry as verbs
from cli.arguments import ExitStatus
from contracts.layout import Layout
from registry import (
    champions,
    comparison,
    keys,
    lifecycle,
    mlflow_backend,
    publishing,
    reading,
    server_lock,
    starting_point,
    trust,
)
from registry.backend import CHAMPION, CONTENT_HASH, NoSuchVersion, RegistryError
from registry.opening import open_registry, registry_place
from registry.server_lock import Patience
from registry.trust import Standing

# A server takes many seconds to start.
pytestmark = pytest.mark.slow
NUMBERS = itertools.count(1)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """What a test waits for is another process, not time."""
    monkeypatch.setattr(server_lock, "PATIENCE", Patience(look=0.05, renew=0.1, expire=2.0))


@pytest.fixture
def machines(mlflow_server, tmp_path):
    """Two backends of one registered model, of which there are no versions yet; each trusts the key of the other."""
    name = f"model-{os.getpid()}-{next(NUMBERS)}"
    both = [machine(mlflow_server.address, tmp_path / one, name) for one in ("first", "second")]
    publish_keys(both[0], both[1:])
    publish_keys(both[1], both[:1])
    return both


def machine(address, root, name):
    return open_registry(registry_place(address, Layout.at(str(root))), name)


def publish_keys(one, others):
    """Lets others trust what this machine signs."""
    keys.signing_key(one.keys, "")
    for other in others:
        shutil.copytree(os.path.join(one.keys, "trusted"), os.path.join(other.keys, "trusted"), dirs_exist_ok=True)


def on_server(server, version, path):
    """The file of a version as the server keeps it."""
    client = mlflow_backend.client_of(server.address)
    address = client.get_model_version_download_uri(version.name, version.version)
    return server.artifacts / address.removeprefix("mlflow-artifacts:/") / path


def state(registry):
    return [(version.version, version.aliases) for version in registry.versions()]


def test_each_of_two_machines_sees_and_uses_what_the_other_registered(machines, candidate):
    first, second = machines
    assert (first.versions(), first.model_tags()) == ([], {})
    with pytest.raises(NoSuchVersion, match="has no version or alias 'champion'; versions: none"):
        reading.get_version(second, CHAMPION)

    assert publishing.publish(first, **candidate("a")).is_champion
    assert publishing.publish(second, **candidate("b", judged_against="1")).is_champion
    for one in machines:
        assert state(one) == [("1", ()), ("2", (CHAMPION,))]
        assert [trust.standing(one, version).standing for version in one.versions()] == [Standing.VERIFIED] * 2
        history = champions.history_of(one.model_tags(), reading.champion(one))
        changes = [(entry.kind, entry.version, entry.previous) for entry in history]
        assert changes == [("published", "1", ""), ("published", "2", "1")]
        assert comparison.champion_for_gate(one)["version"] == "2"
        assert starting_point.registered_names(one) == ["1", "2", CHAMPION]
    # The same files, byte for byte, in two folders.
    paths = {one.versions()[1].path for one in machines}
    assert len(paths) == 2
    assert len({open(os.path.join(path, "backbone", "saved_model.pb")).read() for path in paths}) == 1
    assert not publishing.publish(first, **candidate("b", judged_against="1")).created


def test_the_verbs_are_those_of_any_registry(machines, candidate, capsys):
    first, second = machines
    for number, text in enumerate("abc"):
        publishing.publish(first, **candidate(text, judged_against=str(number) if number else None))
    assert verbs.verify(second, [], None) == ExitStatus.FINISHED
    assert "3 versions of" in capsys.readouterr().out
    assert verbs.promote(second, "1", "better on roses") == ExitStatus.FINISHED
    assert state(first)[0] == ("1", (CHAMPION,))
    assert verbs.rollback(first, "not on lilies") == ExitStatus.FINISHED
    assert state(second)[2] == ("3", (CHAMPION,))
    assert verbs.sign(second, "2", "") == ExitStatus.FINISHED
    assert trust.standing(first, first.versions()[1]).standing is Standing.VERIFIED  # the copy has the new signature
    assert verbs.registry_versions.list_versions(first) == ExitStatus.FINISHED
    assert verbs.registry_versions.show(second, "champion") == ExitStatus.FINISHED
    assert "rolled back" in capsys.readouterr().out


def test_what_is_pruned_is_gone_from_the_server_and_numbers_are_not_given_again(machines, candidate, mlflow_server):
    first, second = machines
    for number, text in enumerate("abcd"):
        publishing.publish(first, **candidate(text, judged_against=str(number) if number else None))
    gone = first.versions()[0]
    trust.standing(second, second.versions()[0])
    kept_on_server = on_server(mlflow_server, gone, "manifest.json")
    assert kept_on_server.exists() and os.path.exists(gone.path)
    pruning = lifecycle.prune(first, keep=0)
    assert [version.version for version in pruning.pruned] == ["1", "2"]
    assert not kept_on_server.exists() and not os.path.exists(gone.path)
    lifecycle.repair(second)
    assert os.listdir(os.path.dirname(second.files_path("x"))) == ["lock"]  # its copy of what was pruned elsewhere
    assert publishing.publish(second, **candidate("e", judged_against="4")).version.version == "5"
    assert state(first) == [("3", ()), ("4", ()), ("5", (CHAMPION,))]


def test_a_file_that_was_changed_on_the_server_is_named_and_not_used(machines, candidate, mlflow_server, capsys):
    first, second = machines
    version = publishing.publish(first, **candidate("a")).version
    on_server(mlflow_server, version, "backbone/saved_model.pb").write_text("graph of b")
    with pytest.raises(RegistryError, match=r"version 1 .* is not as it was registered: backbone/saved_model.pb: changed"):
        trust.require_usable(second, second.versions()[0])
    # Here is an undamaged copy, which may be used; but what the server has is what is asked for.
    trust.require_usable(first, first.versions()[0])
    assert verbs.verify(first, [], None) == ExitStatus.NODE_FAILED
    assert "  backbone/saved_model.pb: changed" in capsys.readouterr().out
    publishing.publish(first, **candidate("a"))  # mends it
    assert verbs.verify(second, [], None) == ExitStatus.FINISHED


def test_the_server_cannot_change_files_and_tags_together_nor_add_a_file(machines, candidate, mlflow_server):
    first, second = machines
    version = publishing.publish(first, **candidate("a")).version
    with first.writing():
        first.set_version_tag("1", "accuracy", "0.99")
    finding = trust.standing(second, second.versions()[0])
    assert finding.standing is Standing.TAMPERED
    assert "accuracy is '0.61', the registry has '0.99'" in finding.differences[0].problem
    with first.writing():
        first.set_version_tag("1", "accuracy", "0.61")
    (on_server(mlflow_server, version, "backbone") / "more.py").write_text("print()")
    finding = trust.standing(second, second.versions()[0], anew=True)
    assert [(one.path, one.problem) for one in finding.differences] == [("backbone/more.py", "not part of what was registered")]


def test_a_copy_that_was_damaged_here_is_fetched_again(machines, candidate):
    first, _ = machines
    version = publishing.publish(first, **candidate("a")).version
    with open(os.path.join(version.path, "backbone", "saved_model.pb"), "w") as file:
        file.write("something else")
    assert trust.standing(first, first.versions()[0]).standing is Standing.VERIFIED
    assert open(os.path.join(version.path, "backbone", "saved_model.pb")).read() == "graph of a"


def test_a_copy_is_there_whole_or_not_at_all(machines, candidate, mlflow_server, monkeypatch):
    first, second = machines
    publishing.publish(first, **candidate("a"))
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    download = HttpArtifactRepository._download_file

    def breaks_off(self, remote_file_path, local_path):
        if remote_file_path.endswith("variables.data"):
            raise ConnectionError("the line is dead")
        return download(self, remote_file_path, local_path)

    version = second.versions()[0]
    with monkeypatch.context() as broken:
        broken.setattr(HttpArtifactRepository, "_download_file", breaks_off)
        with pytest.raises(RegistryError, match=f"the MLflow server at {mlflow_server.address} does not answer as it should"):
            trust.require_usable(second, version)
        assert not os.path.exists(version.path)
    os.makedirs(os.path.join(os.path.dirname(version.path), "unfinished-killed"))
    assert trust.standing(second, version).standing is Standing.VERIFIED
    assert sorted(os.listdir(os.path.dirname(version.path))) == sorted([os.path.basename(version.path), "lock"])


def test_two_machines_that_push_at_once_leave_one_champion_and_no_reader_sees_half_a_version(machines, candidate, tmp_path, mlflow_server):
    first, second = machines
    publishing.publish(first, **candidate("a"))
    candidates = [candidate(text, judged_against="1", accuracy=accuracy, eval_split="s")
                  for text, accuracy in (("b", "0.7"), ("c", "0.8"))]  # fmt: skip
    with first.writing():
        first.set_version_tag("1", "eval_split", "s")
    done, seen = [], []
    reader = machine(mlflow_server.address, tmp_path / "reader", first.name)
    for one in machines:
        publish_keys(one, [reader])
    pushing = [threading.Thread(target=lambda one=one, of=of: done.append(publishing.publish(one, **of)))
               for one, of in zip(machines, candidates, strict=True)]  # fmt: skip
    for thread in pushing:
        thread.start()
    while any(thread.is_alive() for thread in pushing) or not seen:
        versions = reader.versions()
        seen.append(sum(CHAMPION in version.aliases for version in versions))
        for version in versions[1:]:
            finding = trust.standing(reader, version)
            assert finding.standing is Standing.VERIFIED, finding
    assert set(seen) == {1}
    assert len(done) == 2
    found = first.versions()
    assert [version.version for version in found] == ["1", "2", "3"]
    # The better one, whichever came first.
    assert reading.champion(second).tags["run_id"] == "run-c"


def test_of_two_that_want_the_lock_one_has_it_at_a_time(machines):
    inside, most = [], []

    def write(one):
        for _ in range(3):
            with one.writing():
                inside.append(one)
                most.append(len(inside))
                one.set_model_tag("count", str(len(most)))
                inside.remove(one)

    threads = [threading.Thread(target=write, args=(one,)) for one in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6
    locks = server_lock._locks(machines[0]._client, machines[0].name)
    assert [one.name[-9:] for one in locks] == ["000000006"]  # the highest number stays


def test_the_lock_of_a_process_that_died_is_taken_over_and_one_that_lost_it_changes_nothing(machines, monkeypatch):
    first, second = machines
    with pytest.raises(RegistryError, match="another process writes .* now"), first.writing():
        # It is suspended, and renews nothing.
        monkeypatch.setattr(server_lock, "_renew", lambda *_: None)
        suspended = server_lock._newest(first._client, first.name)
        with pytest.MonkeyPatch.context() as stopped:
            stopped.setattr(first._client, "set_registered_model_tag", lambda *_: None)
            with second.writing():
                second.set_model_tag("by", "second")
        assert server_lock._newest(first._client, first.name).name > suspended.name
        first.set_model_tag("by", "first")
    assert first.model_tags() == {"by": "second"}


def test_an_answer_that_is_lost_makes_no_second_version(machines, candidate, monkeypatch):
    first, _ = machines
    create = first._client.create_model_version

    def twice(*args, **kwargs):
        create(*args, **kwargs)
        return create(*args, **kwargs)

    monkeypatch.setattr(first._client, "create_model_version", twice)
    assert publishing.publish(first, **candidate("a")).version.version == "1"
    assert state(first) == [("1", (CHAMPION,))]


def test_what_another_tool_registered_holds_nobody_up_and_is_not_used(machines, candidate):
    first, second = machines
    publishing.publish(first, **candidate("a"))
    client = first._client
    client.create_model_version(first.name, "s3://bucket/of-another-tool", await_creation_for=0)
    experiment = client.create_experiment(f"{first.name} of another tool")
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "weights", "model/weights.txt")
    client.create_model_version(first.name, f"{run.info.artifact_uri}/model", run_id=run.info.run_id, await_creation_for=0)
    assert lifecycle.repair(second) == []
    assert [version.version for version in second.versions()] == ["1", "2", "3"]
    for version in second.versions()[1:]:
        with pytest.raises(RegistryError, match="is not as it was registered"):
            trust.require_usable(second, version)
    assert publishing.publish(second, **candidate("b", judged_against="1")).version.version == "4"


def test_a_tag_leads_out_of_no_folder(machines, candidate):
    first, _ = machines
    publishing.publish(first, **candidate("a"))
    with first.writing():
        first.set_version_tag("1", CONTENT_HASH, "../../../elsewhere")
    version = first.versions()[0]
    assert os.path.dirname(version.path) == os.path.dirname(first.files_path("x"))
    assert trust.standing(first, version).standing is Standing.TAMPERED


def test_the_registry_changes_only_for_who_writes(machines):
    with pytest.raises(RuntimeError, match=r"only inside writing\(\)"):
        machines[0].set_alias(CHAMPION, "1")


def test_a_server_that_is_killed_in_the_middle_of_a_push_and_started_again_has_lost_nothing(
    machines, candidate, mlflow_server, monkeypatch
):
    first, second = machines
    publishing.publish(first, **candidate("a"))
    before = state(first)
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    log_artifact, create = HttpArtifactRepository.log_artifact, first._client.create_model_version
    arguments = candidate("b", judged_against="1")
    for boundary in ("among the files", "before the version", "after the version"):
        with monkeypatch.context() as dying:

            def dies_at_the_probe(self, local_file, artifact_path=None):
                if "/probe/" in local_file:
                    mlflow_server.kill()
                return log_artifact(self, local_file, artifact_path)

            def dies_before(*args, **kwargs):
                mlflow_server.kill()
                return create(*args, **kwargs)

            def dies_after(*args, **kwargs):
                create(*args, **kwargs)
                mlflow_server.kill()
                raise ConnectionError("the answer is lost")

            if boundary == "among the files":
                dying.setattr(HttpArtifactRepository, "log_artifact", dies_at_the_probe)
            else:
                dies = dies_before if boundary == "before the version" else dies_after
                dying.setattr(first._client, "create_model_version", dies)
            with pytest.raises((RegistryError, ConnectionError)):
                publishing.publish(first, **arguments)
        with pytest.raises(RegistryError, match="does not answer as it should"):
            second.versions()
        mlflow_server.start()
        found = state(second)
        assert found == (before if boundary != "after the version" else [*before, ("2", ())]), boundary
        assert all(trust.standing(second, version).standing is Standing.VERIFIED for version in second.versions()), boundary
    assert publishing.publish(first, **arguments).is_champion
    assert state(second) == [("1", ()), ("2", (CHAMPION,))]
    lifecycle.repair(second)
    with second.writing():
        assert second.leftovers() == []
