"""How often the gate errs, and where weekly retraining under it leads: simulations of its verdict.

    python benchmarks/gate.py

A probe of accuracy a is right about a photograph if sqrt(r) u + sqrt(1 - r) e < z(a). u is the photograph's difficulty, the same
for all probes, e is a probe's own luck with it, both are standard normal, and z is the quantile function of the normal distribution.
So a is the probe's true accuracy, that over all photographs of such a kind. r is such that two probes of equal accuracy differ on
DIFFER of the photographs.

The rule of components/evaluator/gate.py is written once more here, for many candidates at a time; tests/benchmarks/test_gate.py
holds the two together. Beside it stand the former one, by which a backbone was blessed with points of accuracy alone, at most one
point below the champion, and took the alias whenever it was blessed; and one that blesses as the present rule does, and gives the
alias to whatever is not below the champion.
"""

import argparse
import itertools
import math
from collections.abc import Callable, Iterable
from statistics import NormalDist

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc, ndtri
from scipy.stats import multivariate_normal

from components.evaluator.gate import TOLERANCE, alias_significance
from pipeline_config import Gate

# TensorFlow Flowers with the preset `cpu`, mean of three seeds (docs/recipe.md).
ACCURACY, RANDOM_INIT = 0.766, 0.678
# Share of the photographs about which one of two equally good probes alone is right.
DIFFER = 0.2
PHOTOGRAPHS = (60, 150, 455, 1500)
DIFFERENCES = (-5, -3, -2, -1, 0, 1, 2, 3, 5)
# Standard deviation of the true accuracy over runs that differ by chance alone, a point.
SPREAD = 0.01
WEEKS = 100
# How soon candidates that are better take the alias: by how many points, after how many that did not, and within how many weeks.
BETTER = (2, 5)
BEFORE = (0, 20)
WITHIN = (1, 4, 52)
# The former rule's.
FORMER_REGRESSION = 0.01
GATE = Gate()

# Who is right about which photograph: candidates, random-init baselines, champions, best versions so far, [candidates, photographs]
# bool each; and which challenge of its champion each is, [candidates], from 1. The result: which are blessed, and which take the
# alias, [candidates] bool each.
Rule = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def correlation(accuracy: float, differ: float) -> float:
    """The r at which two probes of `accuracy` differ on a share `differ` of the photographs."""
    limit = [NormalDist().inv_cdf(accuracy)] * 2

    def excess(r: float) -> float:
        both = multivariate_normal.cdf(limit, cov=[[1, r], [r, 1]])
        return 2 * (accuracy - both) - differ

    return brentq(excess, 0.0, 0.999)


def right(difficulty: np.ndarray, accuracy: float | np.ndarray, r: float, random: np.random.Generator) -> np.ndarray:
    """About which photographs probes are right, `[probes, photographs]` bool.

    Args:
      difficulty: of the photographs that each probe is asked about, `[probes, photographs]`.
      accuracy: true accuracy of each probe, `[probes]`, or one of all.
    """
    luck = random.standard_normal(difficulty.shape, dtype=np.float32)
    return math.sqrt(r) * difficulty + math.sqrt(1 - r) * luck < ndtri(np.reshape(accuracy, (-1, 1))).astype(np.float32)


def count(right: np.ndarray) -> np.ndarray:
    """How many photographs each probe is right about, `[probes]`; bits, as they are counted faster than sums of bool are made."""
    return np.bitwise_count(np.packbits(right, axis=1)).sum(axis=1, dtype=np.int64)


def share(right: np.ndarray) -> np.ndarray:
    """The accuracy of each probe on these photographs, `[probes]`."""
    return count(right) / right.shape[1]


