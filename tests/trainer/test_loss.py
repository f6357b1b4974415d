import numpy as np
import pytest
import tensorflow as tf

from trainer.simsiam import negative_cosine_similarity, simsiam_loss


def test_equals_the_cosine_worked_out_by_hand():
    # cos of (3, 4) and (1, 0) is 3/5; of (0, 2) and (0, -1) it is -1: the mean is -0.2, negated 0.2.
    p = tf.constant([[3.0, 4.0], [0.0, 2.0]])
    z = tf.constant([[1.0, 0.0], [0.0, -1.0]])
    assert negative_cosine_similarity(p, z).numpy() == pytest.approx(0.2)


def test_symmetric_loss_crosses_the_views_and_halves_both_terms():
    a, b = tf.constant([[1.0, 0.0]]), tf.constant([[0.0, 1.0]])
    # p1 agrees with z2 (-1), p2 with z1 not at all (0).
    assert simsiam_loss(p1=a, p2=a, z1=b, z2=a).numpy() == -0.5


def test_lengths_do_not_matter():
    random = np.random.default_rng(1)
    p, z = (tf.constant(random.normal(size=(5, 7)), tf.float32) for _ in range(2))
    np.testing.assert_allclose(negative_cosine_similarity(3 * p, 0.2 * z), negative_cosine_similarity(p, z), rtol=1e-5)


def test_no_gradient_flows_into_the_target():
    p, z = tf.Variable([[1.0, 2.0]]), tf.Variable([[2.0, -1.0]])
    with tf.GradientTape() as tape:
        loss = simsiam_loss(p, p, z, z)
    gradient_p, gradient_z = tape.gradient(loss, (p, z))
    assert gradient_z is None
    assert np.abs(gradient_p).max() > 0.1
