import dataclasses
import logging
import os
import re
import signal
import types

import numpy as np
import pytest

from pipeline_config import ConfigurationError, Pretrain
from trainer import checkpoints as checkpoints_module
from trainer import loop
from trainer.loop import pretrain
from trainer.monitors import CollapseError, DivergenceError
from trainer.pretrain import layers_of
from trainer.simsiam import build_simsiam


def run(photographs, settings, tmp_path, name="run"):
    return pretrain(photographs, settings, checkpoint_dir=str(tmp_path / name), log_dir=str(tmp_path / "logs"), neighbours=3)


def weights(result):
    return [variable.numpy() for variable in result.model.all_variables]


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def kill_after(monkeypatch, saves):
    """Ends the run right after its checkpoint number `saves`."""
    original, count = checkpoints_module.Checkpoints.save, [0]

    def save(self):
        original(self)
        count[0] += 1
        if count[0] == saves:
            raise Killed

    monkeypatch.setattr(checkpoints_module.Checkpoints, "save", save)


# Inside an epoch; at its end and in the next one are slow, as each trains twice.
@pytest.mark.parametrize("saves", [2, *(pytest.param(saves, marks=pytest.mark.slow) for saves in (3, 4))])
def test_a_killed_run_continues_to_the_same_weights(photographs, settings, tmp_path, monkeypatch, saves):
    """28 photographs in batches of 8 are 3 steps an epoch; a checkpoint follows each step, so 2 and 4 lie inside an epoch."""
    whole = run(photographs, settings, tmp_path, "whole")
    with monkeypatch.context() as patch:
        kill_after(patch, saves)
        with pytest.raises(Killed):
            run(photographs, settings, tmp_path)
    resumed = run(photographs, settings, tmp_path)
    assert resumed.report["resumed_from_step"] == saves
    assert resumed.report["steps"] == whole.report["steps"] == 6
    for a, b in zip(weights(whole), weights(resumed)):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_ends_training_after_its_step_and_nothing_of_it_is_lost(photographs, settings, tmp_path, monkeypatch, how):
    """No checkpoint is due by time: the only one is that of the interruption, after the step in which the signal came."""
    settings = dataclasses.replace(settings, checkpoint_seconds=1e6)
    whole = run(photographs, settings, tmp_path, "whole")
    original = loop.Clock.tick

    def tick(self, steps):
        original(self, steps)
        if self.checkpoints.step == 2:
            os.kill(os.getpid(), how)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Clock, "tick", tick)
        with pytest.raises(KeyboardInterrupt):
            run(photographs, settings, tmp_path)
    resumed = run(photographs, settings, tmp_path)
    assert resumed.report["resumed_from_step"] == 2 and resumed.report["steps"] == 6
    for a, b in zip(weights(whole), weights(resumed)):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_what_steps_measured_is_the_same_however_seldom_it_is_looked_at(photographs, settings, tmp_path, monkeypatch):
    """Three steps an epoch: the first is looked at alone, as it is no measure of speed, then two at once, then the next epoch's."""
    each = run(photographs, settings, tmp_path, "each").report["history"]
    looks, original = [], loop.Clock.tick

    def tick(self, steps):
        looks.append(steps)
        original(self, steps)

    monkeypatch.setattr(loop, "steps_ahead", lambda: 8)
    monkeypatch.setattr(loop.Clock, "tick", tick)
    seldom = run(photographs, settings, tmp_path, "seldom").report["history"]
    assert looks == [1, 2, 3]
    for one, other in zip(seldom, each, strict=True):
        speed = {"images_per_second": None}
        assert one | speed == pytest.approx(other | speed, abs=1e-5)


@pytest.mark.parametrize("cost, seconds, due", [(0.0, 15, True), (0.9, 15, True), (1.1, 15, False), (9.0, 0, True)])
def test_checkpoints_take_a_twentieth_of_the_time_at_most(settings, monkeypatch, cost, seconds, due):
    """20 seconds after the last one: 0.9 seconds of writing ask for 18 seconds between two, 1.1 for 22; 0 seconds ask for all."""
    saved = []
    checkpoints = types.SimpleNamespace(cost=cost, are_finite=lambda: True, save=lambda: saved.append(True))
    clock = loop.Clock(dataclasses.replace(settings, checkpoint_seconds=seconds), checkpoints, steps=3)
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock.last_save + 20)
    clock.save()
    assert bool(saved) == due


def test_a_finished_run_is_not_trained_again(photographs, settings, tmp_path):
    first = run(photographs, settings, tmp_path)
    again = run(photographs, settings, tmp_path)
    assert again.report["history"] == first.report["history"]
    for a, b in zip(weights(first), weights(again)):
        np.testing.assert_array_equal(a, b)


