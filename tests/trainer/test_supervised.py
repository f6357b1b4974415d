"""Supervised training from scratch: its loss by hand, its order, and that it continues as if nothing had happened."""

import dataclasses
import math
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from pipeline_config import ConfigurationError, Supervised
from trainer import supervised
from trainer.monitors import DivergenceError

RECIPE = Supervised(base_learning_rate=0.4)


def train(record_files, settings, folder, *, recipe=RECIPE, steps=6, chosen=range(20), **options):
    return supervised.train(
        [record_files["train"]], np.array(chosen, int), settings, recipe, steps=steps, checkpoint_dir=str(folder), **options
    )


def values(trained):
    return [weight for model in (trained.backbone, trained.classifier) for weight in model.get_weights()]


def test_smoothed_cross_entropy_by_hand():
    # Probabilities 1/2, 1/4, 1/4; with s = 0.3 the target of class 0 is 0.8, 0.1, 0.1 and that of class 2 is 0.1, 0.1, 0.8.
    logits = tf.math.log([[0.5, 0.25, 0.25]] * 2)
    first = 0.8 * math.log(2) + 0.2 * math.log(4)
    second = 0.1 * math.log(2) + 0.9 * math.log(4)
    assert float(supervised.smoothed_cross_entropy(logits, tf.constant([0, 2]), 0.3)) == pytest.approx((first + second) / 2, rel=1e-6)
    plain = supervised.smoothed_cross_entropy(logits, tf.constant([0, 2]), 0.0)
    assert float(plain) == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-6)


def test_only_chosen_photographs_are_seen_and_each_once_a_pass(record_files, settings):
    chosen = np.array([1, 4, 9, 16])
    small = dataclasses.replace(settings, batch_size=2)
    seen = [labels.numpy() for _, _, labels in supervised.batches([record_files["train"]], chosen, small, 2, first=0, count=4)]
    canvases = np.concatenate(
        [part.numpy() for part, _, _ in supervised.batches([record_files["train"]], chosen, small, 2, first=0, count=4)]
    )
    # Two passes over the four, whose labels are 1, 0, 1 and 0.
    assert np.bincount(np.concatenate(seen)).tolist() == [4, 4]
    assert sorted(np.unique(canvases.reshape(8, -1), axis=0, return_counts=True)[1]) == [2, 2, 2, 2]


@pytest.mark.parametrize("megabytes", [100.0, 1e-3])
def test_a_start_in_the_middle_gets_the_batches_that_it_would_have_got(record_files, settings, megabytes):
    small = dataclasses.replace(settings, memory_megabytes=megabytes)

    def take(first, count):
        return [
            part.numpy() for part, _, _ in supervised.batches([record_files["train"]], np.arange(20), small, 8, first=first, count=count)
        ]

    assert np.array_equal(take(3, 3), take(0, 6)[3:])


def test_without_a_scaled_loss_float16_becomes_float32(record_files, settings, tmp_path):
    one, other = (
        train(record_files, dataclasses.replace(settings, precision=precision), tmp_path / precision, steps=1)
        for precision in ("mixed_float16", "float32"))  # fmt: skip
    assert {layer.compute_dtype for layer in one.backbone.layers} == {"float32"}
    assert all(np.array_equal(first, second) for first, second in zip(values(one), values(other), strict=True))


@pytest.mark.slow
def test_it_learns_to_tell_the_classes_apart(record_files, settings, tmp_path):
    progress = []
    done = train(record_files, settings, tmp_path, steps=40, on_progress=lambda *one: progress.append(one))
    views = np.concatenate(
        [part.numpy() for part, _, _ in supervised.batches([record_files["train"]], np.arange(20), settings, 20, first=0, count=1)]
    )
    labels = np.concatenate(
        [part.numpy() for _, _, part in supervised.batches([record_files["train"]], np.arange(20), settings, 20, first=0, count=1)]
    )
    pixels = tf.image.resize(views, (settings.resolution, settings.resolution), antialias=True) / 255.0
    predicted = done.classifier(done.backbone(pixels, training=False)).numpy().argmax(axis=1)
    assert np.mean(predicted == labels) >= 0.9
    assert [step for step, _ in progress] == list(range(1, 41)) and progress[0][1] is None and progress[-1][1] == 0


@pytest.mark.slow
def test_interrupted_it_continues_to_the_same_weights(record_files, settings, tmp_path):
    whole = train(record_files, settings, tmp_path / "whole")

    def interrupt(step, seconds_left):
        del seconds_left
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        train(record_files, settings, tmp_path / "parts", on_progress=interrupt)
    steps = []
    continued = train(record_files, settings, tmp_path / "parts", on_progress=lambda step, _: steps.append(step))
    assert steps == [5, 6] or steps == [4, 5, 6]
    assert all(np.array_equal(one, other) for one, other in zip(values(whole), values(continued), strict=True))
    assert train(record_files, settings, tmp_path / "parts").seconds == continued.seconds  # finished: nothing is trained again


def test_divergence_says_which_rate_to_lower_and_leaves_no_checkpoint(record_files, settings, tmp_path):
    with pytest.raises(DivergenceError, match=r"supervised.base_learning_rate \(it is 1e\+30"):
        train(record_files, settings, tmp_path / "diverged", recipe=dataclasses.replace(RECIPE, base_learning_rate=1e30))
    assert not (tmp_path / "diverged").exists()


def test_one_photograph_is_refused(record_files, settings, tmp_path):
    with pytest.raises(ConfigurationError, match="two labelled photographs at least, got 1"):
        train(record_files, settings, tmp_path, chosen=[3])
