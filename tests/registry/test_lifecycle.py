"""Promote, roll back, prune, and the history of champions that they keep."""

import os

import pytest

from registry import champions, comparison, lifecycle, publishing, reading
from registry.backend import RegistryError


@pytest.fixture
def publish(registry, candidate):
    """publish("a", …) registers a backbone of that content, judged against the current champion."""

    def add(text, **changes):
        current = reading.champion(registry)
        return publishing.publish(registry, **candidate(text, **{"judged_against": current and current.version, **changes}))

    return add


def history(registry):
    found = champions.history_of(registry.model_tags(), reading.champion(registry))
    assert [entry.number for entry in found] == list(range(1, len(found) + 1))
    return [(entry.kind, entry.version, entry.previous) for entry in found]


def rollback(registry):
    return lifecycle.rollback(registry, "a test", "because").version


def numbers(registry):
    return [version.version for version in registry.versions()]


def test_the_history_says_which_when_by_what_and_why(registry, publish):
    publish("a")
    publish("b")
    lifecycle.promote(registry, "1", "somebody", "more robust in the field")
    entries = champions.history_of(registry.model_tags(), reading.champion(registry))
    assert history(registry) == [("published", "1", ""), ("published", "2", "1"), ("promoted", "1", "2")]
    assert [entry.by for entry in entries] == ["run run-a", "run run-b", "somebody"]
    assert [entry.reason for entry in entries] == [
        "the first champion", "champion in place of version 1, which it was judged against", "more robust in the field",
    ]  # fmt: skip
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


def test_a_rollback_returns_to_the_previous_champion_and_the_next_one_further_back(registry, publish):
    for text in "abc":
        publish(text)
    assert rollback(registry) == "2"
    assert reading.champion(registry).version == "2"
    assert rollback(registry) == "1"
    with pytest.raises(RegistryError, match=r"no champion before version 1; `flowers registry promote VERSION`"):
        rollback(registry)
    assert history(registry)[3:] == [("rolled back", "2", "3"), ("rolled back", "1", "2")]


def test_after_a_rollback_the_next_champion_s_predecessor_is_the_one_rolled_back_to(registry, publish):
    publish("a")
    publish("b")
    rollback(registry)
    publish("c")
    assert rollback(registry) == "1"


def test_a_rollback_undoes_a_promotion(registry, publish):
    publish("a")
    publish("b")
    lifecycle.promote(registry, "1", "a test", "")
    assert rollback(registry) == "2"


def test_the_gate_compares_with_the_version_rolled_back_to(registry, publish):
    publish("a", recipe="recipe of a")
    publish("b", recipe="recipe of b")
    rollback(registry)
    assert comparison.champion_for_gate(registry, "recipe of c")["version"] == "1"
    assert comparison.champion_for_gate(registry, "recipe of b")["version"] == "1"


def test_a_version_that_was_rolled_back_from_does_not_come_back_by_running_again(registry, publish):
    publish("a")
    publish("b")
    rollback(registry)
    again = publish("b", accuracy="0.99", eval_split="e")
    assert (again.version.version, again.created, again.is_champion) == ("2", False, False)
    assert "was rolled back from" in again.reason and "because" in again.reason and "promote 2" in again.reason
    lifecycle.promote(registry, "2", "a test", "")
    assert reading.champion(registry).version == "2"


def test_a_rollback_needs_a_reason_and_a_champion(registry, publish):
    with pytest.raises(RegistryError, match="no champion to roll back from"):
        rollback(registry)
    publish("a")
    publish("b")
    with pytest.raises(RegistryError, match="needs a reason"):
        lifecycle.rollback(registry, "a test", "  ")
    with pytest.raises(RegistryError, match="1000 characters, got 1001"):
        lifecycle.rollback(registry, "a test", "x" * 1001)
    assert reading.champion(registry).version == "2"


def test_promoting_the_champion_changes_nothing(registry, publish):
    publish("a")
    assert lifecycle.promote(registry, "champion", "a test", "") is None
    assert history(registry) == [("published", "1", "")]


