import re

import numpy as np
import pytest
import tensorflow as tf

from pipeline_config import Pretrain, WarmStart
from trainer.monitors import CollapseError, check_collapse, diverged, effective_rank, output_std_ratio


def test_outputs_all_alike_have_ratio_0():
    assert output_std_ratio(tf.ones((8, 4))).numpy() == pytest.approx(0, abs=1e-6)


def test_outputs_spread_over_the_sphere_have_ratio_1():
    z = np.random.default_rng(0).normal(size=(4096, 64)).astype(np.float32)
    assert output_std_ratio(tf.constant(z)).numpy() == pytest.approx(1, abs=0.01)


def test_rank_of_orthogonal_rows_is_their_number():
    assert effective_rank(np.eye(6)) == pytest.approx(6)


def test_rank_of_one_line_is_1_and_of_nothing_0():
    assert effective_rank(np.outer([1.0, -2, 3], [4.0, 5])) == pytest.approx(1)
    assert effective_rank(np.zeros((3, 3))) == 0


def test_rank_weighs_singular_values_by_entropy():
    # Singular values 3 and 1: shares 3/4 and 1/4, entropy 0.5623351, exp 1.7547654.
    assert effective_rank(np.diag([3.0, 1.0])) == pytest.approx(1.7547654)


LIMITS = {"min_std_ratio": 0.1, "min_rank": 2.0, "epoch": 4}


def test_a_healthy_run_passes():
    check_collapse(0.9, 20.0, -0.8, **LIMITS)


@pytest.mark.parametrize("ratio, rank", [(0.05, 20.0), (0.9, 1.2)])
def test_a_collapse_says_what_to_change(ratio, rank):
    with pytest.raises(CollapseError, match="epoch 4.*pretrain.base_learning_rate"):
        check_collapse(ratio, rank, -1.0, **LIMITS)


@pytest.mark.parametrize(("settings", "advice"), [
    (Pretrain(base_learning_rate=0.9), r"Lower pretrain.base_learning_rate \(it is 0.9; try a third of it\)\. Its checkpoints"),
    # The rate of a warm start is another setting, and the one that counts.
    (Pretrain(base_learning_rate=0.6, warm_start=WarmStart("3", "/backbone", "c0")),
     r"Lower pretrain.warm_start_learning_rate \(it is 0.6"),
    (Pretrain(precision="mixed_float16"), "or set pretrain.precision to float32"),
])  # fmt: skip
def test_a_divergence_says_what_to_change(settings, advice):
    error = diverged("the loss is nan", step=7, settings=settings)
    assert re.match(f"pre-training diverged at step 7: the loss is nan. .*{advice}", str(error))
