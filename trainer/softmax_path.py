"""Softmax regression for several subsets of the same photographs and several strengths of regularisation, all fitted together.

`trainer.probe` calls it for its cross-validation. The subsets share every product of matrices: one wide product for all of them is
many times as fast as a narrow one for each (benchmarks/linear_evaluation.py).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize

# Largest entry of the gradient of the mean loss at which a fit counts as converged (scikit-learn's default for the same).
TOLERANCE = 1e-4
# Far above what standardised features need; reaching it is an error, not a result.
MAX_ITERATIONS = 5000
# Curvature of the loss of one photograph, p (1 - p), about where fits end: it only steers the optimiser.
CURVATURE = 0.1


class Fits(NamedTuple):
    """The fits of all subsets with one C: weights `[subsets, d, classes]`, bias `[subsets, classes]`."""

    c: float
    weights: np.ndarray
    bias: np.ndarray


def fit_path(features: np.ndarray, labels: np.ndarray, members: np.ndarray, candidates: Sequence[float]) -> Iterator[Fits]:
    """For each C of `candidates`, in that order, and each subset, the minimum over weights w and bias b of

        C * sum over the subset of -log softmax(x w + b)[label] + sum(w^2) / 2

    Each C starts from the fits of the one before. The optimiser is L-BFGS in the basis of the features' principal components,
    each divided by the square root of its curvature. The rotation is exact: it changes neither penalty nor minimum, and where
    there are more features than photographs it leaves only as many components.

    Args:
      features: `[count, d]` float64.
      labels: `[count]` integers from 0.
      members: `[subsets, count]` bool.
      candidates: inverse strengths of the L2 penalty.

    Raises:
      RuntimeError: no convergence in MAX_ITERATIONS.
    """
    count, subsets, classes = len(features), len(members), int(labels.max()) + 1
    components, variances, basis = _principal_components(features)
    rank = components.shape[1]
    member = members.T[:, :, None].astype(np.float64)
    truth = np.eye(classes)[labels][:, None, :]

    def mean_loss(flat, c, scale):
        """Of all subsets together, and its gradient, at weights divided by `scale`."""
        weights = flat[: rank * subsets * classes].reshape(rank, -1) * scale
        bias = flat[rank * subsets * classes :].reshape(subsets, classes)
        logits = (components @ weights).reshape(count, subsets, classes) + bias
        logits -= logits.max(axis=2, keepdims=True)
        of_truth = (logits * truth).sum(axis=2, keepdims=True)
        probabilities = np.exp(logits, out=logits)
        total = probabilities.sum(axis=2, keepdims=True)
        loss = ((np.log(total) - of_truth) * member).sum() / count + (weights**2).sum() / (2 * c * count)
        probabilities /= total
        error = (probabilities - truth) * member / count
        gradient = (components.T @ error.reshape(count, -1) + weights / (c * count)) * scale
        return loss, np.concatenate([gradient.ravel(), error.sum(axis=0).ravel()])

    weights, bias = np.zeros((rank, subsets * classes)), np.zeros((subsets, classes))
    for c in candidates:
        scale = 1 / np.sqrt(CURVATURE * variances + 1 / (c * count))[:, None]
        found = scipy.optimize.minimize(
            mean_loss, np.concatenate([(weights / scale).ravel(), bias.ravel()]), args=(c, scale), jac=True, method="L-BFGS-B",
            options={"gtol": TOLERANCE, "ftol": 0, "maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS})  # fmt: skip
        if not found.success and np.abs(found.jac).max() > TOLERANCE:
            raise RuntimeError(
                f"the probe did not converge in {found.nit} iterations at C = {c:g} ({found.message}); drop the largest of "
                "linear_eval.regularisation"
            )
        weights, bias = found.x[: weights.size].reshape(weights.shape) * scale, found.x[weights.size :].reshape(bias.shape)
        yield Fits(c, (basis @ weights).reshape(-1, subsets, classes).transpose(1, 0, 2), bias)


def _principal_components(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The features rotated, `[count, rank]`, their mean squares `[rank]`, and the orthonormal basis `[d, rank]`."""
    basis = None
    if features.shape[1] > len(features):
        basis = scipy.linalg.qr(features.T, mode="economic")[0]
        features = features @ basis
    squares, rotation = scipy.linalg.eigh(features.T @ features)
    return (
        features @ rotation, np.maximum(squares, 0) / len(features), rotation if basis is None else basis @ rotation
    )  # fmt: skip
