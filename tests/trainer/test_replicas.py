"""Several devices on one machine: four logical CPU devices against one, in a process of their own (on_devices.py)."""

import os
import pathlib

import numpy as np
import pytest
from tiny import PATIENCE_SECONDS, PROJECT

from pipeline_config import GPU, ConfigurationError
from trainer import replicas


@pytest.fixture(scope="module")
def results(forked, tmp_path_factory):
    path = tmp_path_factory.mktemp("devices") / "results.npz"
    script = pathlib.Path(__file__).with_name("on_devices.py")
    process = forked.run([script, path], env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
                         timeout=PATIENCE_SECONDS)  # fmt: skip
    assert process.returncode == 0, process.stderr[-4000:]
    return dict(np.load(path))


def pairs(results, prefix):
    one = {key.removeprefix(f"{prefix}/one/"): value for key, value in results.items() if key.startswith(f"{prefix}/one/")}
    assert one
    for key, value in one.items():
        yield key, value, results[f"{prefix}/four/{key}"]


@pytest.mark.slow
def test_four_devices_train_as_one_with_the_same_global_batch(results):
    for key, one, four in pairs(results, "float32"):
        np.testing.assert_allclose(four, one, atol=1e-4, rtol=1e-4, err_msg=key)
    # Six steps of this rate moved the weights by far more than the tolerance.
    kernel = max((value for key, value, _ in pairs(results, "float32") if key.startswith("variable")), key=np.size)
    assert len(results["float32/one/loss"]) == 2 and np.abs(kernel).max() > 0.01


@pytest.mark.slow
def test_four_devices_train_as_one_in_float16_within_its_precision(results):
    for key, one, four in pairs(results, "mixed_float16"):
        if key in ("loss", "ratio"):
            np.testing.assert_allclose(four, one, atol=2e-2, err_msg=key)


@pytest.mark.slow
def test_batch_statistics_and_their_gradients_are_those_of_the_global_batch(results):
    compared = {key: (one, four) for key, one, four in pairs(results, "norm")}
    assert compared.keys() == {"y", "gradient", "mean", "variance"}
    for key, (one, four) in compared.items():
        np.testing.assert_allclose(four, one, atol=2e-4, rtol=1e-4, err_msg=key)
    # The unbiased variance of all 72 values a channel, as PyTorch's running one.
    x = np.random.default_rng(1).normal(2, 3, (8, 3, 3, 2)).astype(np.float32)
    np.testing.assert_allclose(compared["variance"][1], 0.9 + 0.1 * x.var((0, 1, 2), ddof=1), rtol=1e-4)


@pytest.mark.slow
def test_a_batch_that_the_devices_cannot_share_is_refused(results):
    message = str(results["odd batch"])
    assert "pretrain.batch_size must be a multiple of the 4 devices" in message and "got 9" in message


@pytest.mark.slow
def test_as_many_devices_as_the_default_machine_has_train_as_one_as_gpu_asks_for(results):
    """bfloat16 and XLA, which compiles the step of one device: the preset `gpu` on one GPU, and on the four of vertex.pretrain."""
    assert GPU.vertex.pretrain.accelerators == 4
    for key, one, four in pairs(results, "as gpu"):
        if key in ("loss", "ratio"):
            np.testing.assert_allclose(four, one, atol=3e-2, err_msg=key)


def test_one_machine_without_gpus_takes_no_strategy():
    for cluster in (None, "", '{"cluster": {"worker": ["127.0.0.1:1"]}, "task": {"type": "worker", "index": 0}}'):
        strategy = replicas.choose_strategy(cluster)
        assert strategy.num_replicas_in_sync == 1 and replicas.is_chief(strategy)


def test_several_workers_in_a_process_that_uses_tensorflow_already_are_refused(monkeypatch):
    cluster = '{"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}, "task": {"type": "worker", "index": 0}}'
    monkeypatch.setenv("TF_CONFIG", cluster)
    np.asarray(replicas.tf.constant(1))
    with pytest.raises(ConfigurationError, match="TF_CONFIG names several workers"):
        replicas.choose_strategy(cluster)
