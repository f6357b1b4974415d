import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from trainer import simsiam
from trainer.simsiam import build_simsiam, loss_and_gradients, train_step, update
from trainer.views import random_view


@pytest.fixture
def two_views():
    random = np.random.default_rng(2)
    return [tf.constant(random.uniform(size=(8, 16, 16, 3)), tf.float32) for _ in range(2)]


def arrays(variables):
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize("times", [1, 2], ids=["two views", "four views"])
def test_running_statistics_are_those_of_each_view_in_turn(settings, two_views, times):
    model = build_simsiam(settings)
    loss_and_gradients(model, *two_views * times)
    stem = model.backbone.get_layer("stem_norm")
    means = []
    for view in two_views:
        x = model.backbone.get_layer("standardize")(view)
        means.append(model.backbone.get_layer("stem_conv")(x).numpy().mean((0, 1, 2)))
    expected = 0.0
    for mean in means * times:
        expected = 0.9 * expected + 0.1 * mean
    np.testing.assert_allclose(stem.moving_mean.numpy(), expected, atol=1e-5)


def test_without_the_predictor_path_nothing_reaches_the_target(settings, two_views):
    """The gradient equals that of a loss whose targets are constants computed beforehand."""
    model = build_simsiam(settings)
    _, _, gradients = loss_and_gradients(model, *two_views)
    targets = [model.projector(model.backbone(view, training=True), training=True).numpy() for view in two_views]
    with tf.GradientTape() as tape:
        loss = 0.0
        for view, target in zip(two_views, reversed(targets)):
            p = model.predictor(model.projector(model.backbone(view, training=True), training=True), training=True)
            cosine = tf.reduce_sum(tf.math.l2_normalize(p, 1) * tf.math.l2_normalize(target, 1), 1)
            loss -= tf.reduce_mean(cosine) / 2
    expected = tape.gradient(loss, (model.encoder_variables, model.predictor_variables))
    for ours, theirs in zip(tf.nest.flatten(gradients), tf.nest.flatten(expected)):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_every_weight_has_a_gradient_and_momentum_of_its_shape(settings, two_views):
    model = build_simsiam(settings)
    _, _, gradients = loss_and_gradients(model, *two_views)
    for variables, slot, accumulators in zip(
        (model.encoder_variables, model.predictor_variables), gradients, (model.encoder_momentum, model.predictor_momentum)
    ):
        assert [v.shape for v in variables] == [g.shape for g in slot] == [a.shape for a in accumulators]


def test_the_encoders_rate_decays_and_the_predictors_does_not(settings):
    model = build_simsiam(dataclasses.replace(settings, weight_decay=0.0, momentum=0.0))
    ones = tuple([tf.ones_like(v) for v in group] for group in (model.encoder_variables, model.predictor_variables))
    before = arrays(model.encoder_variables), arrays(model.predictor_variables)
    update(model, ones, tf.constant(75), steps=100, settings=dataclasses.replace(settings, weight_decay=0.0, momentum=0.0))
    rate = 0.2 * 8 / 256
    for old, new in zip(before[0], arrays(model.encoder_variables)):
        np.testing.assert_allclose(old - new, rate * 0.1464466, atol=1e-6)  # (1 + cos(0.75 pi)) / 2
    for old, new in zip(before[1], arrays(model.predictor_variables)):
        np.testing.assert_allclose(old - new, rate, atol=1e-6)


def test_training_lowers_the_loss_of_fixed_views(settings, two_views):
    model = build_simsiam(settings)
    losses = []
    for step in range(12):
        loss, _, gradients = loss_and_gradients(model, *two_views)
        update(model, gradients, tf.constant(0), steps=100, settings=dataclasses.replace(settings, base_learning_rate=1.0))
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.1


def test_a_step_is_determined_by_seed_and_step(settings, photographs):
    results = []
    for step in (4, 4, 5):
        model = build_simsiam(settings)
        batch = photographs.canvases[:8], photographs.aspects[:8]
        loss, _, _ = train_step(model, *batch, tf.constant(step), steps=10, settings=settings)
        results.append((float(loss), arrays(model.all_variables)))
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-6)
    for a, b in zip(results[0][1], results[1][1]):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert abs(results[0][0] - results[2][0]) > 1e-6


@pytest.mark.parametrize("view_count", [2, 4])
def test_a_step_in_a_graph_gives_the_same_bits_every_time(settings, photographs, view_count):
    """Heads of this width have gradients that Grappler would sum in the order in which they arrive."""
    settings = dataclasses.replace(settings, view_count=view_count, projector_layers=3, projector_width=2048, predictor_width=512)
    batch = photographs.canvases[:8], photographs.aspects[:8]
    model = build_simsiam(settings)
    step = tf.function(lambda number: train_step(model, *batch, number, steps=10, settings=settings), autograph=False)
    start, results = arrays(model.all_variables), set()
    for _ in range(20):
        for variable, value in zip(model.all_variables, start):
            variable.assign(value)
        loss, _, projections = step(tf.constant(0))
        results.add((float(loss), projections.numpy().tobytes(), *(value.tobytes() for value in arrays(model.all_variables))))
    assert len(results) == 1


def test_the_views_of_a_step_are_as_many_as_the_setting_says_and_all_others_than_the_next_steps(settings, photographs, monkeypatch):
    settings = dataclasses.replace(settings, view_count=3)
    batch = photographs.canvases[:8], photographs.aspects[:8]
    seeds, learned_from = [], []

    def watched_view(canvases, aspects, seed, *rest):
        seeds.append(tuple(seed.numpy()))
        return random_view(canvases, aspects, seed, *rest)

    def watched_loss(model, *views):
        learned_from.append(views)
        return loss_and_gradients(model, *views)

    monkeypatch.setattr(simsiam, "random_view", watched_view)
    monkeypatch.setattr(simsiam, "loss_and_gradients", watched_loss)
    model = build_simsiam(settings)
    for step in (0, 1):
        train_step(model, *batch, tf.constant(step), steps=10, settings=settings)
    assert [len(views) for views in learned_from] == [3, 3] and len(set(seeds)) == 6
    for views in learned_from:
        assert len({view.numpy().tobytes() for view in views}) == 3


def test_momentum_and_statistics_are_part_of_what_a_checkpoint_keeps(settings):
    model = build_simsiam(settings)
    kept = {id(variable) for variable in model.all_variables}
    for network in (model.backbone, model.projector, model.predictor):
        assert {id(weight.value) for weight in network.variables} <= kept
    assert {id(v) for v in model.encoder_momentum + model.predictor_momentum} <= kept
