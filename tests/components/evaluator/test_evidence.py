"""How sure a comparison is: against published examples, SciPy, and counting."""

import itertools
import math

import pytest
import scipy.stats

from components.evaluator.evidence import Pairs, difference, interval, p_value, photographs_needed, share_interval, weigh


def pairs(only_candidate, only_other, both, photographs):
    """One stratum."""
    return [Pairs(only_candidate, only_other, both, photographs)]


@pytest.mark.parametrize(("only_candidate", "only_other"), [(1, 0), (5, 0), (5, 3), (3, 5), (6, 6)])
def test_p_is_the_share_of_all_ways_in_which_the_pairs_could_fall(only_candidate, only_other):
    ahead = max(only_candidate, only_other)
    falls = list(itertools.product((0, 1), repeat=only_candidate + only_other))
    expected = sum(sum(fall) >= ahead for fall in falls) / len(falls)
    assert p_value(pairs(only_candidate, only_other, 10, 40)) == pytest.approx(expected, abs=1e-12)


def test_without_discordant_pairs_nothing_is_proven():
    found = weigh(pairs(0, 0, 20, 30), significance=0.025, power=0.8)
    assert (found.p, found.sure, found.more_photographs, found.difference) == (1.0, False, None, 0.0)
    assert found.low < 0 < found.high


def wilson(share, n):
    z = scipy.stats.norm.ppf(0.975)
    centre, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def test_the_interval_is_newcombe_s_by_the_formulas_of_the_paper():
    # Both 30, one alone 20, the other alone 10, none 40 of 100: 0.5 and 0.4 correct, ad - bc = 1,000 above n / 2 = 50.
    phi = (30 * 40 - 20 * 10 - 50) / math.sqrt(50 * 50 * 40 * 60)
    (l1, u1), (l2, u2) = wilson(0.5, 100), wilson(0.4, 100)
    low = 0.1 - math.sqrt((0.5 - l1) ** 2 - 2 * phi * (0.5 - l1) * (u2 - 0.4) + (u2 - 0.4) ** 2)
    high = 0.1 + math.sqrt((u1 - 0.5) ** 2 - 2 * phi * (u1 - 0.5) * (0.4 - l2) + (0.4 - l2) ** 2)
    assert interval(pairs(20, 10, 30, 100)) == pytest.approx((low, high), abs=1e-12)


def test_the_interval_is_that_of_a_published_example():
    # Airway hyper-responsiveness before and after a transplantation, 1, 1, 7, 12 of 21 children: Fagerland, Lydersen and Laake,
    # BMC Medical Research Methodology 14, 2014, table 5: -0.286 (-0.507 to -0.026).
    found = pairs(1, 7, 1, 21)
    assert difference(found) == pytest.approx(-0.286, abs=5e-4)
    assert interval(found) == pytest.approx((-0.507, -0.026), abs=5e-4)


def test_whoever_is_exchanged_the_interval_is_mirrored():
    low, high = interval(pairs(9, 4, 30, 60))
    assert interval(pairs(4, 9, 30, 60)) == pytest.approx((-high, -low), abs=1e-12)


@pytest.mark.parametrize(("both", "only_candidate", "only_other"), [(0, 30, 0), (30, 0, 0), (0, 0, 0), (0, 0, 30), (29, 1, 0)])
def test_at_the_margins_the_interval_stays_finite_and_inside(both, only_candidate, only_other):
    found = pairs(only_candidate, only_other, both, 30)
    low, high = interval(found)
    assert -1 <= low <= difference(found) <= high <= 1


def test_the_number_of_photographs_is_connor_s():
    # Shares 0.45 and 0.05 of discordant pairs at 5 % (two-sided) and a power of 80 %: 23, as published calculators have it
    # (powerandsamplesize.com, McNemar Z-test, with Connor 1987, page 209).
    assert photographs_needed(pairs(45, 5, 20, 100), 0.025, 0.8) == 23
    # docs/gate.md and data.min_eval: with 30 % discordant pairs 150 photographs prove 12.44 points.
    assert photographs_needed(pairs(2122, 878, 3000, 10_000), 0.025, 0.8) == 150
    assert photographs_needed(pairs(8, 8, 20, 60), 0.025, 0.8) is None


def test_what_was_asked_for_suffices_about_as_often_as_promised():
    # Probabilities 0.2 and 0.1: the power of the exact test at the number asked for, summed over all outcomes.
    n = photographs_needed(pairs(20, 10, 50, 100), 0.025, 0.8)
    power = 0.0
    for discordant in range(n + 1):
        weight = scipy.stats.binom.pmf(discordant, n, 0.3)
        if weight > 1e-12:
            least = next((b for b in range(discordant + 1) if scipy.stats.binom.sf(b - 1, discordant, 0.5) <= 0.025), None)
            power += weight * scipy.stats.binom.sf(least - 1, discordant, 2 / 3) if least is not None else 0
    assert 0.74 < power < 0.82  # the exact test is a little stricter than the formula's normal approximation


