"""Temperature, threshold and calibration error against values worked out by hand or by scikit-learn."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from pipeline_config import ConfigurationError, LinearEval
from trainer import calibration
from trainer.calibration import calibrate, choose_threshold, expected_calibration_error, fit_temperature
from trainer.evaluation import Features, evaluate
from trainer.probe import fit_probe


def drawn(temperature, count=200_000, classes=4, seed=0):
    """Logits, and labels drawn from the probabilities that the logits have at `temperature`."""
    random = np.random.default_rng(seed)
    logits = 3 * random.normal(size=(count, classes))
    cumulative = softmax(logits / temperature, axis=1).cumsum(axis=1)
    return logits, np.minimum((random.random((count, 1)) > cumulative).sum(axis=1), classes - 1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature):
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.02)


def test_the_temperature_by_hand():
    """Odds of 3 : 1 in the data and e : 1 in the logits: (1 / T) must be log 3."""
    logits = np.array([[1.0, 0.0]] * 4)
    assert fit_temperature(logits, np.array([0, 0, 0, 1])) == pytest.approx(1 / np.log(3), rel=1e-4)


def test_the_temperature_is_the_best_of_a_grid_by_scikit_learns_loss():
    logits, labels = drawn(1.7, count=300)
    found = fit_temperature(logits, labels)
    grid = found * np.geomspace(0.5, 2, 41)
    losses = [log_loss(labels, softmax(logits / one, axis=1)) for one in grid]
    assert grid[int(np.argmin(losses))] == pytest.approx(found)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_where_all_are_right_they_are_as_sure_as_so_few_allow(scale):
    """Of 3 that are right the next is right with probability 4 / 5: e^(s/T) / (e^(s/T) + 2) = 4 / 5, so T = s / log 8."""
    found = fit_temperature(scale * np.eye(3), np.array([0, 1, 2]))
    assert found == pytest.approx(scale / np.log(8), rel=1e-3)


def test_the_calibration_error_by_hand():
    """Three of 15 bins: two at 0.9 of which one is right, one at 0.5 that is right, one at 1.0 that is right."""
    confidence, right = np.array([0.9, 0.9, 0.5, 1.0]), np.array([True, False, True, True])
    assert expected_calibration_error(confidence, right) == pytest.approx((2 * abs(0.9 - 0.5) + abs(0.5 - 1) + 0) / 4)


def test_a_probability_on_a_bins_border_belongs_to_the_bin_below():
    """(0, 1/15] holds 1/15: one right and one wrong of the same bin even out, of two bins they would not."""
    confidence, right = np.array([1 / 15, 1 / 15 - 0.01]), np.array([True, False])
    assert expected_calibration_error(confidence, right) == pytest.approx(abs(confidence.sum() - 1) / 2)


def test_probabilities_that_labels_were_drawn_with_have_almost_no_calibration_error():
    logits, labels = drawn(1.0)
    probabilities = softmax(logits, axis=1)
    right = probabilities.argmax(axis=1) == labels
    assert expected_calibration_error(probabilities.max(axis=1), right) < 0.005
    assert expected_calibration_error(softmax(3 * logits, axis=1).max(axis=1), right) > 0.05


def test_the_threshold_is_the_lowest_that_keeps_the_precision():
    """30 right at 0.9, then one wrong at 0.8, 20 right at 0.7, 10 wrong at 0.6: (51 / 53 = 0.962), (51 / 63 = 0.81)."""
    confidence = np.repeat([0.9, 0.8, 0.7, 0.6], [30, 1, 20, 10])
    right = np.repeat([True, False, True, False], [30, 1, 20, 10])
    shuffled = np.random.default_rng(0).permutation(61)
    assert choose_threshold(confidence[shuffled], right[shuffled], 0.95) == 0.7
    assert choose_threshold(confidence[shuffled], right[shuffled], 0.8) == 0.6
    assert choose_threshold(confidence[shuffled], right[shuffled], 0.965) == 0.9
    assert choose_threshold(confidence[shuffled], right[shuffled], 0.98) is None


@pytest.mark.parametrize(("count", "found"), [(17, None), (18, 0.9)])
def test_a_precision_of_95_percent_takes_18_that_are_all_right(count, found):
    assert choose_threshold(np.full(count, 0.9), np.ones(count, bool), 0.95) == found


def test_equal_probabilities_are_sure_together_or_not_at_all():
    confidence, right = np.full(40, 0.9), np.repeat([True, False], [30, 10])
    assert choose_threshold(confidence, right, 0.9) is None


def features(count, noise, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return (2 * np.eye(3)[labels] + noise * random.normal(size=(count, 3))), labels


def test_the_held_out_logits_are_those_of_an_explicit_cross_validation():
    x, labels = features(90, noise=1.0)
    probe = fit_probe(x, labels, regularisation=(0.1,), folds=3, seed=4)
    standardised = (x - x.mean(axis=0)) / x.std(axis=0)
    expected = np.empty((90, 3))
    for fitted, held_out in StratifiedKFold(3, shuffle=True, random_state=4).split(x, labels):
        fold = LogisticRegression(C=0.1, tol=1e-8, max_iter=999).fit(standardised[fitted], labels[fitted])
        expected[held_out] = fold.predict_log_proba(standardised[held_out])
    np.testing.assert_allclose(softmax(probe.held_out_logits, axis=1), np.exp(expected), atol=2e-3)
    assert np.mean(probe.held_out_logits.argmax(axis=1) == labels) == pytest.approx(probe.cross_validated)


def test_calibration_sees_no_photograph_of_eval_and_reports_on_them_with_the_baseline():
    x, labels = features(300, noise=1.0)
    held_out, held_out_labels = features(200, noise=1.0, seed=1)
    nothing = np.random.default_rng(2).normal(size=(500, 3))
    trained = Features(x, labels, held_out, held_out_labels)
    untrained = Features(nothing[:300], labels, nothing[300:], held_out_labels)
    probe, _, report = evaluate(trained, untrained, LinearEval(neighbours=3))
    found = report["calibration"]
    assert found["stated_precision"] == 0.95
    logits = probe.logits(held_out) / found["candidate"]["temperature"]
    confidence, right = softmax(logits, axis=1).max(axis=1), logits.argmax(axis=1) == held_out_labels
    sure = confidence >= found["candidate"]["threshold"]
    assert found["candidate"]["coverage"] == pytest.approx(sure.mean()) and 0 < sure.sum() < 200
    assert found["candidate"]["precision"] == pytest.approx(right[sure].mean())
    assert found["candidate"]["calibration_error"] == pytest.approx(expected_calibration_error(confidence, right))
    # Noise has nothing to be sure of.
    assert found["random_init"]["threshold"] is None
    assert found["random_init"]["coverage"] == 0 and found["random_init"]["precision"] is None
    other = evaluate(Features(x, labels, held_out[::-1], held_out_labels), untrained, LinearEval(neighbours=3))[2]["calibration"]
    assert [other["candidate"][name] for name in ("temperature", "threshold")] == [
        found["candidate"][name] for name in ("temperature", "threshold")]  # fmt: skip


def test_without_cross_validation_there_is_no_calibration_and_the_report_says_so():
    x, labels = features(30, noise=0.1)
    once = np.append(np.flatnonzero(labels == 0), [1, 2])  # one photograph of classes 1 and 2
    probe = fit_probe(x[once], labels[once], regularisation=(0.1,), folds=5, seed=0)
    found = calibrate(probe, labels[once], 0.95)
    assert found == (None, None)
    report = calibration.report(probe, found, x, labels)
    assert report["temperature"] is report["threshold"] is report["calibration_error"] is report["precision"] is None
    assert report["coverage"] == 0 and 0 <= report["uncalibrated_error"] <= 1


def test_a_class_with_a_single_photograph_has_no_part_in_calibration():
    x, labels = features(60, noise=0.1)
    once = np.append(np.flatnonzero(labels != 2), 2)
    probe = fit_probe(x[once], labels[once], regularisation=(0.1,), folds=5, seed=0)
    assert probe.held_out.tolist() == list(range(40))
    assert calibrate(probe, labels[once], 0.8) == calibrate(probe, labels[once][:-1], 0.8)
    assert calibrate(probe, labels[once], 0.8).temperature > 0


@pytest.mark.parametrize("precision", [0, 1, 95])
def test_a_precision_that_no_one_can_reach_is_refused(precision):
    with pytest.raises(ConfigurationError, match="linear_eval.precision must be between 0 and 1, both excluded"):
        LinearEval(precision=precision)
