"""Publishing: versions, the alias that moves only over the champion that was compared with, no content twice."""

import datetime
import json
import os

import pytest

from contracts.content_hash import content_hash
from registry import champions, publishing, reading
from registry.backend import WITHHELD
from registry.mlflow_backend import MlflowBackend

NAME = "flowers-backbone"


def test_the_first_publication_makes_registry_version_and_champion(tmp_path, candidate):
    before = datetime.datetime.now(datetime.UTC)
    registry = MlflowBackend(str(tmp_path / "root with space, # and %20" / "registry"), NAME)
    publication = publishing.publish(registry, **candidate("a"))
    assert (publication.created, publication.is_champion) == (True, True)
    version = reading.champion(registry)
    assert version == publication.version == reading.get_version(registry, "1")
    assert version.aliases == ("champion",)
    assert version.tags["accuracy"] == "0.61"
    assert version.tags["content_hash"] == candidate("a")["backbone_hash"]
    assert version.tags["baseline_version"] == ""
    assert before - datetime.timedelta(seconds=1) <= version.created <= datetime.datetime.now(datetime.UTC)
    # The copies are the models, file by file.
    assert content_hash(os.path.join(version.path, "backbone")) == candidate("a")["backbone_hash"]
    assert content_hash(os.path.join(version.path, "probe")) == candidate("a")["probe_hash"]
    assert reading.verify(*registry.versions()) == []


