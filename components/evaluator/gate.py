"""The gate: turns figures into a verdict with reasons. Pure.

A backbone is blessed, and so may be registered, if every check passes; it takes the alias `champion` if it is also proven to be
better than the champion. The reasons list every check, passed or failed, with figure, 95 % interval and p.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.evaluator.evidence import Evidence, Pairs, photographs_needed, pooled, share_interval, weigh
from contracts.baseline import RANDOM_INIT, TITLES
from pipeline_config import MACRO, Gate


class EvaluationError(RuntimeError):
    """The eval split or a model cannot be evaluated; the message says which and what to do."""


@dataclass(frozen=True)
class Measured:
    """The figures of one probe on the eval split.

    Attributes:
      accuracy: share of photographs whose most probable class is the true one, in [0, 1].
      macro_f1: unweighted mean of the classes' F1, in [0, 1].
      cross_entropy: mean of -log(probability of the true class) in nats, at least 0; NaN if the probe returns NaN.
      per_class: accuracy by true class; None for a class without a photograph in the eval split.
      confusion_matrix: counts of photographs, [true class][predicted class], in the order of the probe's classes.
      examples: number of photographs.
      pairs: by true class, what this probe and the candidate's are right about on the same photographs; empty for the candidate.
    """

    accuracy: float
    macro_f1: float
    cross_entropy: float
    per_class: dict[str, float | None]
    confusion_matrix: list[list[int]]
    examples: int
    pairs: Mapping[str, Pairs] = field(default_factory=dict)


@dataclass(frozen=True)
class Registered:
    """A registered version to compare with: the figures of a probe that was fitted on its backbone today.

    `seen` is the number of photographs of the eval split that it was pre-trained on; None if that is not known.
    """

    version: str
    measured: Measured
    seen: int | None


@dataclass(frozen=True)
class Verdict:
    """Whether the backbone may be registered and whether it takes the alias, a sentence a check, and how sure the comparisons are.

    `evidence` has `untrained`, and `champion` and `best` where there are such; it is empty if nothing was judged.
    """

    blessed: bool
    takes_alias: bool
    reasons: tuple[str, ...]
    evidence: Mapping[str, Evidence] = field(default_factory=dict)


# Thresholds are inclusive. Differences of accuracies are not exact in floating point (0.58 - 0.55 < 0.03), so a figure within
# this distance of its threshold counts as equal; one photograph in a million is a thousand times as much.
TOLERANCE = 1e-9


def judge(
    gate: Gate, candidate: Measured, untrained: Measured, champion: Registered | None = None, best: Registered | None = None,
    challenge: int = 1, baseline: str = RANDOM_INIT,
) -> Verdict:  # fmt: skip
    """Judges a candidate by the gate's settings.

    Args:
      gate: the thresholds, accuracies in [0, 1].
      candidate, untrained: the probe on the trained backbone, and the same probe on its baseline: the same network untrained, or
        the network of others that it started from.
      champion: the version in use; None on a first run.
      best: the best version so far; None if that is the champion, or there is none.
      challenge: which challenge of this champion it is, from 1 (`registry.comparison`).
      baseline: which one, a key of contracts.baseline.TITLES.

    All are measured on the same photographs.
    """
    others = {"champion": ("champion version", champion), "best": ("the best version so far, version", best)}
    registered = {name: (f"{title} {one.version}", one) for name, (title, one) in others.items() if one is not None}
    measured = [("the candidate", candidate), (f"the {TITLES[baseline]}", untrained)]
    measured += [(title, one.measured) for title, one in registered.values()]
    broken = [
        f"{title} has figures that are not finite (accuracy {one.accuracy}, macro F1 {one.macro_f1}, "
        f"cross-entropy {one.cross_entropy}): not judged"
        for title, one in measured
        if not all(map(math.isfinite, (one.accuracy, one.macro_f1, one.cross_entropy)))
    ]
    if broken:
        return Verdict(False, False, tuple(broken))
    compared = {"untrained": untrained} | {name: one.measured for name, (_, one) in registered.items()}
    evidence = {name: weigh(_strata(gate, one), gate.significance, gate.power) for name, one in compared.items()}
    checks = [_accuracy(gate, candidate), _gain(gate, evidence["untrained"], figure(gate, untrained), TITLES[baseline])]
    checks += [_regression(gate, evidence[name], title, one) for name, (title, one) in registered.items()]
    reasons = [reason for _, reason in checks]
    blessed = all(passed for passed, _ in checks)
    takes_alias = blessed
    if not registered:
        reasons.append(f"there is no registered version to compare with: accuracy and gain over the {TITLES[baseline]} decide")
    elif blessed:
        takes_alias, reason = _alias(gate, evidence["champion"], _strata(gate, champion.measured), champion.version, challenge)
        reasons.append(reason)
    return Verdict(blessed, takes_alias, tuple(reasons), evidence)


def alias_significance(gate: Gate, challenge: int) -> float:
    """Largest p with which that challenge of a champion, counted from 1, takes the alias: gate.significance / (k (k + 1)).

    Each challenge is another chance of luck. The shares 1 / (k (k + 1)) of all k add up to 1, so that by Bonferroni's inequality
    (C. E. Bonferroni, 1936) the probability that a champion ever gives way to a challenger that is no better is at most
    gate.significance, however many there are and whether or not they are judged on the same photographs.
    """
    return gate.significance / (challenge * (challenge + 1))


def figure(gate: Gate, one: Measured) -> float:
    """The figure by which the gate judges (`gate.metric`), in [0, 1]: accuracy, or its average over classes with a photograph."""
    if gate.metric != MACRO:
        return one.accuracy
    shares = [share for share in one.per_class.values() if share is not None]
    return sum(shares) / len(shares)


def required_gain(gate: Gate, baseline: float) -> float:
    """The gain over a baseline of that figure: min_gain_over_random, or where it is less, min_gain_share of its rest."""
    return min(gate.min_gain_over_random, gate.min_gain_share * (1 - baseline))


def _strata(gate: Gate, other: Measured) -> Sequence[Pairs]:
    pairs = list(other.pairs.values())
    return pairs if gate.metric == MACRO else [pooled(pairs)]


def _accuracy(gate: Gate, candidate: Measured) -> tuple[bool, str]:
    reached, macro = figure(gate, candidate), gate.metric == MACRO
    rows = candidate.confusion_matrix
    low, high = share_interval(
        [(row[label], sum(row)) for label, row in enumerate(rows) if sum(row)] if macro
        else [(round(candidate.accuracy * candidate.examples), candidate.examples)])  # fmt: skip
    passed = reached >= gate.min_accuracy - TOLERANCE
    said, least = _apart(reached, gate.min_accuracy)
    return passed, (
        f"accuracy{', averaged over classes,' if macro else ''} {said} % (95 % interval {100 * low:.1f} to {100 * high:.1f} %) is "
        f"{'at least' if passed else 'below'} gate.min_accuracy {least} %"
    )


def _gain(gate: Gate, evidence: Evidence, baseline: float, title: str) -> tuple[bool, str]:
    required = required_gain(gate, baseline)
    enough = evidence.difference >= required - TOLERANCE
    # A required gain below 0 allows a loss: then there is nothing to prove.
    proven = required < 0 or (evidence.sure and evidence.difference > 0)
    least = _apart(evidence.difference, required)[1]
    if required < gate.min_gain_over_random:
        least = (f"{least} points, gate.min_gain_share ({100 * gate.min_gain_share:g} %) of what that leaves to gain, less than "
                 f"gate.min_gain_over_random {100 * gate.min_gain_over_random:.1f} points")  # fmt: skip
    else:
        least = f"gate.min_gain_over_random {least} points"
    significant = ""
    if required >= 0:
        joint = "and" if enough == proven else "but"
        significant = f", {joint} {'' if proven else 'not '}significant at gate.significance {gate.significance:g}"
    return enough and proven, (
        f"{_compared(evidence, f'the {title}', baseline)}: {'at least' if enough else 'less than'} {least}{significant}"
        f"{'' if proven or not enough else _more(evidence.more_photographs)}"
    )


def _regression(gate: Gate, evidence: Evidence, title: str, other: Registered) -> tuple[bool, str]:
    near = evidence.difference >= -gate.max_regression - TOLERANCE
    worse = evidence.sure and evidence.difference < 0
    limit = _apart(-evidence.difference, gate.max_regression)[1]
    joint = "and" if near != worse else "but"
    pretrained = {None: "; whether it was pre-trained on any of these photographs is not known", 0: ""}.get(
        other.seen, f"; it was pre-trained on {other.seen} of these photographs")  # fmt: skip
    return near and not worse, (
        f"{_compared(evidence, title, figure(gate, other.measured))}: {'' if worse else 'not '}significantly worse at "
        f"gate.significance {gate.significance:g}, {joint} "
        f"{'within' if near else 'farther below than'} gate.max_regression {limit} points{pretrained}"
    )


def _alias(gate: Gate, evidence: Evidence, strata: Sequence[Pairs], version: str, challenge: int) -> tuple[bool, str]:
    """Whether a blessed backbone takes the alias from the champion, and a sentence that says why or why not."""
    found = f"{_where(evidence)} champion version {version} on these photographs ({_how_sure(evidence)})"
    if evidence.difference <= TOLERANCE:
        return False, f"{found}: the alias champion stays with version {version}"
    allowed = alias_significance(gate, challenge)
    rule = (f"challenge {challenge:,} of this champion takes the alias with p up to {allowed:.3g}, gate.significance "
            f"{gate.significance:g} / ({challenge:,} × {challenge + 1:,})")  # fmt: skip
    if evidence.p <= allowed:
        return True, f"{found}: {rule}, so that the alias champion moves to this one"
    photographs = sum(one.photographs for one in strata)
    more = max(1, photographs_needed(strata, allowed, gate.power) - photographs)
    return False, f"{found}: {rule}, so that it stays with version {version}{_more(more)}"


def _compared(evidence: Evidence, other: str, reached: float) -> str:
    """The start of a sentence: how far above or below, with interval and p."""
    return f"accuracy is {_where(evidence)} {other} ({100 * reached:.1f} %; {_how_sure(evidence)})"


def _where(evidence: Evidence) -> str:
    distance = abs(100 * evidence.difference)
    return "equal to" if distance <= TOLERANCE else f"{_points(distance)} {'above' if evidence.difference > 0 else 'below'}"


def _how_sure(evidence: Evidence) -> str:
    return f"95 % interval of the difference {100 * evidence.low:.1f} to {100 * evidence.high:.1f} points, p = {evidence.p:.2g}"


def _more(more_photographs: int | None) -> str:
    if more_photographs is None:
        return "; neither is ahead, so no number of photographs can be stated"
    return f"; if they go on to differ like this, about {more_photographs:,} more labelled photographs in eval would settle it"


def _points(distance: float) -> str:
    return f"{distance:.1f} points" if distance >= 0.05 else f"{distance:.2g} points"


def _apart(value: float, threshold: float) -> tuple[str, str]:
    """Both in per cent, with as many digits as it takes to tell them apart: 54.98 % must not be called "55.0 %, below 55.0 %"."""
    digits = 1
    while abs(value - threshold) > TOLERANCE and f"{100 * value:.{digits}f}" == f"{100 * threshold:.{digits}f}":
        digits += 1
    return f"{100 * value:.{digits}f}", f"{100 * threshold:.{digits}f}"