def test_a_verdict_is_sure_or_says_what_it_would_take():
    sure = weigh(pairs(40, 10, 60, 150), significance=0.025, power=0.8)
    assert sure.sure and sure.more_photographs == 0 and sure.low > 0
    # 7 to 3 of 24: s = 10/24, d = 4/24; ((1.96 · 0.6455 + 0.8416 · 0.6236) / 0.16667)² = 115.3, so 92 more than 24.
    unsure = weigh(pairs(7, 3, 9, 24), significance=0.025, power=0.8)
    assert not unsure.sure and unsure.p == pytest.approx(176 / 1024) and unsure.more_photographs == 92


def test_five_to_none_is_not_yet_sure_whatever_the_formula_asks_for():
    # p = 1/32; all pairs discordant, Connor's formula asks for 4 photographs, fewer than there are.
    assert photographs_needed(pairs(5, 0, 0, 5), 0.025, 0.8) == 4
    assert weigh(pairs(5, 0, 0, 5), significance=0.025, power=0.8).more_photographs == 1


def test_of_one_stratum_or_of_equal_ones_p_is_that_of_the_pairs_together():
    """Classes of one size count as their photographs do: the same test, up to the draws."""
    classes = [Pairs(9, 3, 20, 50), Pairs(4, 2, 30, 50), Pairs(6, 5, 10, 50)]
    together = [Pairs(19, 10, 60, 150)]
    assert difference(classes) == pytest.approx(difference(together))
    # 19 or more of 29 fair coins.
    assert p_value(together) == pytest.approx(sum(math.comb(29, k) for k in range(19, 30)) / 2**29, abs=1e-12)
    assert p_value(classes) == pytest.approx(p_value(together), rel=0.03)
    assert photographs_needed(classes, 0.025, 0.8) == pytest.approx(photographs_needed(together, 0.025, 0.8), rel=0.02)


def test_of_uneven_classes_p_is_the_share_of_all_falls_with_such_a_lead():
    classes = [Pairs(5, 1, 3, 10), Pairs(2, 1, 20, 40)]
    lead = (4 / 10 + 1 / 40) / 2
    falls = [(sum(fall[:6]), sum(fall[6:])) for fall in itertools.product((0, 1), repeat=9)]
    expected = sum(((2 * a - 6) / 10 + (2 * b - 3) / 40) / 2 >= lead - 1e-12 for a, b in falls) / len(falls)
    assert difference(classes) == pytest.approx(lead)
    assert p_value(classes) == pytest.approx(expected, rel=0.03)
    mirrored = [Pairs(one.only_other, one.only_candidate, one.both, one.photographs) for one in classes]
    assert p_value(mirrored) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(("classes", "expected"), [
    # Nothing is ahead by more than all of 21 fair coins: 2^-21. A class of one photograph and one of 1,000, of 32 coins the last one
    # for the other: 1 of 2, times 1 + 31 of 2^31.
    ([Pairs(9, 0, 3, 20), Pairs(12, 0, 20, 40)], 2.0**-21),
    ([Pairs(1, 0, 0, 1), Pairs(30, 1, 0, 1000)], 0.5 * 32 / 2**31),
    # The first class decides nothing: 14 or more of 15 fair coins.
    ([Pairs(0, 0, 3, 100), Pairs(14, 1, 20, 40)], 16 / 2**15),
    ([Pairs(3, 3, 3, 100), Pairs(3, 3, 3, 100)], (1 + math.comb(12, 6) / 2**12) / 2),
])  # fmt: skip
def test_p_of_uneven_classes_is_right_however_small_it_is(classes, expected):
    assert p_value(classes) == pytest.approx(expected, rel=0.05)


def test_intervals_of_classes_are_squared_and_added():
    classes = [Pairs(9, 3, 20, 50), Pairs(4, 6, 30, 60)]
    limits = [interval([one]) for one in classes]
    centre = (6 / 50 - 2 / 60) / 2
    low = centre - math.hypot(6 / 50 - limits[0][0], -2 / 60 - limits[1][0]) / 2
    high = centre + math.hypot(limits[0][1] - 6 / 50, limits[1][1] + 2 / 60) / 2
    assert interval(classes) == pytest.approx((low, high), abs=1e-12)
    (l1, u1), (l2, u2) = wilson(0.8, 50), wilson(0.5, 20)
    assert share_interval([(40, 50), (10, 20)]) == pytest.approx(
        (0.65 - math.hypot(0.8 - l1, 0.5 - l2) / 2, 0.65 + math.hypot(u1 - 0.8, u2 - 0.5) / 2), abs=1e-12)  # fmt: skip


@pytest.mark.parametrize("correct", [0, 1, 17, 29, 30])
def test_the_interval_of_a_share_is_scipy_s(correct):
    expected = scipy.stats.binomtest(correct, 30).proportion_ci(method="wilson")
    assert share_interval([(correct, 30)]) == pytest.approx((expected.low, expected.high), abs=1e-9)
