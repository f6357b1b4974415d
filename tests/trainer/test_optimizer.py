import numpy as np
import tensorflow as tf

from trainer.optimizer import apply_gradients, zero_momentum


def test_two_steps_worked_out_by_hand():
    weight = tf.Variable([1.0])
    accumulators = zero_momentum([weight])
    # a = 0.5 + 0.1 x 1 = 0.6;                 w = 1 - 0.1 x 0.6 = 0.94
    apply_gradients([weight], [tf.constant([0.5])], accumulators, rate=0.1, momentum=0.9, weight_decay=0.1)
    np.testing.assert_allclose(weight.numpy(), [0.94], rtol=1e-6)
    # a = 0.9 x 0.6 + 0.2 + 0.1 x 0.94 = 0.834; w = 0.94 - 0.01 x 0.834 = 0.93166
    # (a rate inside the momentum, as Keras has it, would give 0.8831)
    apply_gradients([weight], [tf.constant([0.2])], accumulators, rate=0.01, momentum=0.9, weight_decay=0.1)
    np.testing.assert_allclose(accumulators[0].numpy(), [0.834], rtol=1e-6)
    np.testing.assert_allclose(weight.numpy(), [0.93166], rtol=1e-6)


def test_works_inside_a_graph_with_a_rate_that_is_computed_there():
    weight = tf.Variable([[1.0, -1.0]])
    accumulators = zero_momentum([weight])

    @tf.function
    def step(rate):
        apply_gradients([weight], [2 * weight], accumulators, rate=rate, momentum=0.0, weight_decay=0.0)

    step(tf.constant(0.25))
    np.testing.assert_allclose(weight.numpy(), [[0.5, -0.5]])
