import numpy as np
import pytest
import tensorflow as tf

from trainer.normalization import EPSILON, FusedBatchNormalization, fused, stock


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (6, 3)])
def test_normalises_by_the_batch_and_moves_the_running_statistics(shape):
    x = np.random.default_rng(0).normal(2, 3, shape).astype(np.float32)
    layer = FusedBatchNormalization()
    y = layer(x, training=True).numpy()

    axes = tuple(range(len(shape) - 1))
    mean, variance = x.mean(axes), x.var(axes)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + EPSILON), atol=2e-5)
    # torch.nn.BatchNorm: running = 0.9 running + 0.1 batch, with the unbiased variance.
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.9 + 0.1 * x.var(axes, ddof=1), rtol=1e-4)


def test_inference_uses_the_running_statistics_and_leaves_them_alone():
    x = np.random.default_rng(0).normal(2, 3, (6, 5, 4, 3)).astype(np.float32)
    layer = fused("n")
    layer(x, training=True)
    before = [weight.numpy() for weight in layer.weights]
    y = layer(x, training=False).numpy()
    np.testing.assert_allclose(y, (x - before[2]) / np.sqrt(before[3] + EPSILON), atol=1e-4)
    for old, weight in zip(before, layer.weights):
        np.testing.assert_array_equal(old, weight.numpy())


def test_stock_layer_with_the_same_weights_gives_the_same():
    random = np.random.default_rng(0)
    x = random.normal(size=(3, 4, 4, 2)).astype(np.float32)
    ours, theirs = fused("a"), stock("b")
    ours.build(x.shape), theirs.build(x.shape)
    weights = [random.uniform(0.5, 2, 2).astype(np.float32) for _ in range(4)]
    ours.set_weights(weights), theirs.set_weights(weights)
    np.testing.assert_allclose(ours(x, training=False), theirs(x, training=False), atol=1e-6)


def test_gradients_equal_those_of_the_plain_formula():
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 3, 3, 2)), tf.float32)
    layer = fused("n")
    layer.build(x.shape)

    def plain(x):
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        return (x - mean) / tf.sqrt(variance + EPSILON)

    gradients = []
    for function in (lambda v: layer(v, training=True), plain):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(function(x) ** 3)
        gradients.append(tape.gradient(loss, x).numpy())
    np.testing.assert_allclose(*gradients, atol=1e-4)


def test_an_output_normalisation_without_scale_and_offset_trains_nothing():
    layer = FusedBatchNormalization(affine=False)
    layer.build((None, 5))
    assert layer.trainable_weights == []
