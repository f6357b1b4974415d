"""The gate as a function: which figures pass, and what the reasons say."""

import dataclasses
import math

import pytest

from components.evaluator.evidence import Pairs
from components.evaluator.gate import Champion, Measured, in_words, judge
from pipeline_config import Gate

CLASSES = ("daisy", "rose")
GATE = Gate(min_accuracy=0.55, min_gain_over_random=0.03, max_regression=0.01)


def reached(accuracy, macro_f1=0.5, cross_entropy=1.0):
    return Measured(accuracy, macro_f1, cross_entropy, {}, [], 100)


def version_3(accuracy):
    return Champion("3", CLASSES, reached(accuracy))


def test_a_first_run_is_judged_by_the_floors():
    verdict = judge(GATE, CLASSES, reached(0.612), reached(0.51), None)
    assert verdict.blessed
    assert verdict.reasons == (
        "accuracy 0.612 is at least gate.min_accuracy 0.55",
        "accuracy 0.612 is 0.102 above the random-init baseline 0.51, at least gate.min_gain_over_random 0.03",
        "there is no champion to compare with: accuracy and gain over the random-init baseline decide",
    )


def test_every_check_is_reported_whether_it_passed_or_failed():
    verdict = judge(GATE, CLASSES, reached(0.5), reached(0.49), version_3(0.6))
    assert not verdict.blessed
    assert verdict.reasons == (
        "accuracy 0.5 is below gate.min_accuracy 0.55",
        "accuracy 0.5 is 0.01 above the random-init baseline 0.49, less than gate.min_gain_over_random 0.03",
        "accuracy 0.5 is 0.1 below champion version 3 (0.6), more than gate.max_regression 0.01 below",
    )


@pytest.mark.parametrize(
    ("accuracy", "floor", "champion", "blessed"),
    [
        (0.55, 0.40, None, True),  # exactly at min_accuracy
        (0.5499, 0.40, None, False),
        (0.58, 0.55, None, True),  # exactly at the gain; 0.58 - 0.55 is 0.02999… in floating point
        (0.5799, 0.55, None, False),
        (0.60, 0.40, 0.61, True),  # exactly at the regression; 0.61 - 0.60 is 0.01000… + 9e-18
        (0.5999, 0.40, 0.61, False),
        (0.60, 0.40, 0.60, True),
        (0.70, 0.40, 0.60, True),
        (0.60, 0.70, None, False),  # worse than untrained
    ],
)
def test_thresholds_are_inclusive(accuracy, floor, champion, blessed):
    compared = None if champion is None else version_3(champion)
    assert judge(GATE, CLASSES, reached(accuracy), reached(floor), compared).blessed is blessed


@pytest.mark.parametrize(
    ("failing", "candidate", "floor", "champion"),
    [(0, 0.54, 0.4, 0.54), (1, 0.60, 0.58, 0.60), (2, 0.60, 0.40, 0.62)],
    ids=["min_accuracy", "min_gain_over_random", "max_regression"],
)
def test_each_check_alone_can_refuse(failing, candidate, floor, champion):
    verdict = judge(GATE, CLASSES, reached(candidate), reached(floor), version_3(champion))
    assert not verdict.blessed
    words = ("is below", "less than", "more than")
    assert [any(word in reason for word in words[i : i + 1]) for i, reason in enumerate(verdict.reasons)] == [
        i == failing for i in range(3)
    ]


def test_being_as_good_as_the_floor_is_said_plainly():
    verdict = judge(GATE, CLASSES, reached(0.6), reached(0.6), None)
    assert verdict.reasons[1] == "accuracy 0.6 is equal to the random-init baseline 0.6, less than gate.min_gain_over_random 0.03"


def test_a_champion_of_other_classes_refuses_the_comparison():
    champion = Champion("3", ("daisy", "rose", "tulip"), None)
    verdict = judge(GATE, CLASSES, reached(0.9), reached(0.4), champion)
    assert not verdict.blessed
    reason = verdict.reasons[2]
    assert "not comparable with champion version 3" in reason and "(champion only: tulip; probe only: none)" in reason
    assert "--set registry.name=NAME" in reason  # what to do


