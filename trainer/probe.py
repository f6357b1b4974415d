"""The linear probe: multinomial logistic regression on standardised frozen features."""

import logging
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

log = logging.getLogger(__name__)

# Far above what standardised features need; reaching it is an error, not a result.
MAX_ITERATIONS = 5000


class Probe(NamedTuple):
    """softmax((features - mean) / scale @ weights + bias).

    mean, scale: `[d]`. weights: `[d, classes]`. bias: `[classes]`. regularisation: the C that was chosen. All float64.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    regularisation: float

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The most probable class of each of `[count, d]` features: `[count]` integers."""
        return (((features - self.mean) / self.scale) @ self.weights + self.bias).argmax(axis=1)

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
    """
    counts = np.bincount(labels)
    if len(counts) < 2 or counts.min() == 0:
        raise ValueError(f"the probe needs at least two classes, each with a labelled photograph; got counts {counts.tolist()}")
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0  # a feature that never varies says nothing, and must not divide by 0
    # The products here are too small to share: with one thread each fit is many times as fast (benchmarks/linear_probe.py).
    with threadpool_limits(1, "blas"):
        model = _fit((features - mean) / scale, labels, sorted(regularisation), min(folds, int(counts.min())), seed)
    weights, bias = model.coef_.T, model.intercept_
    if len(counts) == 2:  # scikit-learn keeps the difference of the two columns
        weights, bias = np.hstack([-weights / 2, weights / 2]), np.array([-bias[0] / 2, bias[0] / 2])
    return Probe(mean, scale, weights, bias, float(np.ravel(model.C_)[0]))


def _fit(
    features: np.ndarray, labels: np.ndarray, candidates: list[float], folds: int, seed: int
) -> LogisticRegression | LogisticRegressionCV:
    """Fits with the candidate of the highest cross-validated accuracy; of equals, the strongest regularisation."""
    if folds < 2 or len(candidates) == 1:
        chosen = candidates[len(candidates) // 2]
        if len(candidates) > 1:
            log.warning("A class has one labelled photograph: no cross-validation; the probe's regularisation is %g", chosen)
        model = LogisticRegression(C=chosen, max_iter=MAX_ITERATIONS).fit(features, labels)
        model.C_ = chosen
    else:
        division = StratifiedKFold(folds, shuffle=True, random_state=seed)
        model = LogisticRegressionCV(Cs=candidates, cv=division, max_iter=MAX_ITERATIONS).fit(features, labels)
    if np.max(model.n_iter_) >= MAX_ITERATIONS:
        raise RuntimeError(
            f"the probe did not converge in {MAX_ITERATIONS} iterations; drop the largest of linear_eval.regularisation {candidates}"
        )
    return model


def labelled_subset(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Indices of a random share of each class, at least one of each: `[count]` integers, sorted."""
    random = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        chosen.append(random.permutation(members)[: max(1, round(fraction * len(members)))])
    return np.sort(np.concatenate(chosen))
