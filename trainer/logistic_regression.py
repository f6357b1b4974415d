"""Multinomial logistic regression on features: several subsets of the same photographs at once, block by block, on every core.

Several subsets share matrix products: one wide product for all is many times as fast as a narrow one for each
(benchmarks/linear_evaluation.py). Blocks do not depend on the number of cores, and their sums are added in a fixed order, so that
the fits do not depend on it either.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize

from contracts.cores import cores
from trainer.blocks import Rows, blocks

# Largest entry of the gradient of the mean loss at which a fit counts as converged (scikit-learn's default for the same).
TOLERANCE = 1e-4
# Far above what standardised features need; reaching it is an error, not a result.
MAX_ITERATIONS = 5000
# Curvature of the loss of one photograph, p (1 - p), about where fits end; it only preconditions the optimiser.
CURVATURE = 0.1
# More features in all, 128 MB in double precision, are kept and multiplied in single precision, in half the memory and time. Its
# seven digits are far finer than TOLERANCE; what is summed over all blocks is double in either case.
DOUBLE = 1 << 24
# Sums that are made at the same time, and so the most cores that are used; each of them takes memory like the weights.
SUMS = 16
# L-BFGS keeps 2 numbers for each of its corrections and 5 more of every weight (scipy's lbfgsb). It has 10 corrections, scipy's default,
# and down to 3, the fewest with which Nocedal and Wright ("Numerical Optimization", 7.2) find it satisfactory, where these would be more
# than so many numbers, 400 MB; then fewer sums are made at the same time, too.
CORRECTIONS = (3, 10)
MOST_KEPT = 50_000_000


class Fits(NamedTuple):
    """The fits of all subsets with one C: weights `[subsets, d, classes]`, bias `[subsets, classes]`."""

    c: float
    weights: np.ndarray
    bias: np.ndarray


def fit_path(
    features: np.ndarray, labels: np.ndarray, members: np.ndarray, candidates: Sequence[float], mean: np.ndarray | float = 0.0,
    scale: np.ndarray | float = 1.0, start: Fits | None = None,
) -> Iterator[Fits]:  # fmt: skip
    """For each C of `candidates`, in that order, and each subset, the minimum over weights w and bias b of

        C * sum over the subset of -log softmax(x w + b)[label] + sum(w^2) / 2,    x = (features - mean) / scale

    Each C starts from the fits of the one before. The optimiser is L-BFGS in the basis of the features' principal components,
    each divided by the square root of its curvature. The rotation is exact: it changes neither penalty nor minimum. If there are
    more features than photographs, there are only as many components as photographs.

    Args:
      features: `[count, d]`.
      labels: `[count]` integers from 0.
      members: `[subsets, count]` bool.
      candidates: inverse strengths of the L2 penalty.
      mean, scale: `[d]` float64, by which features are standardised.
      start: where the first C starts; at 0 if it is not given.

    Raises:
      RuntimeError: no convergence in MAX_ITERATIONS.
    """
    count, subsets, classes = len(features), len(members), int(labels.max()) + 1
    with ThreadPoolExecutor(cores()) as threads:
        components, variances, basis = _principal_components(features, mean, scale, threads)
        rank, dtype = components.shape[1], components.dtype
        corrections, sums = kept(rank * subsets * classes)
        member = members.T.astype(dtype)
        every = blocks(count, max(rank, subsets * classes))

        def mean_loss(flat, c, scale):
            """Of all subsets together, and its gradient, at weights divided by `scale`."""
            weights = flat[: rank * subsets * classes].reshape(rank, -1) * scale
            bias = flat[rank * subsets * classes :].reshape(subsets, classes)
            rounded, shift = weights.astype(dtype, copy=False), bias.astype(dtype, copy=False)

            def of_block(rows):
                block = components[rows]
                at, of = np.arange(len(block)), labels[rows]
                logits = (block @ rounded).reshape(len(block), subsets, classes)
                logits += shift
                logits -= logits.max(axis=2, keepdims=True)
                of_truth = logits[at, :, of]
                probabilities = np.exp(logits, out=logits)
                total = probabilities.sum(axis=2)
                loss = ((np.log(total) - of_truth) * member[rows]).sum(dtype=np.float64)
                probabilities /= total[:, :, None]
                probabilities[at, :, of] -= 1
                error = np.multiply(probabilities, member[rows][:, :, None], out=probabilities)
                error /= count
                return [loss, block.T @ error.reshape(len(block), -1), error.sum(axis=0, dtype=np.float64)]

            loss, products, error = _summed(of_block, every, threads, sums)
            gradient = (products + weights / (c * count)) * scale
            loss = loss / count + (weights**2).sum() / (2 * c * count)
            return loss, np.concatenate([gradient.ravel(), error.ravel()])

        weights, bias = np.zeros((rank, subsets * classes)), np.zeros((subsets, classes))
        if start is not None:
            weights, bias = basis.T @ start.weights.transpose(1, 0, 2).reshape(len(basis), -1), start.bias
        for c in candidates:
            scale_of = 1 / np.sqrt(CURVATURE * variances + 1 / (c * count))[:, None]
            found = scipy.optimize.minimize(
                mean_loss, np.concatenate([(weights / scale_of).ravel(), bias.ravel()]), args=(c, scale_of), jac=True,
                method="L-BFGS-B", options={"gtol": TOLERANCE, "ftol": 0, "maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS,
                                            "maxcor": corrections})  # fmt: skip
            if not found.success and np.abs(found.jac).max() > TOLERANCE:
                raise RuntimeError(
                    f"the probe did not converge in {found.nit} iterations at C = {c:g} ({found.message}); drop the largest of "
                    "linear_eval.regularisation"
                )
            weights, bias = found.x[: weights.size].reshape(weights.shape) * scale_of, found.x[weights.size :].reshape(bias.shape)
            yield Fits(c, (basis @ weights).reshape(-1, subsets, classes).transpose(1, 0, 2), bias)


def kept(weights: int) -> tuple[int, int]:
    """Corrections of the optimiser, and sums at the same time, for as many weights."""
    least, most = CORRECTIONS
    return max(least, min(most, (MOST_KEPT // weights - 5) // 2)), max(1, min(SUMS, MOST_KEPT // weights))


def _summed(function: Callable[[slice], list], every: list[slice], threads: ThreadPoolExecutor, sums: int = SUMS) -> list:
    """The sums of the numbers and arrays that `function` returns for each block."""

    def of_some(some: list[slice]) -> list:
        return _added(map(function, some))

    share = -(-len(every) // sums)
    groups = [every[first : first + share] for first in range(0, len(every), share)]
    return _added(threads.map(of_some, groups) if len(groups) > 1 else map(of_some, groups))


def _added(found: Iterator[list]) -> list:
    total = next(found)
    for one in found:
        for position, value in enumerate(one):
            total[position] += value
    return total


def _principal_components(
    features: np.ndarray, mean: np.ndarray | float, scale: np.ndarray | float, threads: ThreadPoolExecutor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The standardised features rotated, `[count, rank]`, their mean squares `[rank]`, and the orthonormal basis `[d, rank]`."""
    count, width = features.shape
    if width > count:
        standardised = (features - mean) / scale
        basis = scipy.linalg.qr(standardised.T, mode="economic")[0]
        features, mean, scale = standardised @ basis, 0.0, 1.0
    else:
        basis = None
    every = blocks(*features.shape)

    def standardised_block(rows):
        return (features[rows] - mean) / scale

    def squares_of(rows):
        block = standardised_block(rows)
        return [block.T @ block]

    squares, rotation = scipy.linalg.eigh(_summed(squares_of, every, threads)[0])
    dtype = np.float64 if features.size <= DOUBLE else np.float32
    rotated = Rows()
    for rows in every:
        rotated.add((standardised_block(rows) @ rotation).astype(dtype, copy=False))
    return rotated.array(), np.maximum(squares, 0) / count, rotation if basis is None else basis @ rotation