def test_the_next_blessed_version_takes_the_alias(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    publication = publishing.publish(registry, **candidate("b", judged_against="1"))
    assert (publication.version.version, publication.is_champion) == ("2", True)
    assert [(v.version, v.aliases) for v in registry.versions()] == [("1", ()), ("2", ("champion",))]
    assert publication.version.tags["baseline_version"] == "1"


def test_the_same_content_twice_makes_no_second_version(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    again = publishing.publish(registry, **candidate("a"))
    assert (again.version.version, again.created, again.is_champion) == ("1", False, True)
    assert "already" in again.reason
    assert len(registry.versions()) == 1


def test_the_same_backbone_with_another_probe_is_no_new_version_and_keeps_the_probe_that_was_judged(registry, candidate):
    first = publishing.publish(registry, **candidate("a"))
    again = publishing.publish(registry, **candidate("a", judged_against="1", probe="second_probe"))
    assert not again.created
    assert "another probe" in again.reason
    assert registry.versions() == [first.version]
    assert reading.verify(*registry.versions()) == []


@pytest.fixture
def fitted_again(candidate):
    """Arguments of publish() for a backbone with a probe, and for an equal probe that was fitted later: TensorFlow gave it another id."""

    def make(judged_against=None, **later):
        made = []
        for probe, where in (("probe", {}), ("second_probe", {"code_version": "2", "backbone_uri": "/moved"} | later)):
            arguments = candidate("a", judged_against=judged_against, probe=probe)
            with open(os.path.join(arguments["probe"], "probe.npz"), "wb") as file:
                file.write(b"weights")
            with open(os.path.join(arguments["probe"], "probe.json"), "w") as file:
                json.dump(
                    {"classes": ["rose"], "code_version": "1", "backbone_uri": "/backbone", "backbone_content_hash": "b"} | where, file
                )
            made.append(arguments | {"probe_hash": content_hash(arguments["probe"])})
        assert made[0]["probe_hash"] != made[1]["probe_hash"]
        return made

    return make


def test_an_equal_probe_that_was_fitted_again_is_the_registered_one(registry, candidate, fitted_again):
    first, again = fitted_again()
    version = publishing.publish(registry, **first).version
    unchanged = publishing.publish(registry, **again)
    assert (unchanged.version.version, unchanged.created, unchanged.is_champion) == ("1", False, True)
    assert "already version 1, the champion" in unchanged.reason
    assert reading.champion(registry) == version and reading.verify(version) == []
    # Of a version without the alias, the judgement of today decides: here version 2 has taken it, and the backbone is judged against that.
    publishing.publish(registry, **candidate("b", judged_against="1"))
    _, again = fitted_again(judged_against="2")
    back = publishing.publish(registry, **again)
    assert (back.version.version, back.created, back.is_champion) == ("1", False, True)
    assert back.version.tags["probe_content_hash"] == first["probe_hash"] and reading.verify(*registry.versions()) == []


def test_other_classes_or_weights_are_another_probe_and_damage_is_not_passed_over(registry, fitted_again):
    first, other = fitted_again(classes=["tulip"])
    version = publishing.publish(registry, **first).version
    assert "another probe" in publishing.publish(registry, **other).reason
    _, again = fitted_again()
    with open(os.path.join(version.path, "probe", "saved_model.pb"), "a") as file:
        file.write(" ")
    assert "another probe" in publishing.publish(registry, **again).reason
    os.remove(os.path.join(version.path, "probe", "probe.npz"))
    assert "another probe" in publishing.publish(registry, **again).reason


def test_a_champion_that_changed_since_the_judgement_keeps_its_alias(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    publishing.publish(registry, **candidate("b", judged_against="1"))
    late = publishing.publish(registry, **candidate("c", judged_against="1"))
    assert (late.created, late.is_champion) == (True, False)
    assert reading.champion(registry).version == "2"
    assert "judged against version 1" in late.reason and "champion is now version 2" in late.reason
    assert late.version.tags[WITHHELD] == late.reason
    # Judged again, against the current champion, it takes the alias, and the tag no longer says otherwise.
    again = publishing.publish(registry, **candidate("c", judged_against="2"))
    assert (again.version.version, again.created, again.is_champion) == ("3", False, True)
    assert again.version.tags[WITHHELD] == ""
    assert again.version.tags["baseline_version"] == "2"


def test_a_first_run_that_finds_a_champion_meanwhile_does_not_replace_it(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    late = publishing.publish(registry, **candidate("b", judged_against=None))
    assert not late.is_champion
    assert reading.champion(registry).version == "1"


def test_models_of_other_names_are_apart(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    other = MlflowBackend(registry.directory, "other")
    publishing.publish(other, **candidate("b"))
    assert reading.champion(registry).tags["content_hash"] != reading.champion(other).tags["content_hash"]
    assert len(registry.versions()) == 1


def test_a_blessed_version_that_is_not_proven_to_be_better_is_registered_and_the_alias_stays(registry, candidate):
    """Also where the same is published again: only another judgement moves the alias."""
    publishing.publish(registry, **candidate("a"))
    for created in (True, False):
        found = publishing.publish(registry, **candidate("b", judged_against="1"), withheld="1.2 points below champion version 1")
        assert (found.created, found.is_champion, found.version.version) == (created, False, "2")
        assert found.reason == found.version.tags["champion_withheld"] == "1.2 points below champion version 1"
    assert reading.champion(registry).version == "1"
    assert publishing.publish(registry, **candidate("b", judged_against="1")).is_champion


def test_what_the_gate_withholds_is_not_given_because_the_champion_changed_meanwhile(registry, candidate):
    publishing.publish(registry, **candidate("a", eval_split="e"))
    publishing.publish(registry, **candidate("b", judged_against="1", eval_split="e"))
    late = candidate("c", judged_against="1", accuracy="0.99", eval_split="e")
    found = publishing.publish(registry, **late, withheld="1.2 points above champion version 1, not proven")
    assert (found.is_champion, found.reason) == (
        False, "1.2 points above champion version 1, not proven; the champion is now version 2")  # fmt: skip


def test_of_two_that_were_judged_by_another_figure_that_figure_decides(registry, candidate):
    same = {"judged_against": "1", "eval_split": "e"}
    publishing.publish(registry, **candidate("a", eval_split="e"))
    publishing.publish(registry, **candidate("b", accuracy="0.65", figure="0.5", **same))
    better = publishing.publish(registry, **candidate("c", accuracy="0.64", figure="0.52", **same))
    assert better.is_champion and "accuracy 52.0 % is above the champion's 50.0 %" in better.reason


def test_of_two_judged_against_the_same_champion_the_better_one_is_champion_in_either_order(registry, candidate):
    same = {"judged_against": "1", "eval_split": "e"}
    publishing.publish(registry, **candidate("a", eval_split="e"))
    publishing.publish(registry, **candidate("b", accuracy="0.62", **same))
    better = publishing.publish(registry, **candidate("c", accuracy="0.65", **same))
    assert better.is_champion and "on the same photographs accuracy 65.0 % is above the champion's 62.0 %" in better.reason
    worse = publishing.publish(registry, **candidate("d", accuracy="0.64", **same))
    assert not worse.is_champion and "on the same photographs accuracy 64.0 % is not above the champion's 65.0 %" in worse.reason
    assert worse.version.tags[WITHHELD] == worse.reason
    assert reading.champion(registry).version == "3"


def test_figures_on_other_photographs_do_not_decide(registry, candidate):
    publishing.publish(registry, **candidate("a", eval_split="e"))
    publishing.publish(registry, **candidate("b", judged_against="1", eval_split="e"))
    late = publishing.publish(registry, **candidate("c", judged_against="1", accuracy="0.99", eval_split="other"))
    assert not late.is_champion and "run again to compare" in late.reason


def _publish_together(registry, arguments, start):
    start.wait()
    publishing.publish(registry, **arguments)


# Two processes import MLflow.
@pytest.mark.slow
def test_two_processes_that_finish_at_once_register_both_and_the_better_one_is_champion(processes, registry, candidate):
    publishing.publish(registry, **candidate("a", eval_split="e"))
    same = {"judged_against": "1", "eval_split": "e"}
    both = [candidate("b", accuracy="0.65", **same), candidate("c", accuracy="0.62", **same)]
    start = processes.Barrier(2)
    running = [processes.Process(target=_publish_together, args=(registry, arguments, start)) for arguments in both]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0, 0]
    better, worse = (next(v for v in registry.versions() if v.tags["content_hash"] == arguments["backbone_hash"]) for arguments in both)
    assert {better.version, worse.version} == {"2", "3"} and len(registry.versions()) == 3
    assert reading.champion(registry) == better
    assert reading.verify(*registry.versions()) == []
    # The other's record says why not: it was withheld, or was champion for the moment until the better one came.
    ended = champions.ending(champions.history_of(registry.model_tags(), better), worse.version)
    why = worse.tags[WITHHELD] or ended.reason
    assert "judged against version 1" in why and "65.0 %" in why and "62.0 %" in why
