"""How sure a comparison of two probes is: from the photographs of which only one of the two names the class correctly.

Both probes answer for the same photographs, so only those on which they disagree tell them apart. Every function takes strata, each
a group of the photographs: one stratum of all of them compares accuracies, a stratum a class compares their averages over classes,
in which each class counts the same. Pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtrc, expit

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
# Draws by which p is worked out where classes count the same: its standard error is one or two hundredths of it, however small it is.
DRAWS = 100_000


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
      only_candidate, only_other: as in Pairs, of all photographs.
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


def weigh(strata: Sequence[Pairs], significance: float, power: float) -> Evidence:
    """The evidence in `strata`.

    Args:
      significance: largest p with which the verdict is sure, in (0, 1).
      power: how often as many photographs as `more_photographs` asks for should suffice, in (0, 1).
    """
    p, photographs = p_value(strata), sum(one.photographs for one in strata)
    sure = p <= significance
    needed = photographs_needed(strata, significance, power)
    # The test is exact and the formula approximate: from very few pairs it may ask for no more than there are.
    more = 0 if sure else None if needed is None else max(1, needed - photographs)
    low, high = interval(strata)
    alone = (sum(one.only_candidate for one in strata), sum(one.only_other for one in strata))
    return Evidence(*alone, difference(strata), low, high, p, sure, more)


def pooled(strata: Sequence[Pairs]) -> Pairs:
    """The pairs of all photographs together."""
    return Pairs(*(sum(getattr(one, name) for one in strata) for name in ("only_candidate", "only_other", "both", "photographs")))


def difference(strata: Sequence[Pairs]) -> float:
    """Accuracy of the candidate less that of the other, averaged over strata."""
    return sum((one.only_candidate - one.only_other) / one.photographs for one in strata) / len(strata)


def p_value(strata: Sequence[Pairs]) -> float:
    """McNemar's test (Psychometrika 12, 1947), exact and one-sided, of whichever of the two is ahead.

    If both were equally good, each discordant pair would fall to either with probability 1/2: the probability of at least such a
    lead. Of one stratum it is a binomial tail. Of several it is found by DRAWS random falls of their discordant pairs, from a fixed
    seed. So that leads as rare as one in a million are drawn often enough, the falls are tilted towards the lead, and each is
    weighted by how much more often that makes it (D. Siegmund, Annals of Statistics 4, 1976, 673-684). 1 without discordant pairs.
    """
    discordant = np.array([one.only_candidate + one.only_other for one in strata])
    if not discordant.any():
        return 1.0
    if len(strata) == 1:
        ahead = max(strata[0].only_candidate, strata[0].only_other)
        return float(bdtrc(ahead - 1, int(discordant[0]), 0.5)) if ahead else 1.0
    size = np.array([one.photographs for one in strata])
    lead = abs(difference(strata)) * len(strata)
    tilt = _tilt(discordant, size, lead)
    falls = np.random.default_rng(0).binomial(discordant, expit(2 * tilt / size), size=(DRAWS, len(strata)))
    leads = ((2 * falls - discordant) / size).sum(axis=1)
    # Rounding must not make a lead that is equal smaller; differences of shares of a million photographs are larger than this.
    hits = leads[leads >= lead - 1e-9]
    # The logarithm of cosh, which itself grows out of range.
    log_cosh = np.logaddexp(tilt / size, -tilt / size) - math.log(2)
    return min(1.0, float(np.sum(np.exp(np.sum(discordant * log_cosh) - tilt * hits))) / DRAWS)


def _tilt(discordant: np.ndarray, size: np.ndarray, lead: float) -> float:
    """The t at which falls to one side with probabilities 1 / (1 + exp(-2t / size)) have on average that lead, or nearly so.

    No t reaches the lead of all falls to one side; a hundredth less is as good, as any t gives the same p but for the draws' error.
    """
    reached = min(lead, 0.99 * float(np.sum(discordant / size)))

    def excess(t: float) -> float:
        return float(np.sum(discordant / size * np.tanh(t / size))) - reached

    # tanh(3) is above 0.99.
    return brentq(excess, 0.0, 3.0 * float(size.max()))


def interval(strata: Sequence[Pairs]) -> tuple[float, float]:
    """95 % interval of the difference.

    Of one stratum it is R. G. Newcombe's, Statistics in Medicine 17, 1998, 2635-2650, method 10. It squares and adds the distances
    of both accuracies from the limits of their Wilson intervals, with their correlation phi, continuity-corrected; it needs no
    large numbers and never leaves [-1, 1]. Distances of several strata are squared and added once more, as the strata are
    independent (G. Y. Zou and A. Donner, Statistics in Medicine 27, 2008, 1693-1702).
    """
    centre, distances = difference(strata), [_distances(one) for one in strata]
    down, up = (math.sqrt(sum(one[side] ** 2 for one in distances)) / len(strata) for side in (0, 1))
    return centre - down, centre + up


def share_interval(counts: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """95 % interval of the share of correct photographs, averaged over strata given as (correct, photographs).

    Of one stratum E. B. Wilson's (JASA 22, 1927); of several their distances, squared and added as in `interval`.
    """
    found = [_wilson(correct, total) for correct, total in counts]
    centre = sum(share for share, _, _ in found) / len(found)
    down, up = (math.sqrt(sum(one[side] ** 2 for one in found)) / len(found) for side in (1, 2))
    return centre - down, centre + up


def _distances(pairs: Pairs) -> tuple[float, float]:
    """How far the limits of the interval are below and above the difference of one stratum."""
    a, b, c, n = pairs.both, pairs.only_candidate, pairs.only_other, pairs.photographs
    d = n - a - b - c
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    covariance = a * d - b * c
    phi = (max(covariance - n / 2, 0) if covariance > 0 else covariance) / math.sqrt(margins) if margins else 0.0
    (_, below, above), (_, other_below, other_above) = (_wilson(correct, n) for correct in (a + b, a + c))
    down = below**2 - 2 * phi * below * other_above + other_above**2
    up = above**2 - 2 * phi * above * other_below + other_below**2
    return math.sqrt(max(down, 0.0)), math.sqrt(max(up, 0.0))


def _wilson(correct: int, total: int) -> tuple[float, float, float]:
    """The share, and how far the limits of its Wilson interval are below and above it."""
    share = correct / total
    centre = (share + Z * Z / (2 * total)) / (1 + Z * Z / total)
    half = Z * math.sqrt(share * (1 - share) / total + Z * Z / (4 * total * total)) / (1 + Z * Z / total)
    return share, share - max(0.0, centre - half), min(1.0, centre + half) - share


def photographs_needed(strata: Sequence[Pairs], significance: float, power: float) -> int | None:
    """How many photographs, these included, show the difference with probability `power`, if the two go on to differ like this.

    R. J. Connor, Biometrics 43, 1987, 207-211, for McNemar's test, one-sided: with s the share of discordant pairs, d the
    difference and z the quantiles of the normal distribution,

        n = ((z(1 - significance) sqrt(s) + z(power) sqrt(s - d^2)) / d)^2

    Of several strata s / n and (s - d^2) / n, the variances without and with a difference, are averaged over strata, and n is as
    many times the photographs that there are. None if neither is ahead.
    """
    d, photographs = difference(strata), sum(one.photographs for one in strata)
    if abs(d) < 1e-12:  # rounding of a sum that is 0
        return None
    without, with_difference = 0.0, 0.0
    for one in strata:
        share, lead = (one.only_candidate + one.only_other) / one.photographs, difference([one])
        without += share / one.photographs / len(strata) ** 2
        with_difference += (share - lead * lead) / one.photographs / len(strata) ** 2
    z = NormalDist().inv_cdf
    times = ((z(1 - significance) * math.sqrt(without) + z(power) * math.sqrt(max(with_difference, 0.0))) / d) ** 2
    return math.ceil(times * photographs - 1e-9)
