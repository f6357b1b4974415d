"""Accuracy over labels: what a probe on frozen features reaches with a part of the train labels, over several draws of them.

Each draw is a random share of each class, and its probe is fitted as a run that had only these labels would fit it: standardised
and cross-validated inside the draw. A regularisation that was chosen with all labels would tell it something that its own labels do
not. All networks get the same draws, and a larger draw contains the smaller ones, so that the curves differ by the networks alone.
"""

import numpy as np

from pipeline_config import LinearEval
from trainer.blocks import taken
from trainer.probe import fit_probe, labelled_subset


def draws(labels: np.ndarray, settings: LinearEval) -> list[list[np.ndarray]]:
    """For each of settings.label_fractions, positions in `labels` `[count]` of each draw, sorted; all labels are a single draw."""
    seeds = range(settings.seed, settings.seed + settings.label_draws)
    return [
        [labelled_subset(labels, fraction, seed) for seed in (seeds if fraction < 1 else seeds[:1])]
        for fraction in settings.label_fractions
    ]


def accuracies(
    train: np.ndarray, train_labels: np.ndarray, held_out: np.ndarray, held_out_labels: np.ndarray, settings: LinearEval,
    with_all: float | None = None,
) -> list[list[float]]:  # fmt: skip
    """Accuracy on `held_out` by each draw of each fraction, in [0, 1].

    Args:
      train, held_out: features by one network, `[count, d]`.
      train_labels, held_out_labels: `[count]` integers from 0; every class is in `train_labels`.
      with_all: accuracy by all labels, if that is known already.
    """
    options = {"regularisation": settings.regularisation, "folds": settings.folds, "seed": settings.seed}
    # By what was drawn: with few photographs several fractions are one label a class, which is fitted once.
    reached = {} if with_all is None else {np.arange(len(train_labels)).tobytes(): with_all}

    def accuracy(chosen: np.ndarray) -> float:
        key = chosen.tobytes()
        if key not in reached:
            reached[key] = fit_probe(taken(train, chosen), train_labels[chosen], **options).accuracy(held_out, held_out_labels)
        return reached[key]

    return [[accuracy(chosen) for chosen in of_fraction] for of_fraction in draws(train_labels, settings)]


def spread(reached: list[float]) -> dict:
    """`mean`, standard `deviation` (None of a single draw) and the accuracies of the `draws`."""
    return {
        "mean": float(np.mean(reached)),
        "deviation": float(np.std(reached, ddof=1)) if len(reached) > 1 else None,
        "draws": reached,
    }


def points(train_labels: np.ndarray, networks: dict[str, list[list[float]]], settings: LinearEval) -> list[dict]:
    """The curve, a point a fraction: `fraction`, `labels` (how many these are), and for each network its `spread`.

    Args:
      networks: `accuracies` by the network's name.
    """
    drawn = zip(settings.label_fractions, draws(train_labels, settings), strict=True)
    return [
        {"fraction": fraction, "labels": len(chosen[0])} | {name: spread(reached[position]) for name, reached in networks.items()}
        for position, (fraction, chosen) in enumerate(drawn)
    ]
