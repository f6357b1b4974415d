"""Accuracy over labels, against scikit-learn; which labels are drawn; what a run does with it."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline_config import ConfigurationError, LinearEval
from trainer.evaluation import Features, evaluate, settings_from_json
from trainer.label_curve import accuracies, draws, points, spread

# One regularisation: nothing is chosen, so that another library can be compared with.
SETTINGS = LinearEval(regularisation=(0.1,), folds=2, neighbours=3, label_fractions=(0.05, 0.25, 1.0), label_draws=3, seed=4)


@pytest.fixture(scope="module")
def features():
    """Three classes that overlap: 120 photographs to train, 90 to evaluate."""
    random = np.random.default_rng(0)
    labels, eval_labels = np.arange(120) % 3, np.arange(90) % 3
    centres = random.normal(size=(3, 8))
    train, held_out = (centres[some] + 1.5 * random.normal(size=(len(some), 8)) for some in (labels, eval_labels))
    return Features(train.astype(np.float32), labels, held_out.astype(np.float32), eval_labels)


def test_draws_are_shares_of_each_class_and_larger_ones_contain_smaller_ones(features):
    few, some, everything = draws(features.train_labels, SETTINGS)
    assert [len(one) for one in (few, some, everything)] == [3, 3, 1]
    for one, two in zip(few, some, strict=True):
        assert np.bincount(features.train_labels[one]).tolist() == [2, 2, 2] and set(one) <= set(two)
        assert np.bincount(features.train_labels[two]).tolist() == [10, 10, 10]
    assert len({tuple(one) for one in few}) == 3
    assert everything[0].tolist() == list(range(120))


def test_of_few_labels_each_class_keeps_one():
    labels = np.repeat([0, 1], [30, 3])
    assert [np.bincount(labels[one[0]]).tolist() for one in draws(labels, SETTINGS)] == [[2, 1], [8, 1], [30, 3]]


def test_every_accuracy_is_that_of_scikit_learn_on_the_same_labels(features):
    reached = accuracies(features.train, features.train_labels, features.eval, features.eval_labels, SETTINGS)
    for chosen_of_fraction, of_fraction in zip(draws(features.train_labels, SETTINGS), reached, strict=True):
        for chosen, ours in zip(chosen_of_fraction, of_fraction, strict=True):
            x, labels = features.train[chosen].astype(np.float64), features.train_labels[chosen]
            mean, scale = x.mean(0), x.std(0)
            fitted = LogisticRegression(C=0.1, max_iter=9999, tol=1e-8).fit((x - mean) / scale, labels)
            # The optimisers stop at slightly different places, which may turn one of the 90 photographs.
            assert ours == pytest.approx(fitted.score((features.eval - mean) / scale, features.eval_labels), abs=1.5 / 90)
    assert np.mean(reached[0]) < np.mean(reached[2])


def test_equal_draws_and_known_accuracies_are_not_fitted_again(features, monkeypatch):
    fitted = []

    def fit(chosen, labels, **options):
        fitted.append(len(chosen))
        return type("Probe", (), {"accuracy": lambda self, *held_out: len(chosen) / 100})()

    monkeypatch.setattr("trainer.label_curve.fit_probe", fit)
    settings = LinearEval(label_fractions=(0.001, 0.01, 1.0), label_draws=2)
    reached = accuracies(features.train, features.train_labels, features.eval, features.eval_labels, settings, with_all=0.77)
    assert fitted == [3, 3]  # a label a class for both shares: two draws
    assert reached == [[0.03, 0.03], [0.03, 0.03], [0.77]]


def test_a_spread_is_mean_and_sample_deviation():
    # Deviations from the mean 0.5: -0.1, 0, 0.1; the sum of squares 0.02 over 2.
    assert spread([0.4, 0.5, 0.6]) == {"mean": pytest.approx(0.5), "deviation": pytest.approx(0.1), "draws": [0.4, 0.5, 0.6]}
    assert spread([0.7]) == {"mean": 0.7, "deviation": None, "draws": [0.7]}


def test_points_name_the_labels_and_the_networks(features):
    reached = [[0.1, 0.2, 0.3], [0.4, 0.4, 0.4], [0.5]]
    found = points(features.train_labels, {"candidate": reached}, SETTINGS)
    assert [(point["fraction"], point["labels"], point["candidate"]["mean"]) for point in found] == [
        (0.05, 6, pytest.approx(0.2)), (0.25, 30, pytest.approx(0.4)), (1.0, 120, 0.5)]  # fmt: skip


def test_the_report_has_the_curve_of_both_networks_and_its_ends_are_the_figures_beside_it(features):
    settings = LinearEval(regularisation=(0.01, 0.1), folds=2, neighbours=3, label_draws=2)
    noise = np.random.default_rng(1).normal(size=features.train.shape).astype(np.float32)
    untrained = Features(noise, features.train_labels, noise[:90], features.eval_labels)
    _, _, report = evaluate(features, untrained, settings)
    curve = report["label_curve"]
    assert [point["fraction"] for point in curve] == [0.01, 0.05, 0.1, 0.25, 1.0]
    assert curve[-1]["candidate"]["draws"] == [report["top1"]] and curve[-1]["random_init"]["draws"] == [report["random_init_top1"]]
    # The first draw is that of the figure with 10 % of the labels.
    assert (curve[2]["candidate"]["draws"][0], curve[2]["labels"]) == (report["top1_at_10_percent_labels"], report["few_labels"])
    assert curve[2]["random_init"]["draws"][0] == report["random_init_top1_at_10_percent_labels"]
    assert all(point["champion"] is None for point in curve)
    assert curve[-1]["candidate"]["mean"] > curve[-1]["random_init"]["mean"]


def test_one_label_of_a_class_is_told_once(features, caplog):
    labels = np.array([0] * 4 + [1] * 4 + [2])
    few = Features(features.train[:9], labels, features.eval, features.eval_labels)
    evaluate(few, few, LinearEval(folds=2, neighbours=3, label_draws=2))
    assert caplog.text.count("1 of 3 classes have one labelled photograph") == 1


def test_settings_come_back_from_json_and_are_checked():
    assert settings_from_json(json.loads(json.dumps(dataclasses.asdict(SETTINGS)))) == SETTINGS
    for shares in ((0.1, 2.0), (0.0, 0.5), (0.5, 0.1), ()):
        with pytest.raises(ConfigurationError, match="linear_eval.label_fractions must be one or more growing numbers between 0"):
            LinearEval(label_fractions=shares)
    with pytest.raises(ConfigurationError, match="linear_eval.label_draws must be between 1 and 1,000, got 0"):
        LinearEval(label_draws=0)
