"""The linear probe: multinomial logistic regression on standardised frozen features.

Cross-validation fits several subsets of the same photographs together, so that they share matrix products: one wide product for
all is many times as fast as a narrow one for each (benchmarks/linear_evaluation.py).
"""

import io
import math
import posixpath
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize
from scipy.special import softmax
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from contracts import files, model_files

# Largest entry of the gradient of the mean loss at which a fit counts as converged (scikit-learn's default for the same).
TOLERANCE = 1e-4
# Far above what standardised features need; reaching it is an error, not a result.
MAX_ITERATIONS = 5000
# Curvature of the loss of one photograph, p (1 - p), about where fits end; it only preconditions the optimiser.
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
    each divided by the square root of its curvature. The rotation is exact: it changes neither penalty nor minimum. If there are
    more features than photographs, there are only as many components as photographs.

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


class Probe(NamedTuple):
    """softmax((features - mean) / scale @ weights + bias).

    mean, scale: `[d]`. weights: `[d, classes]`. bias: `[classes]`. regularisation: the C that was chosen. All float64.
    cross_validated: accuracy of that C in cross-validation, in [0, 1]; None if there was no cross-validation. Recipes are
    compared by it, as it does not use the photographs that are held out for the gate.
    held_out_logits: `[count, classes]`, of each photograph that the probe was fitted to by the fit of the cross-validation that
    did not see it, with that C; NaN for the photograph of a class that has no other, which every fit sees; None if there was no
    cross-validation.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    regularisation: float
    cross_validated: float | None
    held_out_logits: np.ndarray | None = None

    def logits(self, features: np.ndarray) -> np.ndarray:
        """The logarithms of the probabilities, up to a constant, of `[count, d]` features: `[count, classes]`."""
        return ((features - self.mean) / self.scale) @ self.weights + self.bias

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The most probable class of each of `[count, d]` features: `[count]` integers."""
        return self.logits(features).argmax(axis=1)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """The probability of each class for each of `[count, d]` features: `[count, classes]` in [0, 1]."""
        return softmax(self.logits(features), axis=1)

    def accuracy(self, features: np.ndarray, labels: np.ndarray) -> float:
        """Share of `[count, d]` features whose predicted class is their label."""
        return float(np.mean(self.predict(features) == labels))


def load_probe(directory: str) -> Probe:
    """The probe that trainer.export.export_probe wrote; in float32, as it is served, and without what is known of its fit.

    Raises:
      FileNotFoundError: the directory has no PROBE_ARRAYS.
    """
    with files.opened(posixpath.join(directory, model_files.PROBE_ARRAYS)) as file:
        archive = io.BytesIO(file.read())
    with np.load(archive, allow_pickle=False) as arrays:
        linear = {name: arrays[name] for name in ("mean", "scale", "weights", "bias")}
    return Probe(**linear, regularisation=math.nan, cross_validated=None)


def fit_probe(
    features: np.ndarray, labels: np.ndarray, *, regularisation: tuple[float, ...], folds: int, seed: int
) -> Probe:
    """Fits to convergence, with the regularisation that is best in cross-validation on the same photographs.

    A class with a single photograph takes part in every fit and in no fold. Where fewer than two classes have more there is no
    cross-validation, and the middle one of the candidates is taken.

    Args:
      features: `[count, d]`.
      labels: `[count]` integers, every class from 0 to classes - 1 at least once.
      regularisation: candidates for C, the inverse strength of the L2 penalty.
      folds: of the stratified cross-validation; fewer if the smallest class in it has fewer members.
      seed: of the division into folds.

    Raises:
      ValueError: a class has no member.
      RuntimeError: a fit did not converge.
    """
    counts = np.bincount(labels)
    if len(counts) < 2 or counts.min() == 0:
        raise ValueError(f"the probe needs at least two classes, each with a labelled photograph; got counts {counts.tolist()}")
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0  # a constant feature has no information, and must not cause a division by 0
    # These products take longer on several threads than on one, more so beside other work (benchmarks/linear_evaluation.py).
    with threadpool_limits(1, "blas"):
        fitted = _fit((features - mean) / scale, labels, sorted(regularisation), _held_out(labels, folds, seed))
    return Probe(mean, scale, *fitted)


def _held_out(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Which photographs each fold holds out, `[folds, count]` bool; none of a class's only one; no fold where none can be made."""
    counts = np.bincount(labels)
    several = np.flatnonzero(counts[labels] > 1)
    sizes = counts[counts > 1]
    if len(sizes) < 2:
        return np.zeros((0, len(labels)), bool)
    division = StratifiedKFold(min(folds, int(sizes.min())), shuffle=True, random_state=seed).split(several, labels[several])
    held_out = [several[fold] for _, fold in division]
    masks = np.zeros((len(held_out), len(labels)), bool)
    for mask, fold in zip(masks, held_out):
        mask[fold] = True
    return masks


def _fit(
    features: np.ndarray, labels: np.ndarray, candidates: list[float], held_out: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, float | None, np.ndarray | None]:
    """Weights, bias, C, accuracy and held-out logits of the candidate that is best in cross-validation; ties go to the strongest
    regularisation."""
    everything = np.ones((1, len(labels)), bool)
    if not len(held_out):
        chosen = candidates[len(candidates) // 2]
        (fits,) = fit_path(features, labels, everything, [chosen])
        return fits.weights[0], fits.bias[0], chosen, None, None
    best, best_accuracy, best_logits = None, -1.0, None
    for fits in fit_path(features, labels, np.concatenate([~held_out, everything]), candidates):
        logits = np.full((len(labels), fits.bias.shape[1]), np.nan)
        for mask, weights, bias in zip(held_out, fits.weights, fits.bias):
            logits[mask] = features[mask] @ weights + bias
        right = logits.argmax(axis=1) == labels
        accuracy = np.mean([np.mean(right[mask]) for mask in held_out])
        if accuracy > best_accuracy:
            best, best_accuracy, best_logits = (fits.weights[-1], fits.bias[-1], fits.c), accuracy, logits
    return *best, float(best_accuracy), best_logits


def labelled_subset(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Indices of a random share of each class, at least one of each: `[count]` integers, sorted."""
    random = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        chosen.append(random.permutation(members)[: max(1, round(fraction * len(members)))])
    return np.sort(np.concatenate(chosen))
