"""Calibrated probabilities of a probe, and the probability from which on a prediction counts as sure.

Both are fitted to the held-out logits of the probe's cross-validation inside train: each photograph is judged by a fit that did not
see it. The eval split only measures what came out. A temperature changes no prediction, only how sure it is said to be (C. Guo et
al., On Calibration of Modern Neural Networks, arXiv 1706.04599).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.optimize
from scipy.special import logsumexp, softmax

from trainer.blocks import blocks
from trainer.probe import Probe

# The temperature is sought between these, which are far beyond what standardised features need.
TEMPERATURES = (0.001, 1000.0)
# Bins of the expected calibration error, as in table 1 of Guo et al.
BINS = 15


class Calibration(NamedTuple):
    """How a probe's logits become probabilities, and which of them are enough.

    temperature: logits are divided by it before the softmax; None if there was no cross-validation to fit it by.
    threshold: a prediction whose probability is lower is unsure, in [0, 1]; None if no threshold reaches the precision, or there
      was no cross-validation: then every prediction is unsure.
    """

    temperature: float | None
    threshold: float | None


def calibrate(probe: Probe, labels: np.ndarray, precision: float) -> Calibration:
    """The calibration of a probe by its own cross-validation.

    Args:
      labels: `[count]` integers, of the photographs that the probe was fitted to, in their order.
      precision: share of the sure predictions that should be right, between 0 and 1.
    """
    if probe.held_out is None:
        return Calibration(None, None)
    logits, labels = probe.held_out_logits, labels[probe.held_out]
    temperature = fit_temperature(logits, labels)
    probabilities = softmax(logits / temperature, axis=1)
    return Calibration(temperature, choose_threshold(probabilities.max(axis=1), logits.argmax(axis=1) == labels, precision))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T in TEMPERATURES that minimises the mean of -log softmax(logits / T)[label] (Guo et al., section 4.2).

    The mean is convex in 1 / T, so that there is one minimum. If all predictions are right there is none: the loss falls as long
    as T does. T then makes the mean probability of the n predictions (n + 1) / (n + 2), as in `choose_threshold`.

    Args:
      logits: `[count, classes]`, of photographs that were not used to fit whatever computed them.
      labels: `[count]` integers.
    """
    of_truth = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    all_right = bool(np.all(logits.argmax(axis=1) == labels))
    expected = (len(labels) + 1) / (len(labels) + 2)

    def objective(log_temperature: float) -> float:
        factor = np.exp(-log_temperature)
        losses = logsumexp(factor * logits, axis=1) - factor * of_truth
        return float(abs(np.mean(np.exp(-losses)) - expected) if all_right else np.mean(losses))

    found = scipy.optimize.minimize_scalar(objective, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def choose_threshold(confidence: np.ndarray, right: np.ndarray, precision: float) -> float | None:
    """The lowest probability at and above which predictions are right as often as asked; None if there is none.

    Among n predictions of which k are right, the next is taken to be right with probability (k + 1) / (n + 2) (Laplace's rule of
    succession). So a few lucky ones are not enough: a precision of 0.95 takes at least 18 predictions, all of them right.

    Args:
      confidence: `[count]` in [0, 1], the probabilities of the predicted classes.
      right: `[count]` bool, whether the predicted class is the label.
      precision: between 0 and 1.
    """
    order = np.argsort(-confidence, kind="stable")
    confidence, right_so_far = confidence[order], np.cumsum(right[order])
    so_far = np.arange(1, len(order) + 1)
    # Of equal probabilities all are sure, or none.
    last_of_equal = np.append(confidence[1:] != confidence[:-1], True)
    enough = last_of_equal & ((right_so_far + 1) / (so_far + 2) >= precision)
    return float(confidence[np.flatnonzero(enough)[-1]]) if enough.any() else None


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """The mean difference between how sure predictions are and how often they are right, in [0, 1] (Guo et al., section 2).

    Predictions are put into BINS equal intervals ((m - 1) / BINS, m / BINS] of their probability; the differences between a bin's
    mean probability and its share of right predictions are averaged with the bins' counts as weights. With few photographs it is
    above 0 even for perfect probabilities: compare it with that of another model on the same photographs.

    Args:
      confidence, right: `[count]`, as in `choose_threshold`.
    """
    bins = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(int)
    differences = np.bincount(bins, weights=confidence - right, minlength=BINS)
    return float(np.abs(differences).sum() / len(confidence))


def report(probe: Probe, calibration: Calibration, features: np.ndarray, labels: np.ndarray) -> dict:
    """What a calibration is worth on photographs that had no part in it: an entry of linear_eval.json.

    Args:
      features: `[count, d]`, of the eval split. labels: `[count]` integers.

    Returns:
      `temperature` and `threshold` of the calibration; `calibration_error` with it and `uncalibrated_error` without (at temperature
      1); `coverage`, the share of photographs whose prediction is sure; and `precision`, the share of those that are right. All but
      the temperature in [0, 1]; None for what there is not.
    """
    temperature = calibration.temperature
    predicted, (uncalibrated, *calibrated) = confidences(probe, features, (1.0,) if temperature is None else (1.0, temperature))
    right = predicted == labels
    found = {**calibration._asdict(), "calibration_error": None, "uncalibrated_error": expected_calibration_error(uncalibrated, right),
             "coverage": 0.0, "precision": None}  # fmt: skip
    for confidence in calibrated:
        found["calibration_error"] = expected_calibration_error(confidence, right)
        if calibration.threshold is not None:
            sure = confidence >= calibration.threshold
            found["coverage"] = float(np.mean(sure))
            found["precision"] = float(np.mean(right[sure])) if sure.any() else None
    return found


def confidences(probe: Probe, features: np.ndarray, temperatures: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The predicted class of each of `[count, d]` features, `[count]` integers, and its probability at each temperature,
    `[temperatures, count]` in [0, 1]; block by block."""
    predicted, confidence = np.empty(len(features), int), np.empty((len(temperatures), len(features)))
    for rows in blocks(len(features), max(probe.weights.shape)):
        logits = probe.logits(features[rows])
        predicted[rows] = logits.argmax(axis=1)
        for of_temperature, temperature in zip(confidence, temperatures):
            of_temperature[rows] = softmax(logits / temperature, axis=1).max(axis=1)
    return predicted, confidence
