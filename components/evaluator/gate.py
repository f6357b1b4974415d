"""The gate: turns figures into a verdict with reasons. Pure.

A backbone is blessed if every check passes; the reasons list every check, passed or failed, with its figures. Beside them the
verdict says how sure each comparison is (`evidence.py`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from components.evaluator.evidence import Evidence, Pairs, weigh
from pipeline_config import Gate


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
      pairs: what this probe and the candidate's are right about on the same photographs; None for the candidate.
    """

    accuracy: float
    macro_f1: float
    cross_entropy: float
    per_class: dict[str, float | None]
    confusion_matrix: list[list[int]]
    examples: int
    pairs: Pairs | None = None


# Thresholds are inclusive. Differences of accuracies are not exact in floating point (0.58 - 0.55 < 0.03), so a figure within
# this distance of its threshold counts as equal; one photograph in a million is a thousand times as much.
TOLERANCE = 1e-9
MOST_NAMES = 5  # most classes that a reason names


@dataclass(frozen=True)
class Champion:
    """The registered version to compare with; `measured` is None if its classes are not the candidate's."""

    version: str
    classes: tuple[str, ...]
    measured: Measured | None


@dataclass(frozen=True)
class Verdict:
    """Whether the backbone may be registered, one sentence a check, and how sure the comparisons are.

    `evidence` has `untrained`, and `champion` if that was measured; it is empty if nothing was judged.
    """

    blessed: bool
    reasons: tuple[str, ...]
    evidence: Mapping[str, Evidence] = field(default_factory=dict)


def judge(gate: Gate, classes: tuple[str, ...], candidate: Measured, untrained: Measured, champion: Champion | None) -> Verdict:
    """Judges a candidate by the gate's settings.

    Args:
      gate: the thresholds, accuracies in [0, 1].
      classes: the candidate's classes, in the order of its labels.
      candidate, untrained: the probe on the trained backbone and the random-init baseline (the same probe on the same network
        untrained), both measured on the same eval split.
      champion: the version in use, measured on that split as well; None on a first run, which accuracy and gain alone decide.
    """
    broken = [
        f"{name} has figures that are not finite (accuracy {one.accuracy}, macro F1 {one.macro_f1}, "
        f"cross-entropy {one.cross_entropy}): not judged"
        for name, one in _measured(candidate, untrained, champion)
        if not all(map(math.isfinite, (one.accuracy, one.macro_f1, one.cross_entropy)))
    ]
    if broken:
        return Verdict(False, tuple(broken))
    checks = [
        _accuracy(gate, candidate.accuracy),
        _gain(gate, candidate.accuracy, untrained.accuracy),
        _regression(gate, classes, candidate.accuracy, champion),
    ]
    others = {"untrained": untrained} | ({"champion": champion.measured} if champion and champion.measured else {})
    evidence = {name: weigh(one.pairs, gate.significance, gate.power) for name, one in others.items() if one.pairs}
    return Verdict(all(passed for passed, _ in checks), tuple(reason for _, reason in checks), evidence)


def in_words(evidence: Evidence, other: str, gate: Gate) -> str:
    """One sentence: whether it is sure which of the two is better, or how many more photographs it would take.

    Args:
      other: whom the candidate is compared with, such as "the random-init baseline".
    """
    figures = (
        f"the candidate alone classifies {evidence.only_candidate} of the photographs correctly, {other} alone "
        f"{evidence.only_other}: a difference of {_text(evidence.difference)}, 95 % interval {_text(evidence.low)} to "
        f"{_text(evidence.high)}, p = {evidence.p:.2g}"
    )
    if evidence.sure:
        return f"sure that the candidate is {'better' if evidence.difference > 0 else 'worse'} than {other}: {figures}"
    unsure = f"not sure which is better, the candidate or {other}: {figures}, above gate.significance {_text(gate.significance)}"
    if evidence.more_photographs is None:
        return f"{unsure}; neither is ahead, so no number of photographs can be stated"
    more = f"about {evidence.more_photographs:,} more labelled photographs in eval would settle it"
    return f"{unsure}; if they go on to differ like this, {more}"


def _measured(candidate: Measured, untrained: Measured, champion: Champion | None) -> list[tuple[str, Measured]]:
    named = [("the candidate", candidate), ("the random-init baseline", untrained)]
    if champion is not None and champion.measured is not None:
        named.append((f"champion version {champion.version}", champion.measured))
    return named


def _accuracy(gate: Gate, accuracy: float) -> tuple[bool, str]:
    passed = accuracy >= gate.min_accuracy - TOLERANCE
    relation = "at least" if passed else "below"
    return passed, f"accuracy {_text(accuracy)} is {relation} gate.min_accuracy {_text(gate.min_accuracy)}"


def _gain(gate: Gate, accuracy: float, random_init: float) -> tuple[bool, str]:
    passed = accuracy - random_init >= gate.min_gain_over_random - TOLERANCE
    return passed, (
        f"accuracy {_text(accuracy)} is {_distance(accuracy, random_init)} the random-init baseline {_text(random_init)}, "
        f"{'at least' if passed else 'less than'} gate.min_gain_over_random {_text(gate.min_gain_over_random)}"
    )


def _regression(gate: Gate, classes: tuple[str, ...], accuracy: float, champion: Champion | None) -> tuple[bool, str]:
    if champion is None:
        return True, "there is no champion to compare with: accuracy and gain over the random-init baseline decide"
    if champion.measured is None:
        return False, (
            f"not comparable with champion version {champion.version}, which has other classes "
            f"({_only('champion', champion.classes, classes)}; {_only('probe', classes, champion.classes)}): run on data of the "
            "same classes, or register under another name, which starts without a champion: --set registry.name=NAME"
        )
    reached = champion.measured.accuracy
    passed = reached - accuracy <= gate.max_regression + TOLERANCE
    return passed, (
        f"accuracy {_text(accuracy)} is {_distance(accuracy, reached)} champion version {champion.version} ({_text(reached)}), "
        f"{'within' if passed else 'more than'} gate.max_regression {_text(gate.max_regression)}"
        f"{'' if passed else ' below'}"
    )


def _only(whose: str, classes: tuple[str, ...], others: tuple[str, ...]) -> str:
    """The classes that only one of two probes has, at most MOST_NAMES of them."""
    alone = [name for name in classes if name not in set(others)]
    more = f" and {len(alone) - MOST_NAMES} more" if len(alone) > MOST_NAMES else ""
    return f"{whose} only: {', '.join(alone[:MOST_NAMES]) or 'none'}{more}"


def _distance(accuracy: float, other: float) -> str:
    if abs(accuracy - other) <= TOLERANCE:
        return "equal to"
    return f"{_text(abs(accuracy - other))} {'above' if accuracy > other else 'below'}"


def _text(value: float) -> str:
    """At most four decimals: one photograph is at least a ten-thousandth of any eval split of up to 10,000."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if value else "0"
