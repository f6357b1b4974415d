"""Linear evaluation of one backbone: the probe, its figures with the random-init baseline, and predictions for the run's page."""

import dataclasses
import logging

import numpy as np

from pipeline_config import LinearEval
from trainer import calibration, label_curve
from trainer.blocks import taken
from trainer.features import knn_accuracy, nearest, normalize
from trainer.probe import Probe, fit_probe, labelled_subset

log = logging.getLogger(__name__)


def settings_from_json(values: dict) -> LinearEval:
    """A LinearEval section from its JSON, validated like any other."""
    return LinearEval(**values | {name: tuple(values[name]) for name in ("regularisation", "label_fractions")})


@dataclasses.dataclass(frozen=True)
class Features:
    """Features of both splits by one network: `[count, d]` float32, labels `[count]` integers."""

    train: np.ndarray
    train_labels: np.ndarray
    eval: np.ndarray
    eval_labels: np.ndarray


def evaluate(trained: Features, untrained: Features, settings: LinearEval) -> tuple[Probe, Probe, dict]:
    """Fits the probes on the train split and measures them on the eval split, on which nothing is chosen.

    Args:
      trained: features by the pre-trained backbone.
      untrained: features by the same network with its initial weights, for the random-init baseline.

    Returns:
      The probe, the random-init baseline's probe, and the report that becomes linear_eval.json (shares are in [0, 1]).
    """
    options = {"regularisation": settings.regularisation, "folds": settings.folds, "seed": settings.seed}
    probe = fit_probe(trained.train, trained.train_labels, **options)
    random_init = fit_probe(untrained.train, untrained.train_labels, **options)
    if probe.cross_validated is None:
        log.warning(
            "Fewer than two classes have two labelled photographs: no cross-validation; the probe's regularisation is %g",
            probe.regularisation,
        )
    elif alone := int(np.sum(np.bincount(trained.train_labels) == 1)):
        log.warning("%d of %d classes have one labelled photograph, which takes no part in cross-validation", alone,
                    probe.bias.size)  # fmt: skip
    few = labelled_subset(trained.train_labels, settings.label_fraction, settings.seed)

    def knn(features):
        queries = (features.eval, features.eval_labels)
        return knn_accuracy(features.train, features.train_labels, settings.neighbours, queries)

    top1 = {"candidate": probe.accuracy(trained.eval, trained.eval_labels),
            "random_init": random_init.accuracy(untrained.eval, untrained.eval_labels)}  # fmt: skip
    curves = {
        name: label_curve.accuracies(one.train, one.train_labels, one.eval, one.eval_labels, settings, with_all=top1[name])
        for name, one in (("candidate", trained), ("random_init", untrained))
    }

    def with_few(name, features):
        if settings.label_fraction in settings.label_fractions:  # the first draw of that share
            return curves[name][settings.label_fractions.index(settings.label_fraction)][0]
        fitted = fit_probe(taken(features.train, few), features.train_labels[few], **options)
        return fitted.accuracy(features.eval, features.eval_labels)

    def calibrated(fitted, features):
        chosen = calibration.calibrate(fitted, features.train_labels, settings.precision)
        return calibration.report(fitted, chosen, features.eval, features.eval_labels)

    return probe, random_init, {
        "top1": top1["candidate"],
        "knn_top1": knn(trained),
        "random_init_top1": top1["random_init"],
        "random_init_knn_top1": knn(untrained),
        "top1_at_10_percent_labels": with_few("candidate", trained),
        "random_init_top1_at_10_percent_labels": with_few("random_init", untrained),
        "few_labels": len(few),
        "regularisation": probe.regularisation,
        "random_init_regularisation": random_init.regularisation,
        "cross_validated_top1": probe.cross_validated,
        "random_init_cross_validated_top1": random_init.cross_validated,
        "train_top1": probe.accuracy(trained.train, trained.train_labels),
        # The champion's, where there is one, is added by whoever knows it.
        "label_curve": [point | {"champion": None} for point in label_curve.points(trained.train_labels, curves, settings)],
        "calibration": {
            "stated_precision": settings.precision,
            "candidate": calibrated(probe, trained),
            "random_init": calibrated(random_init, untrained),
        },
    }  # fmt: skip


# Photographs whose embeddings are kept: more would be unreadable on a page, and 1,000 of 2,048 features take 4 MB.
EMBEDDINGS = 1000
# Most rows of the gallery, and pictures in each.
QUERIES = 8
NEIGHBOURS = 6


def predictions(probe: Probe, features: Features, temperature: float | None) -> dict[str, np.ndarray]:
    """The arrays of contracts.model_files.PREDICTIONS.

    Queries are the first eval photograph of each class, of at most QUERIES classes spread evenly over all. Records are sorted by
    content hash, so that the first ones are a random sample.

    Args:
      temperature: of `calibration.calibrate`; None: there is none, and probabilities are the probe's own.
    """
    predicted, (confidence,) = calibration.confidences(probe, features.eval, (temperature or 1.0,))
    _, first_of_class = np.unique(features.eval_labels, return_index=True)
    spread = np.linspace(0, len(first_of_class) - 1, min(QUERIES, len(first_of_class))).round().astype(int)
    query = first_of_class[spread]
    neighbour, similarity = nearest(features.train, features.eval[query], NEIGHBOURS)
    return {
        "label": features.eval_labels.astype(np.int32),
        "predicted": predicted.astype(np.int32),
        "confidence": confidence.astype(np.float32),
        "embedding": normalize(features.eval[:EMBEDDINGS]).astype(np.float16),
        "query": query.astype(np.int32),
        "neighbour": neighbour.astype(np.int32),
        "similarity": similarity.astype(np.float32),
    }