@pytest.mark.parametrize("change", [rollback, lambda registry: lifecycle.promote(registry, "1", "a test", "")])
def test_a_damaged_version_does_not_become_champion(registry, publish, change):
    path = publish("a").version.path
    publish("b")
    os.remove(os.path.join(path, "backbone", "saved_model.pb"))
    with pytest.raises(RegistryError, match="version 1 of .* is not as it was registered: backbone/saved_model.pb: missing"):
        change(registry)
    assert reading.champion(registry).version == "2"


def test_an_unknown_version_is_not_promoted_and_makes_no_registry(registry, tmp_path):
    empty = type(registry)(str(tmp_path / "empty"), registry.name)
    with pytest.raises(RegistryError, match="no version or alias '1'; versions: none"):
        lifecycle.promote(empty, "1", "a test", "")
    assert not os.path.exists(empty.directory)
    assert lifecycle.prune(empty, keep=1) == lifecycle.Pruning((), {})
    lifecycle.repair(empty)
    assert not os.path.exists(empty.directory)


@pytest.mark.parametrize(("keep", "left"), [
    (0, ["3", "4"]), (1, ["3", "4", "5"]), (3, ["3", "4", "5"]), (4, ["2", "3", "4", "5"]), (9, ["1", "2", "3", "4", "5"]),
])  # fmt: skip
def test_pruning_keeps_the_newest_the_champion_and_the_one_before(registry, publish, keep, left):
    for text in "abcd":
        publish(text)
    publish("e", judged_against="1")  # withheld: 5 is the newest, 4 stays champion, 3 is the champion before
    would_go = lifecycle.prune(registry, keep, dry_run=True)
    assert numbers(registry) == ["1", "2", "3", "4", "5"]
    paths = {version.version: version.path for version in registry.versions()}
    pruning = lifecycle.prune(registry, keep)
    assert pruning == would_go
    assert sorted(pruning.kept) == numbers(registry) == left
    assert {number for number, path in paths.items() if os.path.exists(path)} == set(left)
    assert reading.verify(*registry.versions()) == []
    assert rollback(registry) == "3"


def test_pruning_keeps_the_best_version_so_far_that_is_undamaged(registry, publish):
    for text, accuracy in (("a", "0.66"), ("b", "0.70"), ("c", "0.62"), ("d", "0.61"), ("e", "0.61")):
        publish(text, accuracy=accuracy)
    path = reading.get_version(registry, "2").path
    assert lifecycle.prune(registry, keep=0, dry_run=True).kept == {
        "2": "the best so far, which the gate compares with", "4": "the previous champion, which a rollback returns to", "5": "champion"
    }  # fmt: skip
    os.remove(os.path.join(path, "backbone", "saved_model.pb"))
    assert lifecycle.prune(registry, keep=0).kept.keys() == {"1", "4", "5"}
    assert comparison.champion_for_gate(registry, "another recipe")["best"]["version"] == "1"


def test_numbers_are_not_given_twice(registry, publish):
    for text in "abc":
        publish(text)
    publish("d", judged_against="1")
    lifecycle.prune(registry, keep=0)
    assert publish("e").version.version == "5"
    assert numbers(registry) == ["2", "3", "5"]
    assert rollback(registry) == "3" and rollback(registry) == "2"


def test_pruning_leaves_files_that_another_name_has_too(registry, publish, candidate):
    other = type(registry)(registry.directory, "other")
    for text in "abc":
        publish(text)
    publishing.publish(other, **candidate("a"))
    lifecycle.prune(registry, keep=0)
    assert numbers(registry) == ["2", "3"]
    assert reading.verify(*other.versions()) == []


def test_an_alias_that_another_tool_moved_is_entered_as_found(registry, publish):
    for text in "abc":
        publish(text)
    registry.set_alias("champion", "1")
    assert history(registry)[-1] == ("published", "3", "2")
    lifecycle.repair(registry)
    assert history(registry)[-1] == ("found", "1", "3")
    assert rollback(registry) == "3"
