"""The linear probe: multinomial logistic regression on standardised frozen features, and how its regularisation is chosen."""

import io
import math
import posixpath
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from contracts import files, model_files
from trainer.blocks import blocks, moments, taken
from trainer.logistic_regression import Fits, fit_path

# Most logits that a cross-validation computes at a time, photographs x classes x fits: of five folds 2,000 photographs of 1,000
# classes, or 20,000 of 100. Where there would be more, one division of a part of the photographs tells the candidates apart:
# thousands are held out even so, and five fits of all would take most of an evaluation's time (docs/scale.md).
MOST_LOGITS = 12_000_000
# Most weights of all its fits together, features x classes x fits: the optimiser keeps 25 numbers for each, here 400 MB.
MOST_WEIGHTS = 2_000_000


class Probe(NamedTuple):
    """softmax((features - mean) / scale @ weights + bias).

    mean, scale: `[d]`. weights: `[d, classes]`. bias: `[classes]`. regularisation: the C that was chosen. All float64.
    cross_validated: accuracy of that C in cross-validation, in [0, 1]; None if there was no cross-validation. Recipes are
    compared by it, as it does not use the photographs that are held out for the gate.
    held_out: `[held]` positions, ascending, of the photographs that a fit of the cross-validation did not see, among those that the
    probe was fitted to; held_out_logits: `[held, classes]`, theirs by that fit, with that C. A class's only photograph is never held
    out, and of very many photographs only a part is (MOST_LOGITS). Both None if there was no cross-validation.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    regularisation: float
    cross_validated: float | None
    held_out: np.ndarray | None = None
    held_out_logits: np.ndarray | None = None

    def logits(self, features: np.ndarray) -> np.ndarray:
        """The logarithms of the probabilities, up to a constant, of `[count, d]` features: `[count, classes]`."""
        return ((features - self.mean) / self.scale) @ self.weights + self.bias

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The most probable class of each of `[count, d]` features: `[count]` integers."""
        classes = np.empty(len(features), int)
        for rows in blocks(len(features), max(self.weights.shape)):
            classes[rows] = self.logits(features[rows]).argmax(axis=1)
        return classes

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


def fit_probe(features: np.ndarray, labels: np.ndarray, *, regularisation: tuple[float, ...], folds: int, seed: int) -> Probe:
    """Fits to convergence, with the regularisation that is best in cross-validation on the same photographs.

    A class with a single photograph takes part in every fit and in no fold. Where fewer than two classes have more there is no
    cross-validation, and the middle one of the candidates is taken. Above MOST_LOGITS or MOST_WEIGHTS the candidates are compared by one
    division of a random part of each class: C, the variance of the weights if the penalty is taken as their prior, means the same for any
    number of photographs.

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
    mean, scale = moments(features)
    scale[scale == 0] = 1.0  # a constant feature has no information, and must not cause a division by 0
    # Each block is a thread's, and BLAS's own threads would only wait for each other (benchmarks/linear_evaluation.py).
    with threadpool_limits(1, "blas"):
        return _fitted(_Data(features, labels, mean, scale), sorted(regularisation), folds, seed)


class _Data(NamedTuple):
    """Features `[count, d]` with labels `[count]`, and what standardises them, `[d]` each."""

    features: np.ndarray
    labels: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    def path(self, members: np.ndarray, candidates: Sequence[float], start: Fits | None = None) -> Iterator[Fits]:
        return fit_path(self.features, self.labels, members, candidates, self.mean, self.scale, start)


def _fitted(data: _Data, candidates: list[float], folds: int, seed: int) -> Probe:
    count, classes = len(data.labels), int(data.labels.max()) + 1
    everything = np.ones((1, count), bool)
    held_out = _held_out(data.labels, folds, seed)
    if not len(held_out):
        chosen = candidates[len(candidates) // 2]
        (fits,) = data.path(everything, [chosen])
        return Probe(data.mean, data.scale, fits.weights[0], fits.bias[0], chosen, None)
    fits = classes * (len(held_out) + 1)
    if count * fits <= MOST_LOGITS and min(data.features.shape) * fits <= MOST_WEIGHTS:
        members = np.concatenate([~held_out, everything])
        best, accuracy, logits = _best_of_path(data, members, held_out, candidates, most_worse=len(candidates))
        positions = np.flatnonzero(held_out.any(axis=0))
    else:
        part = labelled_subset(data.labels, min(1.0, MOST_LOGITS / (classes * count)), seed)
        drawn = data._replace(features=taken(data.features, part), labels=data.labels[part])
        held_out = _one_division(drawn.labels, folds, seed)
        best, accuracy, logits = _best_of_path(drawn, ~held_out, held_out, candidates, most_worse=MOST_WORSE)
        (best,) = data.path(everything, [best.c], start=best)
        positions = part[held_out[0]]
    return Probe(data.mean, data.scale, best.weights[-1], best.bias[-1], best.c, accuracy, positions, logits)


# Candidates in a row that are worse than the best of the stronger ones, after which no weaker one is tried, where there is one
# division: accuracy rises with C and falls again, and the fits of the weakest penalties take longest.
MOST_WORSE = 2


def _best_of_path(
    data: _Data, members: np.ndarray, held_out: np.ndarray, candidates: list[float], most_worse: int
) -> tuple[Fits, float, np.ndarray]:
    """The fits of the candidate that is best on what was held out, its accuracy there, and its logits of all that was held out
    anywhere, by position; ties go to the strongest regularisation.

    Args:
      members: `[fits, count]` bool, what each was fitted to; held_out: `[folds, count]` bool, what each of the first was not.
      most_worse: as MOST_WORSE.
    """
    best, best_accuracy, best_logits, worse = None, -1.0, None, 0
    for fits in data.path(members, candidates):
        logits = np.full((len(data.labels), fits.bias.shape[1]), np.nan)
        for mask, weights, bias in zip(held_out, fits.weights, fits.bias):
            held = np.flatnonzero(mask)
            for rows in blocks(len(held), data.features.shape[1]):
                logits[held[rows]] = (data.features[held[rows]] - data.mean) / data.scale @ weights + bias
        right = logits.argmax(axis=1) == data.labels
        accuracy = float(np.mean([np.mean(right[mask]) for mask in held_out]))
        worse = worse + 1 if accuracy < best_accuracy else 0
        if accuracy > best_accuracy:
            best, best_accuracy, best_logits = fits, accuracy, logits
        elif worse == most_worse:
            break
    return best, best_accuracy, best_logits[held_out.any(axis=0)]


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


def _one_division(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Which photographs a single division holds out, `[1, count]` bool: of each class that has several, a fold's share and at
    least one."""
    random = np.random.default_rng(seed)
    mask = np.zeros((1, len(labels)), bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        if len(members) > 1:
            mask[0, members[: max(1, round(len(members) / folds))]] = True
    return mask


def labelled_subset(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Indices of a random share of each class, at least one of each: `[count]` integers, sorted."""
    random = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        chosen.append(random.permutation(members)[: max(1, round(fraction * len(members)))])
    return np.sort(np.concatenate(chosen))
