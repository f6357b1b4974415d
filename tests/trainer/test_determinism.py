"""With `tf.config.experimental.enable_op_determinism`, the same seed gives the same bits, interrupted or not."""

import os
import pathlib

import numpy as np
import pytest
from tiny import PROJECT

SCRIPT = pathlib.Path(__file__).with_name("deterministically.py")


@pytest.fixture(scope="module")
def results(forked, record_files, tmp_path_factory):
    """What each run left: by `cached` or `streamed`, name of the run, and what it is."""
    path = tmp_path_factory.mktemp("determinism") / "results.npz"
    done = forked.run([SCRIPT, path, *record_files.values()], env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True,
                      text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(path) as arrays:
        return dict(arrays)


def variables(results, kind, name):
    """Weights, running statistics and momentum after one run."""
    return {key: value for key, value in results.items() if key.startswith(f"{kind}/{name}/variable")}


def assert_same_bits(first, second):
    assert len(first) == len(second) > 50
    for (key, ours), theirs in zip(first.items(), second.values()):
        assert ours.tobytes() == theirs.tobytes(), key


def test_the_same_seed_gives_the_same_bits(results):
    assert_same_bits(variables(results, "cached", "first"), variables(results, "cached", "again"))
    np.testing.assert_array_equal(results["cached/first/history"], results["cached/again/history"])


def test_another_seed_gives_others(results):
    first, other = variables(results, "cached", "first"), variables(results, "cached", "other")
    assert sum(not np.array_equal(*pair) for pair in zip(first.values(), other.values())) > len(first) / 2


@pytest.mark.parametrize("kind", ["cached", "streamed"])
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(results, kind):
    """The fifth of nine steps lies inside the second epoch, whose figures cover the steps before it as well."""
    assert results[f"{kind}/resumed/resumed_from_step"] == 5
    assert_same_bits(variables(results, kind, "first"), variables(results, kind, "resumed"))
    whole, resumed = results[f"{kind}/first/history"], results[f"{kind}/resumed/history"]
    np.testing.assert_array_equal(whole, resumed)
