"""How sure a comparison of two probes is: from the photographs of which only one of the two names the class correctly.

Both probes answer for the same photographs, so only those on which they disagree tell them apart. Pure.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from scipy.stats import binomtest

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Pairs:
    """What two probes are right about on the same photographs, in numbers of photographs.

    Attributes:
      only_candidate, only_other: classified correctly by one of the two alone; the discordant pairs.
      both: classified correctly by both.
      photographs: all of them, at least 1.
    """

    only_candidate: int
    only_other: int
    both: int
    photographs: int


@dataclass(frozen=True)
class Evidence:
    """What the pairs say.

    Attributes:
      only_candidate, only_other: as in Pairs.
      difference: of the accuracies, the candidate's less the other's, in [-1, 1].
      low, high: its 95 % interval.
      p: how probable at least such a lead would be if both were equally good, in (0, 1]; see `p_value`.
      sure: whether p is small enough to say which of the two is better.
      more_photographs: held-out labelled photographs beyond these that it would take to be sure; 0 if it is sure, None if nothing
        can be said because neither is ahead.
    """

    only_candidate: int
    only_other: int
    difference: float
    low: float
    high: float
    p: float
    sure: bool
    more_photographs: int | None


def weigh(pairs: Pairs, significance: float, power: float) -> Evidence:
    """The evidence in `pairs`.

    Args:
      significance: largest p with which the verdict is sure, in (0, 1).
      power: how often as many photographs as `more_photographs` asks for should suffice, in (0, 1).
    """
    p = p_value(pairs)
    sure = p <= significance
    needed = photographs_needed(pairs, significance, power)
    # The test is exact and the formula approximate: from very few pairs it may ask for no more than there are.
    more = 0 if sure else None if needed is None else max(1, needed - pairs.photographs)
    low, high = interval(pairs)
    return Evidence(pairs.only_candidate, pairs.only_other, difference(pairs), low, high, p, sure, more)


def difference(pairs: Pairs) -> float:
    """Accuracy of the candidate less that of the other."""
    return (pairs.only_candidate - pairs.only_other) / pairs.photographs


def p_value(pairs: Pairs) -> float:
    """McNemar's test (Psychometrika 12, 1947), exact and one-sided, of whichever of the two is ahead.

    If both were equally good, each discordant pair would fall to either with probability 1/2: the probability that at least as
    many fall to the one that is ahead. 1 without discordant pairs.
    """
    ahead, discordant = max(pairs.only_candidate, pairs.only_other), pairs.only_candidate + pairs.only_other
    return float(binomtest(ahead, discordant, alternative="greater").pvalue) if discordant else 1.0


def interval(pairs: Pairs) -> tuple[float, float]:
    """95 % interval of the difference: R. G. Newcombe, Statistics in Medicine 17, 1998, 2635-2650, method 10.

    It squares and adds the distances of both accuracies from the limits of their Wilson intervals, with their correlation phi,
    continuity-corrected; it needs no large numbers and never leaves [-1, 1].
    """
    a, b, c, n = pairs.both, pairs.only_candidate, pairs.only_other, pairs.photographs
    d = n - a - b - c
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    covariance = a * d - b * c
    phi = (max(covariance - n / 2, 0) if covariance > 0 else covariance) / math.sqrt(margins) if margins else 0.0
    (first, below, above), (second, other_below, other_above) = (_wilson(correct, n) for correct in (a + b, a + c))
    down = below**2 - 2 * phi * below * other_above + other_above**2
    up = above**2 - 2 * phi * above * other_below + other_below**2
    return first - second - math.sqrt(max(down, 0.0)), first - second + math.sqrt(max(up, 0.0))


def _wilson(correct: int, total: int) -> tuple[float, float, float]:
    """The share, and how far the limits of its Wilson interval are below and above it."""
    limits = binomtest(correct, total).proportion_ci(CONFIDENCE, method="wilson")
    return correct / total, correct / total - float(limits.low), float(limits.high) - correct / total


def photographs_needed(pairs: Pairs, significance: float, power: float) -> int | None:
    """How many photographs, these included, show the difference with probability `power`, if the two go on to differ like this.

    R. J. Connor, Biometrics 43, 1987, 207-211, for McNemar's test, one-sided: with s the share of discordant pairs, d the
    difference and z the quantiles of the normal distribution,

        n = ((z(1 - significance) sqrt(s) + z(power) sqrt(s - d^2)) / d)^2

    None if neither is ahead.
    """
    d, s = difference(pairs), (pairs.only_candidate + pairs.only_other) / pairs.photographs
    if d == 0:
        return None
    z = NormalDist().inv_cdf
    return math.ceil(((z(1 - significance) * math.sqrt(s) + z(power) * math.sqrt(s - d * d)) / d) ** 2)
