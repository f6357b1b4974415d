import numpy as np
import tensorflow as tf

from trainer.optimizer import apply_gradients, sum_in_order, zero_momentum


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


def test_a_sum_is_taken_in_the_order_of_its_summands():
    # In float32 1e8 + 1 is 1e8, so that the order shows: 1e8 + 1 + 1 - 1e8 is 0, and so it is from the other end, but 1e8 - 1e8 + 1 + 1
    # is 2.
    summands = [tf.constant([value]) for value in (1e8, 1.0, 1.0, -1e8)]
    for taken in (sum_in_order, tf.function(sum_in_order)):
        assert taken(*summands).numpy() == [0.0]
        assert taken(*reversed(summands)).numpy() == [0.0]
        assert taken(summands[0], summands[3], *summands[1:3]).numpy() == [2.0]
        assert taken(summands[1]).numpy() == [1.0]


def test_the_shape_of_a_sum_is_known():
    @tf.function
    def shape_of(a, b):
        total = sum_in_order(a, b)
        assert total.shape == (2, 3)
        return total

    shape_of(tf.ones((2, 3)), tf.ones((2, 3)))
