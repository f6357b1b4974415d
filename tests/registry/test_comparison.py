"""What the gate compares with: the champion, and the best version so far."""

import os

import pytest

from registry import comparison, lifecycle, publishing, reading


def test_where_nothing_is_registered_there_is_nothing_to_compare_with(registry):
    assert comparison.champion_for_gate(registry, "recipe") is None


def test_the_gate_compares_with_the_champion(registry, candidate):
    publishing.publish(registry, **candidate("a", recipe="recipe of a"))
    baseline = comparison.champion_for_gate(registry, "recipe of b")
    version = reading.champion(registry)
    assert baseline == {
        "version": "1", "backbone": os.path.join(version.path, "backbone"), "content_hash": candidate("a")["backbone_hash"],
        "probe": os.path.join(version.path, "probe"), "probe_content_hash": candidate("a")["probe_hash"], "challenge": 1,
    }  # fmt: skip
    assert baseline == comparison.compared(baseline) | {"challenge": 1} and comparison.compared(None) == {}


def test_an_unchanged_run_is_compared_with_what_its_champion_was_judged_against(registry, candidate):
    publishing.publish(registry, **candidate("a", recipe="recipe of a"))
    assert comparison.champion_for_gate(registry, "recipe of a") is None
    asked = comparison.champion_for_gate(registry, "recipe of b")
    publishing.publish(registry, **candidate("b", judged_against="1", recipe="recipe of b"))
    assert comparison.champion_for_gate(registry, "recipe of b") == asked
    assert comparison.champion_for_gate(registry, "recipe of a")["version"] == "2"


@pytest.fixture
def three(registry, candidate):
    """Versions 1 to 3 with the registered figures 0.66, 0.70 and 0.61; the last is champion."""
    for number, (text, figure) in enumerate((("a", "0.66"), ("b", "0.70"), ("c", "0.61"))):
        arguments = candidate(text, judged_against=str(number) if number else None, accuracy=figure, recipe=f"recipe of {text}")
        publishing.publish(registry, **arguments)
    return registry


def best(registry, recipe="another recipe"):
    return comparison.champion_for_gate(registry, recipe).get("best", {}).get("version")


def test_the_best_by_its_registered_figure_is_compared_with_as_well(three):
    found = comparison.champion_for_gate(three, "another recipe")
    assert (found["version"], found["best"]["version"]) == ("3", "2")
    assert found["best"]["backbone"] == os.path.join(reading.get_version(three, "2").path, "backbone")
    assert "challenge" in found and "challenge" not in found["best"]


def test_a_version_of_the_same_recipe_is_the_candidate_itself_and_not_the_best_so_far(three):
    assert best(three, "recipe of b") == "1"


def test_a_damaged_version_is_not_the_best_so_far(three):
    with open(os.path.join(reading.get_version(three, "2").path, "backbone", "saved_model.pb"), "a") as file:
        file.write(" ")
    assert best(three) == "1"


def test_a_version_that_was_rolled_back_from_is_not_the_best_so_far(three):
    lifecycle.promote(three, "2", "me", "")
    lifecycle.rollback(three, "me", "mistakes lilies for tulips")
    assert best(three) == "1"


def test_where_the_champion_is_best_it_is_compared_with_once(three):
    lifecycle.promote(three, "2", "me", "")
    assert "best" not in comparison.champion_for_gate(three, "another recipe")


def challenge(registry, recipe="another recipe"):
    return comparison.champion_for_gate(registry, recipe)["challenge"]


def test_every_version_that_was_registered_after_the_champion_is_a_challenge(registry, candidate):
    for number, text in enumerate("abcd"):
        publishing.publish(registry, **candidate(text, judged_against="1" if number else None, recipe=f"recipe of {text}"),
                           withheld="not proven" if number else "")  # fmt: skip
        assert challenge(registry) == comparison.champion_for_gate(registry)["challenge"] == number + 1
    # An unchanged run asks what it asked before, and what was pruned still counts.
    assert [challenge(registry, f"recipe of {text}") for text in "bcd"] == [1, 2, 3]
    lifecycle.prune(registry, keep=1)
    assert [version.version for version in registry.versions()] == ["1", "4"] and challenge(registry) == 4
    publishing.publish(registry, **candidate("e", judged_against="1", recipe="recipe of e"))
    assert challenge(registry) == 1 and challenge(registry, "recipe of e") == 4
    # A version from before the champion challenges it for the first time; after a promotion all versions since count.
    assert challenge(registry, "recipe of d") == 1
    lifecycle.promote(registry, "4", "me", "")
    assert challenge(registry) == 2


def test_an_unchanged_run_is_compared_with_the_best_of_then(three, candidate):
    asked = comparison.champion_for_gate(three, "recipe of d")
    publishing.publish(three, **candidate("d", judged_against="3", accuracy="0.71", recipe="recipe of d", best_version="2"))
    assert comparison.champion_for_gate(three, "recipe of d") == asked
    assert best(three, "recipe of e") is None
