import types

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from trainer import blocks, logistic_regression, probe
from trainer.logistic_regression import fit_path
from trainer.probe import fit_probe, labelled_subset

CANDIDATES = (0.01, 0.1, 1.0)


def data(classes=3, count=240, noise=1.0, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return random.normal(size=(classes, 6))[labels] * 2 + noise * random.normal(size=(count, 6)) + 5, labels


@pytest.mark.parametrize("classes", [2, 3])
def test_reaches_the_minimum_that_an_independent_optimiser_finds(classes):
    features, labels = data(classes)
    probe = fit_probe(features, labels, regularisation=(0.1,), folds=2, seed=0)
    x = (features - features.mean(0)) / features.std(0)

    def objective(flat):
        weights, bias = flat[: 6 * classes].reshape(6, classes), flat[6 * classes :]
        logits = x @ weights + bias
        log_probability = logits - scipy.special.logsumexp(logits, axis=1, keepdims=True)
        return -0.1 * log_probability[np.arange(len(x)), labels].sum() + 0.5 * (weights**2).sum()

    best = scipy.optimize.minimize(objective, np.zeros(7 * classes), method="BFGS", options={"gtol": 1e-4})
    ours = objective(np.concatenate([probe.weights.ravel(), probe.bias]))
    assert ours <= best.fun * 1.0001


def test_standardises_by_the_train_split():
    features, labels = data()
    probe = fit_probe(features, labels, regularisation=(0.1,), folds=2, seed=0)
    np.testing.assert_allclose(probe.mean, features.mean(0))
    scaled = fit_probe(features * [1, 10, 100, 1, 1, 0.1] + 3, labels, regularisation=(0.1,), folds=2, seed=0)
    np.testing.assert_allclose(scaled.weights, probe.weights, atol=1e-3)


def test_the_chosen_regularisation_is_the_best_of_an_explicit_cross_validation():
    features, labels = data(count=90, noise=5.0)
    features = np.hstack([features, np.random.default_rng(1).normal(size=(90, 60))])
    candidates = (1e-4, 1e-2, 1.0, 100.0)
    x = (features - features.mean(0)) / features.std(0)
    scores = []
    for candidate in candidates:
        folds = StratifiedKFold(5, shuffle=True, random_state=0).split(x, labels)
        hits = [LogisticRegression(C=candidate, max_iter=9999).fit(x[a], labels[a]).score(x[b], labels[b]) for a, b in folds]
        scores.append(np.mean(hits))
    assert len(set(scores)) > 1
    probe = fit_probe(features, labels, regularisation=candidates, folds=5, seed=0)
    assert probe.regularisation == candidates[int(np.argmax(scores))]
    assert probe.cross_validated == pytest.approx(max(scores))


@pytest.mark.parametrize("count, features", [(90, 20), (60, 100)])
def test_fitting_all_folds_together_gives_the_fits_of_each_alone(count, features, monkeypatch):
    """Against scikit-learn, one subset and one C at a time, with fewer features than photographs and with more; both to the end."""
    monkeypatch.setattr(logistic_regression, "TOLERANCE", 1e-7)
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    x = random.normal(size=(count, features)) * np.geomspace(3, 0.01, features) + random.normal(size=(3, features))[labels] * 0.3
    members = random.random((3, count)) < 0.7
    for fits in fit_path(x, labels, members, (0.01, 1.0)):
        for subset, weights, bias in zip(members, fits.weights, fits.bias):
            reference = LogisticRegression(C=fits.c, max_iter=9999, tol=1e-8).fit(x[subset], labels[subset])
            np.testing.assert_allclose(weights, reference.coef_.T, atol=1e-3 * np.abs(reference.coef_).max())
            np.testing.assert_allclose(bias, reference.intercept_, atol=1e-3)


def test_a_fit_that_does_not_converge_is_an_error_that_names_the_setting(monkeypatch):
    monkeypatch.setattr(logistic_regression, "MAX_ITERATIONS", 2)
    features, labels = data(noise=5.0)
    with pytest.raises(RuntimeError, match="did not converge in . iterations at C = 0.01.*linear_eval.regularisation"):
        fit_probe(features, labels, regularisation=CANDIDATES, folds=5, seed=0)


def test_cross_validation_lets_go_where_the_signal_is_clear():
    """A feature that only matters in one direction out of a large common one needs large weights."""
    random = np.random.default_rng(0)
    labels = np.arange(300) % 2
    common = random.normal(size=300)
    features = np.stack([common, common + 0.05 * (2 * labels - 1)], axis=1)
    assert fit_probe(features, labels, regularisation=(1e-4, 1e3), folds=5, seed=0).regularisation == 1e3


def test_of_equal_candidates_the_strongest_wins():
    features, labels = data(noise=0.01)
    assert fit_probe(features, labels, regularisation=(1.0, 0.1, 10.0), folds=5, seed=0).regularisation == 0.1


def test_a_feature_that_never_varies_does_no_harm():
    features, labels = data()
    features = np.hstack([features, np.full((len(features), 1), 7.0)])
    probe = fit_probe(features, labels, regularisation=CANDIDATES, folds=3, seed=0)
    assert np.isfinite(probe.weights).all() and probe.accuracy(features, labels) > 0.8


def test_a_class_with_a_single_photograph_leaves_cross_validation_to_the_others():
    """That photograph is seen by every fit and held out by none, so that the others choose as they would without the class."""
    features, labels = data()
    alone = int(labels.max()) + 1
    features, labels = np.vstack([features, features[:1] + 30]), np.append(labels, alone)
    probe = fit_probe(features, labels, regularisation=CANDIDATES, folds=5, seed=0)
    assert probe.cross_validated > 0.6 and probe.bias.size == alone + 1
    assert probe.held_out.tolist() == list(range(len(labels) - 1)) and np.isfinite(probe.held_out_logits).all()
    x = (features - features.mean(axis=0)) / features.std(axis=0)
    folds, right = StratifiedKFold(5, shuffle=True, random_state=0).split(x[:-1], labels[:-1]), []
    for fitted, held_out in folds:
        fit = LogisticRegression(C=probe.regularisation, max_iter=9999).fit(x[[*fitted, -1]], labels[[*fitted, -1]])
        right.append(fit.score(x[held_out], labels[held_out]))
    assert probe.cross_validated == pytest.approx(np.mean(right), abs=0.011)


@pytest.mark.parametrize("labels", [(0, 0, 0, 0, 0, 1, 2), (0, 1, 2, 3, 4, 5, 6)])
def test_where_fewer_than_two_classes_have_two_photographs_there_is_no_cross_validation(labels):
    features, _ = data(count=7)
    probe = fit_probe(features, np.array(labels), regularisation=CANDIDATES, folds=5, seed=0)
    assert probe.cross_validated is None and probe.regularisation == 0.1


def test_a_class_without_members_is_refused():
    with pytest.raises(ValueError, match=r"\[2, 0, 2\]"):
        fit_probe(np.zeros((4, 2)), np.array([0, 0, 2, 2]), regularisation=CANDIDATES, folds=2, seed=0)


def test_few_labels_are_the_asked_share_of_each_class():
    labels = np.repeat([0, 1, 2], [100, 50, 4])
    chosen = labelled_subset(labels, 0.1, 0)
    np.testing.assert_array_equal(np.bincount(labels[chosen]), [10, 5, 1])
    assert len(set(chosen)) == 16


def many(classes=12, each=40, features=16, seed=0):
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(classes * each) % classes)
    return (random.normal(size=(classes, features))[labels] + random.normal(size=(len(labels), features))).astype(np.float32), labels


