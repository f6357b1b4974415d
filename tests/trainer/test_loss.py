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
    assert simsiam_loss([a, a], [b, a]).numpy() == -0.5


def test_of_three_views_each_predicts_the_mean_direction_of_the_others():
    # Directions of the projections: (1, 0), (1, 0) and (0, 1), whatever their lengths. The others' sums: of the first and the second
    # (1, 1), of the third (2, 0). The predictions' cosines with them: 1, sqrt(1/2) and -1; negated, their mean is -0.2357.
    z = [tf.constant([[5.0, 0.0]]), tf.constant([[1.0, 0.0]]), tf.constant([[0.0, 0.1]])]
    p = [tf.constant([[2.0, 2.0]]), tf.constant([[0.0, 3.0]]), tf.constant([[-1.0, 0.0]])]
    assert simsiam_loss(p, z).numpy() == pytest.approx(-(1 + 0.5**0.5 - 1) / 3)


def test_the_order_of_the_views_does_not_matter():
    random = np.random.default_rng(3)
    p, z = ([tf.constant(random.normal(size=(5, 7)), tf.float32) for _ in range(4)] for _ in range(2))
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(simsiam_loss([p[i] for i in order], [z[i] for i in order]), simsiam_loss(p, z), rtol=1e-5)


def test_lengths_do_not_matter():
    random = np.random.default_rng(1)
    p, z = (tf.constant(random.normal(size=(5, 7)), tf.float32) for _ in range(2))
    np.testing.assert_allclose(negative_cosine_similarity(3 * p, 0.2 * z), negative_cosine_similarity(p, z), rtol=1e-5)


def test_no_gradient_flows_into_the_target():
    p, z = tf.Variable([[1.0, 2.0]]), tf.Variable([[2.0, -1.0]])
    with tf.GradientTape() as tape:
        loss = simsiam_loss([p, p], [z, z])
    gradient_p, gradient_z = tape.gradient(loss, (p, z))
    assert gradient_z is None
    assert np.abs(gradient_p).max() > 0.1