def alone(candidate: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many photographs one of two probes alone is right about: the candidate, and the other."""
    return count(candidate & ~other), count(other & ~candidate)


def p_value(ahead: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """McNemar's exact test, one-sided: the probability of `ahead` or more of `ahead + behind` fair coins, as an incomplete beta."""
    return np.where(ahead > 0, betainc(np.maximum(ahead, 1), behind + 1.0, 0.5), 1.0)


def blessed(candidate: np.ndarray, untrained: np.ndarray, champion: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Which candidates the gate blesses, with its default settings."""
    ours, theirs = alone(candidate, untrained)
    reached, baseline = share(candidate), share(untrained)
    required = np.minimum(GATE.min_gain_over_random, GATE.min_gain_share * (1 - baseline))
    passed = (reached >= GATE.min_accuracy - TOLERANCE) & (reached - baseline >= required - TOLERANCE)
    passed &= (ours > theirs) & (p_value(ours, theirs) <= GATE.significance)
    for other in (champion, best):
        ours, theirs = alone(candidate, other)
        worse = (theirs > ours) & (p_value(theirs, ours) <= GATE.significance)
        passed &= ((ours - theirs) / candidate.shape[1] >= -GATE.max_regression - TOLERANCE) & ~worse
    return passed


def present(
    candidate: np.ndarray, untrained: np.ndarray, champion: np.ndarray, best: np.ndarray, challenge: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the gate does."""
    passed = blessed(candidate, untrained, champion, best)
    ours, theirs = alone(candidate, champion)
    return passed, passed & (ours > theirs) & (p_value(ours, theirs) <= alias_significance(GATE, challenge))


def not_below(
    candidate: np.ndarray, untrained: np.ndarray, champion: np.ndarray, best: np.ndarray, challenge: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The gate, if the alias moved to any blessed candidate that is not below the champion."""
    del challenge
    passed = blessed(candidate, untrained, champion, best)
    return passed, passed & (count(candidate) >= count(champion))


def former(
    candidate: np.ndarray, untrained: np.ndarray, champion: np.ndarray, best: np.ndarray, challenge: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the gate did before: thresholds alone."""
    del best, challenge
    reached = share(candidate)
    passed = (
        (reached >= GATE.min_accuracy - TOLERANCE)
        & (reached - share(untrained) >= GATE.min_gain_over_random - TOLERANCE)
        & (share(champion) - reached <= FORMER_REGRESSION + TOLERANCE)
    )
    return passed, passed


RULES: dict[str, Rule] = {"former rule": former, "alias if not below": not_below, "present rule": present}


def first_challenge(photographs: int, difference: float, repeats: int, r: float, random: np.random.Generator) -> dict[str, list[float]]:
    """By rule, the shares of `repeats` candidates that are blessed and that take the alias, each the champion's first challenger.

    Args:
      difference: of the true accuracies, the candidate's less the champion's.
    """
    difficulty = random.standard_normal((repeats, photographs), dtype=np.float32)
    candidate, untrained, champion = (right(difficulty, accuracy, r, random) for accuracy in (ACCURACY + difference, RANDOM_INIT, ACCURACY))
    judged = candidate, untrained, champion, champion, np.ones(repeats)
    return {name: [float(np.mean(found)) for found in rule(*judged)] for name, rule in RULES.items()}


def retrained(
    photographs: int, first: float, draw: Callable[[np.ndarray], np.ndarray], rule: Rule, histories: int, r: float,
    random: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """The champions' true accuracies after WEEKS, `[histories]`; each is always judged on the same photographs.

    Args:
      first: true accuracy of the first champion.
      draw: from the champions' true accuracies to those of the next candidates.
    """
    difficulty = random.standard_normal((histories, photographs), dtype=np.float32)
    untrained = right(difficulty, RANDOM_INIT, r, random)
    true, champion = np.full(histories, first), right(difficulty, first, r, random)
    best, challenge = champion, np.ones(histories)
    for _ in range(WEEKS):
        accuracy = draw(true)
        candidate = right(difficulty, accuracy, r, random)
        passed, takes = rule(candidate, untrained, champion, best, challenge)
        true, champion = np.where(takes, accuracy, true), np.where(takes[:, None], candidate, champion)
        challenge = np.where(takes, 1, challenge + passed)
        better = passed & (count(candidate) > count(best))
        best = np.where(better[:, None], candidate, best)
    return true


def weeks_until_alias(
    photographs: int, difference: float, before: int, histories: int, r: float, random: np.random.Generator
) -> np.ndarray:
    """In which week the present rule gives the alias to one of weekly candidates that are all truly better, `[histories]`.

    Infinity where it is later than all of WITHIN.

    Args:
      difference: of the true accuracies, each candidate's less the champion's.
      before: how many have challenged this champion already.
    """
    difficulty = random.standard_normal((histories, photographs), dtype=np.float32)
    untrained, champion = (right(difficulty, accuracy, r, random) for accuracy in (RANDOM_INIT, ACCURACY))
    challenge, weeks = np.full(histories, 1.0 + before), np.full(histories, np.inf)
    for week in range(1, max(WITHIN) + 1):
        passed, takes = present(right(difficulty, ACCURACY + difference, r, random), untrained, champion, champion, challenge)
        weeks = np.where(takes, np.minimum(weeks, week), weeks)
        challenge += passed
    return weeks


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    header = list(header)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=1000, help="candidates for each cell of the first table")
    parser.add_argument("--histories", type=int, default=200, help="histories of retraining for each cell of the others")
    asked = parser.parse_args()
    random, r = np.random.default_rng(0), correlation(ACCURACY, DIFFER)
    columns = [f"{one:,} photographs" for one in PHOTOGRAPHS]

    rows = []
    for difference in DIFFERENCES:
        found = [first_challenge(photographs, difference / 100, asked.repeats, r, random) for photographs in PHOTOGRAPHS]
        shares = [(*one["former rule"][:1], *one["present rule"]) for one in found]
        rows.append([f"{difference:+d}" if difference else "0", *(", ".join(f"{share:.0%}" for share in one) for one in shares)])
    print(f"Blessed by the former rule (which gave it the alias too), blessed by the present one, takes the alias by the present one "
          f"as the champion's first challenger; two equal probes differ on {DIFFER:.0%} of the photographs, {asked.repeats:,} "
          "candidates a cell:\n")  # fmt: skip
    print(table(["points better than the champion", *columns], rows), flush=True)

    histories = {
        "equal worth, from an average champion": (ACCURACY, lambda true: random.normal(ACCURACY, SPREAD, true.shape)),
        "equal worth, from a champion 2 points above": (ACCURACY + 0.02, lambda true: random.normal(ACCURACY, SPREAD, true.shape)),
        "each a point worse than its champion": (ACCURACY, lambda true: true - 0.01),
    }  # fmt: skip
    rows = []
    for (title, (first, draw)), (name, rule) in itertools.product(histories.items(), RULES.items()):
        moved = [100 * (retrained(photographs, first, draw, rule, asked.histories, r, random) - first) for photographs in PHOTOGRAPHS]
        errors = [one.std() / math.sqrt(asked.histories) for one in moved]
        rows.append([title, name, *(f"{round(one.mean(), 2) + 0.0:+.2f} ± {error:.2f}" for one, error in zip(moved, errors))])
    print(f"\nHow many points the champion's true accuracy has moved after {WEEKS} weekly retrainings, mean of "
          f"{asked.histories:,} histories ± its standard error; true accuracies of equal worth have a standard deviation of "
          f"{100 * SPREAD:.0f} point:\n")  # fmt: skip
    print(table(["candidates", "rule", *columns], rows), flush=True)

    rows = []
    for difference, before in itertools.product(BETTER, BEFORE):
        weeks = [weeks_until_alias(one, difference / 100, before, asked.histories, r, random) for one in PHOTOGRAPHS]
        cells = [", ".join(f"{np.mean(one <= within):.0%}" for within in WITHIN) for one in weeks]
        rows.append([f"{difference:+d}", str(before), *cells])
    print(f"\nHow often the present rule has moved the alias within {', '.join(map(str, WITHIN))} weeks, where every weekly "
          f"candidate is truly better; {asked.histories:,} histories a cell:\n")  # fmt: skip
    print(table(["points better", "challenged before", *columns], rows))


if __name__ == "__main__":
    main()