@pytest.mark.parametrize(("block", "double", "tolerance"), [(1 << 12, 1 << 24, 1e-5), (1 << 9, 1 << 24, 1e-5), (1 << 12, 0, 1e-2)])
def test_neither_blocks_nor_threads_nor_single_precision_change_a_fit(block, double, tolerance, monkeypatch):
    features, labels = many()
    members = np.random.default_rng(1).random((2, len(labels))) < 0.7
    monkeypatch.setattr(logistic_regression, "TOLERANCE", 1e-7 if double else 1e-5)
    whole = list(fit_path(features.astype(float), labels, members, (0.01, 1.0)))
    monkeypatch.setattr(blocks, "BLOCK", block)
    monkeypatch.setattr(logistic_regression, "DOUBLE", double)
    in_blocks = []
    for count in (1, 3):
        monkeypatch.setattr(logistic_regression, "cores", lambda count=count: count)
        in_blocks.append(list(fit_path(features.astype(float), labels, members, (0.01, 1.0))))
    for expected, one, other in zip(whole, *in_blocks, strict=True):
        assert (one.weights == other.weights).all() and (one.bias == other.bias).all()
        np.testing.assert_allclose(one.weights, expected.weights, atol=tolerance * np.abs(expected.weights).max())


def test_very_many_weights_are_fitted_with_less_memory_to_the_same_minimum(monkeypatch):
    features, labels = many()
    members = np.ones((1, len(labels)), bool)
    monkeypatch.setattr(logistic_regression, "TOLERANCE", 1e-7)
    monkeypatch.setattr(blocks, "BLOCK", 1 << 9)
    (expected,) = fit_path(features.astype(float), labels, members, (0.1,))
    asked, minimize = [], scipy.optimize.minimize
    monkeypatch.setattr(logistic_regression, "MOST_KEPT", 16 * 12 * 11)  # 2 x 3 + 5 numbers of each weight
    monkeypatch.setattr(
        scipy.optimize, "minimize", lambda *given, **named: asked.append(named["options"]["maxcor"]) or minimize(*given, **named)
    )
    (fitted,) = fit_path(features.astype(float), labels, members, (0.1,))
    assert asked == [3]
    np.testing.assert_allclose(fitted.weights, expected.weights, atol=1e-5 * np.abs(expected.weights).max())


