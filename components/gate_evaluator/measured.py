"""What evaluating one probe gives, and the error where it cannot be evaluated; no library behind it."""

from dataclasses import dataclass


class EvaluationError(RuntimeError):
    """The eval split or a model cannot be evaluated; the message says which and what to do."""


@dataclass(frozen=True)
class Measured:
    """What one probe reached on the eval split.

    Attributes:
      accuracy: share of photographs whose most probable class is the true one, in [0, 1].
      macro_f1: unweighted mean of the classes' F1, in [0, 1].
      cross_entropy: mean of -log(probability of the true class) in nats, at least 0; NaN where the probe answers NaN.
      per_class: accuracy by true class; None for a class without a photograph in the eval split.
      confusion_matrix: counts of photographs, [true class][predicted class], in the order of the probe's classes.
      examples: number of photographs.
    """

    accuracy: float
    macro_f1: float
    cross_entropy: float
    per_class: dict[str, float | None]
    confusion_matrix: list[list[int]]
    examples: int
