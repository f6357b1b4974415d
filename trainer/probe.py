"""The linear probe: multinomial logistic regression on standardised frozen features."""

import logging
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from trainer.softmax_path import fit_path

log = logging.getLogger(__name__)


class Probe(NamedTuple):
    """softmax((features - mean) / scale @ weights + bias).

    mean, scale: `[d]`. weights: `[d, classes]`. bias: `[classes]`. regularisation: the C that was chosen. All float64.
    cross_validated: accuracy of that C in cross-validation, in [0, 1]; None where there was nothing to validate with. It is what
    recipes are compared by: the photographs held out for the gate have no part in it.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    regularisation: float
    cross_validated: float | None

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The most probable class of each of `[count, d]` features: `[count]` integers."""
        return (((features - self.mean) / self.scale) @ self.weights + self.bias).argmax(axis=1)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """The probability of each class for each of `[count, d]` features: `[count, classes]` in [0, 1]."""
        return softmax(((features - self.mean) / self.scale) @ self.weights + self.bias, axis=1)

    def accuracy(self, features: np.ndarray, labels: np.ndarray) -> float:
        """Share of `[count, d]` features that are given their label."""
        return float(np.mean(self.predict(features) == labels))


def fit_probe(
    features: np.ndarray, labels: np.ndarray, *, regularisation: tuple[float, ...], folds: int, seed: int
) -> Probe:
    """Fits to convergence, with the regularisation that does best in cross-validation on these same photographs.

    Args:
      features: `[count, d]`.
      labels: `[count]` integers, every class from 0 to classes - 1 at least once.
      regularisation: candidates for C, the inverse strength of the L2 penalty.
      folds: of the stratified cross-validation; fewer where the smallest class has fewer members.
      seed: of the division into folds.

    Raises:
      ValueError: a class has no member.
      RuntimeError: a fit did not converge.
    """
    counts = np.bincount(labels)
    if len(counts) < 2 or counts.min() == 0:
        raise ValueError(f"the probe needs at least two classes, each with a labelled photograph; got counts {counts.tolist()}")
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0  # a feature that never varies says nothing, and must not divide by 0
    # Shared between threads these products take longer than on one, more so beside other work (benchmarks/linear_evaluation.py).
    with threadpool_limits(1, "blas"):
        fitted = _fit((features - mean) / scale, labels, sorted(regularisation), min(folds, int(counts.min())), seed)
    return Probe(mean, scale, *fitted)


def _fit(
    features: np.ndarray, labels: np.ndarray, candidates: list[float], folds: int, seed: int
) -> tuple[np.ndarray, np.ndarray, float, float | None]:
    """Weights, bias, C and accuracy of the candidate that does best in cross-validation; of equals, the strongest regularisation."""
    everything = np.ones((1, len(labels)), bool)
    if folds < 2 or len(candidates) == 1:
        chosen = candidates[len(candidates) // 2]
        if len(candidates) > 1:
            log.warning("A class has one labelled photograph: no cross-validation; the probe's regularisation is %g", chosen)
        (fits,) = fit_path(features, labels, everything, [chosen])
        return fits.weights[0], fits.bias[0], chosen, None
    held_out = np.zeros((folds, len(labels)), bool)
    for mask, (_, fold) in zip(held_out, StratifiedKFold(folds, shuffle=True, random_state=seed).split(features, labels)):
        mask[fold] = True
    best, best_accuracy = None, -1.0
    for fits in fit_path(features, labels, np.concatenate([~held_out, everything]), candidates):
        accuracy = np.mean([
            np.mean((features[mask] @ weights + bias).argmax(axis=1) == labels[mask])
            for mask, weights, bias in zip(held_out, fits.weights, fits.bias)])  # fmt: skip
        if accuracy > best_accuracy:
            best, best_accuracy = (fits.weights[-1], fits.bias[-1], fits.c), accuracy
    return *best, float(best_accuracy)


def labelled_subset(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Indices of a random share of each class, at least one of each: `[count]` integers, sorted."""
    random = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        chosen.append(random.permutation(members)[: max(1, round(fraction * len(members)))])
    return np.sort(np.concatenate(chosen))