@pytest.mark.parametrize(("weights", "corrections", "sums"), [
    (2_000_000, 10, 16), (2_100_000, 9, 16), (5_000_000, 3, 10), (100_000_000, 3, 1)])  # fmt: skip
def test_the_memory_of_a_fit_is_bounded_by_its_weights(weights, corrections, sums):
    assert logistic_regression.kept(weights) == (corrections, sums)


def test_where_logits_would_be_too_many_one_division_chooses_and_all_photographs_are_fitted(monkeypatch):
    features, labels = many()
    expected = fit_probe(features, labels, regularisation=(0.001, 0.1), folds=5, seed=0)
    monkeypatch.setattr(probe, "MOST_LOGITS", 12 * 300)  # of 480 photographs, five folds and the fit of all
    found = fit_probe(features, labels, regularisation=(0.001, 0.1), folds=5, seed=0)
    assert found.regularisation == expected.regularisation == 0.1
    np.testing.assert_allclose(found.weights, expected.weights, atol=0.02)  # both of all photographs, to the same tolerance
    # A fifth of 300 drawn photographs is held out, of every class alike; the others were fitted, and none of those held out.
    assert np.bincount(labels[found.held_out]).tolist() == [5] * 12 and len(set(found.held_out)) == 60
    drawn = labelled_subset(labels, 300 / 480, 0)
    assert set(found.held_out) < set(drawn)
    fitted = np.setdiff1d(drawn, found.held_out)
    mean, scale = features.mean(axis=0, dtype=float), features.std(axis=0, dtype=float)
    alone = LogisticRegression(C=0.1, max_iter=9999, tol=1e-8).fit((features[fitted] - mean) / scale, labels[fitted])
    logits = alone.decision_function((features[found.held_out] - mean) / scale)
    assert np.mean(found.held_out_logits.argmax(axis=1) == logits.argmax(axis=1)) > 0.95
    assert found.cross_validated == pytest.approx(np.mean(found.held_out_logits.argmax(axis=1) == labels[found.held_out]))
    again = fit_probe(features, labels, regularisation=(0.001, 0.1), folds=5, seed=0)
    assert (again.weights == found.weights).all()


def test_one_division_holds_out_one_of_two_and_none_of_one(monkeypatch):
    features, _ = many()
    labels = np.array([0] * 20 + [1] * 20 + [2, 2, 3])
    monkeypatch.setattr(probe, "MOST_WEIGHTS", 1)
    held_out = fit_probe(features[:43], labels, regularisation=CANDIDATES, folds=5, seed=0).held_out
    assert np.bincount(labels[held_out], minlength=4).tolist() == [4, 4, 1, 0]


def test_weaker_penalties_are_not_tried_once_two_in_a_row_were_worse():
    """Of ten held-out photographs five are of class 0, three of 1, two of 2: a fit that always says one class has that accuracy."""
    labels, tried = np.repeat([0, 1, 2], [5, 3, 2]), []

    def path(members, candidates):
        for c, always in zip(candidates, (2, 0, 1, 0, 1, 2, 0), strict=True):
            tried.append(c)
            yield logistic_regression.Fits(c, np.zeros((1, 1, 3)), np.eye(3)[[always]])

    data = types.SimpleNamespace(features=np.zeros((10, 1)), labels=labels, mean=0.0, scale=1.0, path=path)
    held_out = np.ones((1, 10), bool)
    best, accuracy, logits = probe._best_of_path(data, ~held_out, held_out, [1, 2, 3, 4, 5, 6, 7], most_worse=2)
    assert (best.c, accuracy, logits.shape) == (2, 0.5, (10, 3))
    assert tried == [1, 2, 3, 4, 5, 6]  # the fourth is as good as the second
