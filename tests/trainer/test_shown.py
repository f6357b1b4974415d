"""What both trainers leave for the run's page: views of a few photographs, predictions, embeddings and neighbours."""

import dataclasses

import numpy as np
import pytest

from pipeline_config import Views
from trainer.evaluation import EMBEDDINGS, NEIGHBOURS, QUERIES, Features, predictions
from trainer.pretrain import SHOWN, SHOWN_VIEWS, shown_views
from trainer.probe import fit_probe


def test_the_shown_views_are_those_of_training(record_files, settings):
    # A distribution with nothing random in it: both views are the whole photograph, as the canvas shows it.
    still = dataclasses.replace(settings, canvas_scale=1.0, views=Views(
        min_area=1.0, max_aspect=1.0, flip_probability=0, jitter_probability=0, grey_probability=0,
        blur_probability=0))  # fmt: skip
    arrays = shown_views([record_files["train"]], still)
    side = still.resolution
    assert arrays["photographs"].shape == (SHOWN, side, side, 3) and arrays["views"].shape == (2, SHOWN, side, side, 3)
    assert arrays["photographs"].dtype == arrays["views"].dtype == np.uint8
    for view in arrays["views"]:
        assert np.abs(view.astype(int) - arrays["photographs"]).max() <= 1
    again, other = (shown_views([record_files["train"]], dataclasses.replace(settings, seed=seed))["views"] for seed in (0, 1))
    assert (again == shown_views([record_files["train"]], dataclasses.replace(settings, seed=0))["views"]).all()
    assert (again[0] != again[1]).any() and (again != other).any()


def test_as_many_views_are_shown_as_training_makes_and_have_room(record_files, settings):
    for made, shown in ((3, 3), (SHOWN_VIEWS + 2, SHOWN_VIEWS)):
        views = shown_views([record_files["train"]], dataclasses.replace(settings, view_count=made))["views"]
        assert len(views) == shown and len({view.tobytes() for view in views}) == shown


@pytest.fixture(scope="module")
def features():
    """Twelve classes, each around a corner of its own, in train and eval."""
    random = np.random.default_rng(0)
    labels, eval_labels = np.tile(np.arange(12), 6), np.tile(np.arange(12), 100)
    noise = [random.normal(size=(len(some), 12)) * 0.2 for some in (labels, eval_labels)]
    corners = np.eye(12)
    return Features((corners[labels] + noise[0]).astype(np.float32), labels,
                    (corners[eval_labels] + noise[1]).astype(np.float32), eval_labels)  # fmt: skip


def test_predictions_are_the_probe_s_for_every_photograph_and_samples_are_capped(features):
    probe = fit_probe(features.train, features.train_labels, regularisation=(1.0,), folds=2, seed=0)
    arrays = predictions(probe, features, None)
    assert np.mean(arrays["label"] == arrays["predicted"]) == probe.accuracy(features.eval, features.eval_labels)
    own = probe.probabilities(features.eval)
    assert arrays["confidence"] == pytest.approx(own.max(axis=1))
    # p^(1/T), normalised: what dividing logits by T = 2 makes of probabilities.
    roots = np.sqrt(own)
    calibrated = predictions(probe, features, 2.0)
    assert calibrated["confidence"] == pytest.approx((roots / roots.sum(axis=1, keepdims=True)).max(axis=1), rel=1e-5)
    assert (calibrated["predicted"] == arrays["predicted"]).all()
    assert arrays["embedding"].shape == (EMBEDDINGS, 12)
    assert np.linalg.norm(arrays["embedding"].astype(np.float32), axis=1) == pytest.approx(1, abs=1e-2)
    assert len(set(features.eval_labels[arrays["query"]])) == QUERIES
    assert arrays["neighbour"].shape == arrays["similarity"].shape == (QUERIES, NEIGHBOURS)
    # Corners are far apart, so that the neighbours are of the query's class.
    assert (features.train_labels[arrays["neighbour"]] == features.eval_labels[arrays["query"]][:, None]).mean() > 0.9
    assert (np.diff(arrays["similarity"], axis=1) <= 0).all()
