"""The metrics of the gate, as TFMA metrics: accuracy, macro F1, cross-entropy, confusion matrix, pairs with the candidate.

Accuracy and F1 are computed from counts, never from rounded averages, so that they are exact and independent of how Beam shards
and batches the eval split. (TFMA's own CategoricalCrossEntropy is not: its merge counts the first accumulator twice, and Keras
metrics accumulate in float32.)
"""

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_util, multi_class_confusion_matrix_metrics

ACCURACY = "accuracy"
MACRO_F1 = "macro_f1"
CROSS_ENTROPY = "cross_entropy"
CONFUSION_MATRIX = "confusion_matrix"
# Photographs that the first model names correctly and this one does not, the other way round, and both.
ONLY_FIRST, ONLY_THIS, BOTH = PAIRS = ("only_first_correct", "only_this_correct", "both_correct")

# Below any probability, so that TFMA takes the most probable class as the prediction however small its probability is.
EVERY_PREDICTION = -1.0
# Smallest probability that cross-entropy takes the logarithm of, as in Keras: one certain mistake costs 16.1, not infinity.
SMALLEST_PROBABILITY = 1e-7


def counts_to_accuracy(counts: np.ndarray) -> float:
    """Share of the diagonal of a [classes, classes] matrix of counts (rows: true class); NaN if it is empty."""
    total = counts.sum()
    return float(np.trace(counts) / total) if total else float("nan")


def counts_to_macro_f1(counts: np.ndarray) -> float:
    """Unweighted mean over classes of F1 = 2 TP / (2 TP + FP + FN), from a [classes, classes] matrix (rows: true class).

    A class that is neither present nor predicted has no F1 and is left out, as in scikit-learn; NaN if no class is left.
    """
    true_positives = np.diag(counts)
    denominators = counts.sum(axis=0) + counts.sum(axis=1)
    occurs = denominators > 0
    return float(np.mean(2 * true_positives[occurs] / denominators[occurs])) if occurs.any() else float("nan")


def _counts(matrices, classes: int) -> np.ndarray:
    counts = np.zeros((classes, classes))
    for (actual, predicted), examples in matrices[EVERY_PREDICTION].items():
        if not 0 <= actual < classes:
            raise ValueError(f"labels of the eval split must be the probe's, 0 to {classes - 1}, got {actual}")
        counts[actual, predicted] += examples
    return counts


class ConfusionCounts(tfma.metrics.Metric):
    """Accuracy, macro F1 and the confusion matrix, all from the same counts."""

    def __init__(self, classes: int, name: str = CONFUSION_MATRIX):
        """`classes`: number of the probe's classes."""
        super().__init__(metric_util.merge_per_key_computations(_confusion_counts), classes=classes, name=name)


def _confusion_counts(classes, name=CONFUSION_MATRIX, eval_config=None, model_name="", output_name="", example_weighted=False):
    matrices = multi_class_confusion_matrix_metrics.multi_class_confusion_matrices(
        thresholds=[EVERY_PREDICTION], eval_config=eval_config, model_name=model_name, output_name=output_name,
        example_weighted=example_weighted)  # fmt: skip
    source = matrices[-1].keys[-1]
    accuracy, macro_f1, matrix = (
        tfma.metrics.MetricKey(name=key, model_name=model_name, output_name=output_name, example_weighted=example_weighted)
        for key in (ACCURACY, MACRO_F1, name)
    )

    def result(metrics):
        counts = _counts(metrics[source], classes)
        return {accuracy: counts_to_accuracy(counts), macro_f1: counts_to_macro_f1(counts), matrix: metrics[source]}

    return [*matrices, tfma.metrics.DerivedMetricComputation(keys=[accuracy, macro_f1, matrix], result=result)]


class CrossEntropy(tfma.metrics.Metric):
    """Mean of -log(probability of the true class), in nats; at least 0, log(classes) for a random guess."""

    def __init__(self, name: str = CROSS_ENTROPY):
        super().__init__(metric_util.merge_per_key_computations(_cross_entropy), name=name)


def _cross_entropy(name=CROSS_ENTROPY, eval_config=None, model_name="", output_name="", example_weighted=False):
    key = tfma.metrics.MetricKey(name=name, model_name=model_name, output_name=output_name, example_weighted=example_weighted)
    return [tfma.metrics.MetricComputation(keys=[key], preprocessors=None, combiner=_MeanCrossEntropy(key, eval_config))]


class _MeanCrossEntropy(beam.CombineFn):
    """Sums of (cross-entropy in float64, examples), over one example at a time."""

    def __init__(self, key, eval_config):
        self._key = key
        self._eval_config = eval_config

    def create_accumulator(self):
        return 0.0, 0

    def add_input(self, accumulator, element):
        label, probabilities, _ = next(metric_util.to_label_prediction_example_weight(
            element, eval_config=self._eval_config, model_name=self._key.model_name, output_name=self._key.output_name,
            flatten=False))  # fmt: skip
        probability = float(probabilities[int(label.item())])
        # np.maximum, not max(): it keeps NaN, which the gate must see.
        return accumulator[0] - np.log(np.maximum(probability, SMALLEST_PROBABILITY)), accumulator[1] + 1

    def merge_accumulators(self, accumulators):
        sums, examples = zip(*accumulators, strict=True)
        return sum(sums), sum(examples)

    def extract_output(self, accumulator):
        total, examples = accumulator
        return {self._key: float(total / examples) if examples else float("nan")}


class PairedCounts(tfma.metrics.Metric):
    """PAIRS: what this model and another of the same evaluation name correctly, photograph by photograph."""

    def __init__(self, first: str, name: str = "pairs"):
        """`first`: name of the other model."""
        super().__init__(metric_util.merge_per_key_computations(_paired_counts), first=first, name=name)


def _paired_counts(first, name="pairs", eval_config=None, model_name="", output_name="", example_weighted=False):
    del name
    keys = [
        tfma.metrics.MetricKey(name=key, model_name=model_name, output_name=output_name, example_weighted=example_weighted) for key in PAIRS
    ]
    return [tfma.metrics.MetricComputation(keys=keys, preprocessors=None, combiner=_CountPairs(first, keys, eval_config))]


class _CountPairs(beam.CombineFn):
    """Numbers of examples in the order of PAIRS, over one example at a time."""

    def __init__(self, first, keys, eval_config):
        self._first = first
        self._keys = keys
        self._eval_config = eval_config

    def create_accumulator(self):
        return 0, 0, 0

    def add_input(self, accumulator, element):
        first, this = (self._correct(element, name) for name in (self._first, self._keys[0].model_name))
        return tuple(
            count + int(found) for count, found in zip(accumulator, (first and not this, this and not first, first and this), strict=True)
        )

    def _correct(self, element, model_name):
        label, probabilities, _ = next(metric_util.to_label_prediction_example_weight(
            element, eval_config=self._eval_config, model_name=model_name, output_name=self._keys[0].output_name,
            flatten=False))  # fmt: skip
        return int(np.argmax(probabilities)) == int(label.item())

    def merge_accumulators(self, accumulators):
        return tuple(map(sum, zip(*accumulators, strict=True)))

    def extract_output(self, accumulator):
        return dict(zip(self._keys, map(float, accumulator), strict=True))


tfma.metrics.metric_types.register_metric(ConfusionCounts)
tfma.metrics.metric_types.register_metric(CrossEntropy)
tfma.metrics.metric_types.register_metric(PairedCounts)