def test_the_report_holds_every_epoch(photographs, settings, tmp_path):
    report = run(photographs, settings, tmp_path).report
    assert [entry["epoch"] for entry in report["history"]] == [1, 2]
    assert [entry["step"] for entry in report["history"]] == [3, 6]
    assert report["final_loss"] == report["history"][-1]["loss"]
    assert all(0 <= entry["knn_train_top1"] <= 1 for entry in report["history"])
    assert report["history"][-1]["learning_rate"] == pytest.approx(0, abs=1e-9)
    assert report["images_per_second"] == pytest.approx(6 * 8 / report["seconds"])


def test_the_network_is_described_layer_by_layer():
    settings = Pretrain(backbone="resnet18", width=64, stem="imagenet", resolution=64, projector_layers=1, projector_width=8,
                        predictor_width=4)  # fmt: skip
    network = layers_of(build_simsiam(settings))
    convolutions = [layer for layer in network["backbone"] if layer["kind"] == "Conv2D"]
    # ResNet-18: a stem, 16 convolutions in eight blocks, three shortcuts; the stem has 64 kernels of 7 x 7 x 3 and halves the side.
    assert len(convolutions) == 20
    assert convolutions[0] == {"name": "stem_conv", "kind": "Conv2D", "output": [32, 32, 64], "parameters": 9408}
    # torchvision's 11,689,512 without its classifier of 513,000, and the running mean and variance of 4,800 channels.
    assert sum(layer["parameters"] for layer in network["backbone"]) == 11_689_512 - 513_000 + 2 * 4800
    assert network["projector"][-1]["output"] == network["predictor"][-1]["output"] == [8]


def test_scalars_are_written_for_tensorboard(photographs, settings, tmp_path):
    run(photographs, settings, tmp_path)
    assert any("events.out" in path.name for path in (tmp_path / "logs").iterdir())


def test_progress_is_visible(photographs, settings, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "trainer"):
        run(photographs, dataclasses.replace(settings, progress_seconds=0), tmp_path)
    assert re.search(r"epoch 2/2, loss -?\d\.\d{4}, output std ratio \d\.\d\d.* images/s, .* min left", caplog.text)


def test_labels_do_not_change_what_is_learned(photographs, settings, tmp_path):
    other = photographs._replace(labels=photographs.labels[::-1].copy())
    for a, b in zip(weights(run(photographs, settings, tmp_path, "a")), weights(run(other, settings, tmp_path, "b"))):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_collapse_ends_the_run(photographs, settings, tmp_path):
    """Photographs all alike, with views that change nothing, leave no output to spread."""
    same = photographs._replace(canvases=np.full_like(photographs.canvases, 128))
    still = dataclasses.replace(settings.views, min_area=1.0, max_aspect=1.0, flip_probability=0, jitter_probability=0,
                                grey_probability=0, blur_probability=0)  # fmt: skip
    with pytest.raises(CollapseError, match="collapsed in epoch 1.*pretrain.base_learning_rate"):
        run(same, dataclasses.replace(settings, views=still), tmp_path)


# The rate overflows float32 in the weights, or only what is computed from them.
@pytest.mark.parametrize("rate", [1e20, pytest.param(1e30, marks=pytest.mark.slow)])
def test_a_divergence_ends_the_run_at_its_step_and_nothing_can_continue_it(photographs, settings, tmp_path, monkeypatch, rate):
    """The first step's loss is finite, as it is computed before the weights change: its checkpoint is of weights that are lost."""
    monkeypatch.setattr(loop.monitors, "effective_rank", lambda outputs: pytest.fail("the singular values of no numbers"))
    with pytest.raises(DivergenceError, match="diverged at step [12]: .*Lower pretrain.base_learning_rate"):
        run(photographs, dataclasses.replace(settings, base_learning_rate=rate), tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_divergence_between_two_looks_is_seen_at_the_next_and_nothing_is_saved(photographs, settings, tmp_path, monkeypatch):
    """The epoch's three steps: the first is looked at alone, and its loss is finite; the others together, at the end of the epoch."""
    monkeypatch.setattr(loop, "steps_ahead", lambda: 8)
    monkeypatch.setattr(checkpoints_module.Checkpoints, "save", lambda self: pytest.fail("it was saved"))
    with pytest.raises(DivergenceError, match="diverged at step 3: the loss is (nan|inf|-inf)"):
        run(photographs, dataclasses.replace(settings, base_learning_rate=1e20, checkpoint_seconds=1e6), tmp_path)


@pytest.mark.slow
def test_a_divergence_in_the_last_step_is_seen_before_its_network_is_used(photographs, settings, tmp_path):
    settings = dataclasses.replace(settings, epochs=1, batch_size=28, base_learning_rate=1e20)
    with pytest.raises(DivergenceError, match="diverged at step 1: (weights|features) are no finite numbers"):
        run(photographs, settings, tmp_path)


def test_fewer_photographs_than_a_batch_are_refused(photographs, settings, tmp_path):
    with pytest.raises(ConfigurationError, match="pretrain.batch_size is 64.*only 28 photographs"):
        run(photographs, dataclasses.replace(settings, batch_size=64), tmp_path)