def test_of_many_other_classes_a_reason_names_a_few():
    champion = Champion("3", tuple(f"class {i:03}" for i in range(102)), None)
    reason = judge(GATE, CLASSES, reached(0.9), reached(0.4), champion).reasons[2]
    assert "champion only: class 000, class 001, class 002, class 003, class 004 and 97 more; probe only: daisy, rose)" in reason


@pytest.mark.parametrize("broken", ["candidate", "untrained", "champion"])
@pytest.mark.parametrize("figure", ["accuracy", "macro_f1", "cross_entropy"])
def test_a_figure_that_is_not_a_number_never_passes(broken, figure):
    models = {"candidate": {"accuracy": 0.9}, "untrained": {"accuracy": 0.4}, "champion": {"accuracy": 0.6}}
    models[broken][figure] = math.nan
    verdict = judge(
        Gate(min_accuracy=0, min_gain_over_random=-1, max_regression=1), CLASSES,
        reached(**models["candidate"]), reached(**models["untrained"]), Champion("3", CLASSES, reached(**models["champion"])),
    )  # fmt: skip
    assert not verdict.blessed
    assert len(verdict.reasons) == 1
    assert "not finite" in verdict.reasons[0]
    assert {"candidate": "the candidate", "untrained": "the random-init baseline", "champion": "champion version 3"}[broken] in (
        verdict.reasons[0]
    )


def test_a_verdict_says_how_sure_each_comparison_is():
    # Of 100 photographs the candidate alone is right about 30 and the baseline alone about 8; 9 and 8 beside the champion.
    baseline = dataclasses.replace(reached(0.39), pairs=Pairs(30, 8, 31, 100))
    champion = Champion("3", CLASSES, dataclasses.replace(reached(0.6), pairs=Pairs(9, 8, 52, 100)))
    verdict = judge(GATE, CLASSES, reached(0.61), baseline, champion)
    assert verdict.blessed and verdict.evidence.keys() == {"untrained", "champion"}
    gained, kept = verdict.evidence["untrained"], verdict.evidence["champion"]
    assert gained.sure and gained.more_photographs == 0 and gained.difference == pytest.approx(0.22)
    assert in_words(gained, "the random-init baseline", GATE).startswith(
        "sure that the candidate is better than the random-init baseline: the candidate alone classifies 30 of the "
        "photographs correctly, the random-init baseline alone 8: a difference of 0.22, 95 % interval "
    )
    # s = 0.17, d = 0.01: ((1.96 + 0.8416 · sqrt(1 - 0.0001 / 0.17)) · 0.4123 / 0.01)² = 13,341.
    assert not kept.sure and kept.more_photographs == pytest.approx(13_341 - 100, abs=2)
    said = in_words(kept, "champion version 3", GATE)
    assert said.startswith("not sure which is better, the candidate or champion version 3: ") and "p = 0.5, above" in said
    assert said.endswith(f"about {kept.more_photographs:,} more labelled photographs in eval would settle it")


def test_a_candidate_that_is_surely_worse_is_called_so():
    baseline = dataclasses.replace(reached(0.6), pairs=Pairs(2, 20, 40, 100))
    evidence = judge(GATE, CLASSES, reached(0.42), baseline, None).evidence
    assert in_words(evidence["untrained"], "the baseline", GATE).startswith("sure that the candidate is worse than the baseline")
    assert evidence.keys() == {"untrained"}


def test_where_neither_is_ahead_no_number_is_made_up():
    baseline = dataclasses.replace(reached(0.6), pairs=Pairs(4, 4, 50, 100))
    said = in_words(judge(GATE, CLASSES, reached(0.6), baseline, None).evidence["untrained"], "the baseline", GATE)
    assert said.endswith("neither is ahead, so no number of photographs can be stated")


def test_how_sure_it_is_decides_nothing_by_itself():
    few, many = (dataclasses.replace(reached(0.5), pairs=one) for one in (Pairs(3, 2, 5, 12), Pairs(300, 20, 400, 1200)))
    verdicts = [judge(GATE, CLASSES, reached(0.6), baseline, None) for baseline in (few, many)]
    assert [one.blessed for one in verdicts] == [True, True]
    assert [one.evidence["untrained"].sure for one in verdicts] == [False, True]


def test_what_was_not_judged_has_no_evidence():
    broken = dataclasses.replace(reached(math.nan), pairs=Pairs(3, 2, 5, 12))
    assert judge(GATE, CLASSES, reached(0.6), broken, None).evidence == {}
