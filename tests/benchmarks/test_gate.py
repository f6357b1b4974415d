"""The simulations of the gate: against the gate itself, and against what is known without simulating."""

import math

import numpy as np
import pytest

from benchmarks import gate
from components.evaluator.evidence import Pairs
from components.evaluator.gate import Measured, Registered, judge
from pipeline_config import Gate


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.mark.parametrize("r", [0.0, 0.5, 0.9])
def test_the_correlation_is_that_of_a_normal_distribution_s_quadrant(r):
    """At an accuracy of 1/2 both are right with probability 1/4 + asin(r) / 2 pi (W. F. Sheppard, 1899), so one alone with twice
    1/2 less that: 1/2 - asin(r) / pi."""
    assert gate.correlation(0.5, 0.5 - math.asin(r) / math.pi) == pytest.approx(r, abs=1e-6)


def test_probes_have_their_accuracy_and_differ_on_the_share_that_was_asked_for(random):
    r, difficulty = gate.correlation(gate.ACCURACY, gate.DIFFER), random.standard_normal((1, 40_000))
    one, other = (gate.right(difficulty, gate.ACCURACY, r, random) for _ in range(2))
    # Four standard errors: sqrt(0.766 · 0.234 / 40,000) and sqrt(0.2 · 0.8 / 40,000).
    assert (one.mean(), other.mean()) == pytest.approx((0.766, 0.766), abs=0.0085)
    assert np.mean(one != other) == pytest.approx(0.2, abs=0.008)


def verdict(candidate, untrained, champion, best, challenge):
    """The gate's own verdict on one candidate."""

    def beside(other):
        pairs = Pairs(int(np.sum(candidate & ~other)), int(np.sum(other & ~candidate)), int(np.sum(candidate & other)), len(other))
        return Measured(float(other.mean()), 0.5, 1.0, {}, [], len(other), {"": pairs})

    measured = Measured(float(candidate.mean()), 0.5, 1.0, {}, [], len(candidate))
    found = judge(Gate(), measured, beside(untrained), Registered("1", beside(champion), 0), Registered("2", beside(best), 0), challenge)
    return found.blessed, found.takes_alias


@pytest.mark.parametrize("photographs", [20, 60, 455])
def test_the_rule_is_the_gate_s(random, photographs):
    r, candidates = gate.correlation(gate.ACCURACY, gate.DIFFER), 100
    difficulty = random.standard_normal((candidates, photographs))
    # Baselines from far below to as good, candidates and best versions around the champion: every check passes and fails.
    judged = [gate.right(difficulty, random.uniform(*between, candidates), r, random)
              for between in ((0.5, 0.95), (0.4, 0.98), (0.7, 0.8), (0.7, 0.9))]  # fmt: skip
    challenge = random.integers(1, 4, candidates)
    passed, takes = gate.present(*judged, challenge)
    expected = [verdict(*(one[index] for one in judged), int(challenge[index])) for index in range(candidates)]
    assert list(zip(passed.tolist(), takes.tolist(), strict=True)) == expected
    assert 0 < passed.sum() < candidates


def probes(*others):
    """A candidate that is right about 700 of 1,000 photographs, and beside it probes, each given as the number of photographs that the
    candidate alone is right about, and that it alone is."""
    places = np.arange(1000)
    found = [(places < 700 - ours) | ((places >= 700) & (places < 700 + theirs)) for ours, theirs in others]
    return [one[None] for one in (places < 700, *found)]


def test_the_rules_differ_where_they_should():
    """16 to 4 photographs are p = 0.0059: proof enough in the first challenge, 0.0125, and not in the second, 0.0042."""
    judged = probes((100, 0), (16, 4), (16, 4))
    assert [gate.present(*judged, challenge) for challenge in (1, 2)] == [(True, True), (True, False)]
    assert gate.not_below(*judged, 2) == gate.former(*judged, 2) == (True, True)
    below = probes((100, 0), (90, 102), (90, 102))
    assert gate.present(*below, 1) == gate.not_below(*below, 1) == (True, False)
    assert gate.former(*below, 1) == (False, False)  # 1.2 points below


@pytest.mark.parametrize("rule", gate.RULES.values())
def test_a_champion_stays_where_no_candidate_is_good_enough_and_goes_where_all_are_nearly_perfect(rule, random):
    r = gate.correlation(gate.ACCURACY, gate.DIFFER)
    assert (gate.retrained(150, 0.766, lambda true: np.full(3, 0.3), rule, 3, r, random) == 0.766).all()
    assert (gate.retrained(150, 0.6, lambda true: np.full(3, 0.999), rule, 3, r, random) == 0.999).all()
    assert (gate.weeks_until_alias(150, 0.2, 0, 3, r, random) == 1).all()
    assert (gate.weeks_until_alias(60, -0.2, 0, 3, r, random) == math.inf).all()
