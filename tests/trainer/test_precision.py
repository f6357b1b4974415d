"""What computes in short numbers, what stays float32, and the scaling of the loss; XLA against plain graphs."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from trainer import loop, precision
from trainer.backbones import build_backbone
from trainer.optimizer import GROWTH_STEPS, INITIAL, LossScale
from trainer.simsiam import build_simsiam, loss_and_gradients, train_step, update


@pytest.fixture
def two_views():
    random = np.random.default_rng(2)
    return [tf.constant(random.uniform(size=(8, 16, 16, 3)), tf.float32) for _ in range(2)]


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("stem", ["small", "imagenet"])
def test_the_backbone_computes_in_short_numbers_between_float32_pixels_and_features(precision, stem):
    network = build_backbone("small", width=4, stem=stem, resolution=16, seed=0, precision=precision)
    short = precision.removeprefix("mixed_")
    float32 = {"pixels", "standardize", "pool"}
    assert {layer.name for layer in network.layers if layer.compute_dtype == "float32"} == float32
    assert {layer.compute_dtype for layer in network.layers} == {"float32", short}
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert network(tf.zeros([2, 16, 16, 3]), training=True).dtype == tf.float32


@pytest.mark.parametrize("precision, tolerance", [("mixed_bfloat16", 0.03), ("mixed_float16", 0.005)])
def test_short_numbers_change_the_loss_within_their_precision_only(settings, two_views, precision, tolerance):
    """8 bits of bfloat16 are a relative error of 0.4 %, 11 of float16 0.05 %, some layers of it."""
    exact, _, _ = loss_and_gradients(build_simsiam(settings), *two_views)
    model = build_simsiam(dataclasses.replace(settings, precision=precision))
    loss, z, gradients = loss_and_gradients(model, *two_views)
    assert float(loss) == pytest.approx(float(exact), abs=tolerance) and float(loss) != float(exact)
    assert loss.dtype == z.dtype == tf.float32 and {g.dtype for g in tf.nest.flatten(gradients)} == {tf.float32}


def test_gradients_of_a_scaled_loss_are_those_of_the_loss(settings, two_views):
    model = build_simsiam(dataclasses.replace(settings, precision="mixed_float16"))
    scaled = tf.nest.flatten(loss_and_gradients(model, *two_views)[2])
    plain = tf.nest.flatten(loss_and_gradients(model._replace(loss_scale=None), *two_views)[2])
    largest = max(float(tf.reduce_max(tf.abs(gradient))) for gradient in plain)
    for one, other in zip(scaled, plain):
        np.testing.assert_allclose(one, other, atol=0.01 * largest)


def test_an_overflow_moves_no_weight_and_halves_the_scale(settings, two_views):
    settings = dataclasses.replace(settings, precision="mixed_float16")
    model = build_simsiam(settings)
    _, _, gradients = loss_and_gradients(model, *two_views)
    gradients[0][0] = gradients[0][0] * np.inf
    before = [variable.numpy() for variable in model.encoder_variables + model.encoder_momentum]
    update(model, gradients, tf.constant(0), steps=10, settings=settings)
    for old, variable in zip(before, model.encoder_variables + model.encoder_momentum):
        np.testing.assert_array_equal(old, variable.numpy())
    assert model.loss_scale.scale.numpy() == INITIAL / 2 and model.loss_scale.good_steps.numpy() == 0


def test_the_scale_doubles_after_enough_steps_without_overflow():
    scale = LossScale()
    scale.good_steps.assign(GROWTH_STEPS - 2)
    for expected in (INITIAL, 2 * INITIAL, 2 * INITIAL):
        assert scale.adapt([tf.ones(3)])
        assert scale.scale.numpy() == expected
    assert scale.good_steps.numpy() == 1


def test_the_scale_is_part_of_what_a_checkpoint_keeps(settings):
    model = build_simsiam(dataclasses.replace(settings, precision="mixed_float16"))
    kept = {id(variable) for variable in model.all_variables}
    assert {id(model.loss_scale.scale), id(model.loss_scale.good_steps)} <= kept


# XLA compiles for seconds.
@pytest.mark.slow
def test_a_compiled_step_equals_a_plain_one(settings, photographs):
    results = []
    for xla in (False, True):
        chosen = dataclasses.replace(settings, xla=xla)
        model = build_simsiam(chosen)
        step = tf.function(lambda c, a, n: train_step(model, c, a, n, steps=10, settings=chosen))
        losses = [float(step(photographs.canvases[:8], photographs.aspects[:8], tf.constant(n))[0]) for n in range(3)]
        results.append((losses, [variable.numpy() for variable in model.all_variables]))
    np.testing.assert_allclose(results[1][0], results[0][0], atol=1e-5)
    for plain, compiled in zip(results[0][1], results[1][1]):
        np.testing.assert_allclose(compiled, plain, atol=1e-4)


@pytest.mark.parametrize("bfloat16, expected", [
    (0.10, "mixed_bfloat16"), (0.95, "mixed_bfloat16"), (0.96, "float32"), (1.0, "float32"), (20.0, "float32")])  # fmt: skip
def test_the_faster_precision_is_chosen_and_float32_where_there_is_little_between_them(bfloat16, expected):
    """A step of one second in float32; 1 / 1.05 is 0.952."""
    assert precision.faster({"float32": 1.0, "mixed_bfloat16": bfloat16}) == expected


def test_auto_trains_in_what_was_measured_to_be_faster_and_a_resumed_run_in_what_it_began_with(
    photographs, settings, tmp_path, monkeypatch
):
    automatic = dataclasses.replace(settings, precision="auto", epochs=1)
    arguments = {"checkpoint_dir": str(tmp_path / "c"), "log_dir": str(tmp_path), "neighbours": 3}
    monkeypatch.setattr(precision, "seconds_a_step", lambda *_: {"float32": 2.0, "mixed_bfloat16": 1.0})
    first = loop.pretrain(photographs, automatic, **arguments)
    assert first.settings == dataclasses.replace(automatic, precision="mixed_bfloat16")
    assert first.report["precision"] == "mixed_bfloat16"
    assert first.model.backbone.get_layer("stem_conv").compute_dtype == "bfloat16"
    # A machine on which it is slower.
    monkeypatch.setattr(precision, "seconds_a_step", lambda *_: {"float32": 1.0, "mixed_bfloat16": 9.0})
    again = loop.pretrain(photographs, automatic, **arguments)
    assert again.report["resumed_from_step"] == first.report["steps"] and again.report["precision"] == "mixed_bfloat16"
    assert loop.pretrain(photographs, automatic, **arguments | {"checkpoint_dir": str(tmp_path / "d")}).report["precision"] == "float32"


def test_networks_are_not_built_before_a_precision_is_chosen(settings):
    with pytest.raises(ValueError, match="pretrain.precision is auto"):
        build_simsiam(dataclasses.replace(settings, precision="auto"))


def test_steps_are_timed_on_real_batches_in_each_precision(photographs, settings):
    seconds = precision.seconds_a_step(dataclasses.replace(settings, precision="auto"), photographs, together=2)
    assert set(seconds) == {"float32", "mixed_bfloat16"} and all(0 < one < 60 for one in seconds.values())
