import numpy as np
import pytest
import tensorflow as tf

from trainer import replicas
from trainer.convolution import Conv2D, by_product, seeing_columns, seen_positions, with_kernel_gradient_by_product


def test_a_kernel_of_three_on_four_positions_sees_each_of_them_and_the_padding():
    # Positions   0 1   with a border of padding (4) around: what the kernel, laid on each position, covers.
    #             2 3
    np.testing.assert_array_equal(seen_positions(2, 2, 3, 1), [
        [4, 4, 4, 4, 0, 1, 4, 2, 3],
        [4, 4, 4, 0, 1, 4, 2, 3, 4],
        [4, 0, 1, 4, 2, 3, 4, 4, 4],
        [0, 1, 4, 2, 3, 4, 4, 4, 4],
    ])  # fmt: skip


def test_a_stride_of_two_pads_after_the_map_alone():
    # TensorFlow's "SAME": on 4 x 4 positions a kernel of three with stride two needs one row and column more, on the far side.
    np.testing.assert_array_equal(seen_positions(4, 4, 3, 2)[0], [0, 1, 2, 4, 5, 6, 8, 9, 10])
    np.testing.assert_array_equal(seen_positions(4, 4, 3, 2)[3], [10, 11, 16, 14, 15, 16, 16, 16, 16])


@pytest.mark.parametrize("shape", [(2, 2, 3, 1), (4, 4, 3, 2), (5, 3, 3, 2), (4, 4, 1, 2), (1, 1, 3, 1), (7, 7, 7, 2)])
def test_every_sight_of_a_position_is_in_the_inverse_once(shape):
    height, width, _, _ = shape
    seen, seeing = seen_positions(*shape).ravel(), seeing_columns(*shape)
    for position in range(height * width):
        entries = seeing[:, position]
        assert sorted(entries[entries < len(seen)]) == np.flatnonzero(seen == position).tolist()


SHAPES = [(2, 2, 3, 1), (4, 4, 3, 2), (4, 4, 3, 1), (2, 2, 1, 2), (4, 4, 1, 2), (5, 3, 3, 2), (1, 1, 3, 1)]


@pytest.mark.parametrize("convolve", [by_product, with_kernel_gradient_by_product])
@pytest.mark.parametrize("height, width, size, stride", SHAPES)
def test_outputs_and_gradients_are_those_of_tensorflows_convolution(convolve, height, width, size, stride):
    random = np.random.default_rng(0)
    inputs = tf.constant(random.normal(size=(3, height, width, 5)).astype(np.float32))
    kernel = tf.constant(random.normal(size=(size, size, 5, 4)).astype(np.float32))

    def measured(convolution):
        with tf.GradientTape() as tape:
            tape.watch([inputs, kernel])
            outputs = convolution(inputs, kernel)
            loss = tf.reduce_sum(tf.sin(outputs))
        return outputs, *tape.gradient(loss, [inputs, kernel])

    reference = measured(lambda x, w: tf.nn.conv2d(x, w, stride, "SAME"))
    for ours, theirs in zip(measured(lambda x, w: convolve(x, w, stride)), reference, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def operations(side, precision="float32", size=3):
    """How often each type of operation is in the graph of a layer and its gradients, on maps of `side` positions a side."""
    layer = Conv2D(4, size, padding="same", use_bias=False, dtype=precision)
    layer.build((None, side, side, 4))

    @tf.function
    def gradients(maps):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            outputs = tf.reduce_sum(layer(maps) ** 2)
        return tape.gradient(outputs, [maps, layer.kernel.value])

    graph = gradients.get_concrete_function(tf.TensorSpec((8, side, side, 4), layer.compute_dtype)).graph
    return [operation.type for operation in graph.get_operations()]


@pytest.mark.parametrize("side, size", [(2, 3), (2, 1), (4, 1)])
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_four_positions_and_kernels_of_one_on_sixteen_need_no_convolution(side, size, precision):
    types = operations(side, precision, size)
    assert types.count("MatMul") == 3
    assert not any(one.startswith("Conv2D") for one in types)


def test_sixteen_positions_in_sixteen_bits_need_none_for_the_gradient_of_the_kernel():
    types = operations(4, "mixed_bfloat16")
    assert ("Conv2D" in types, "Conv2DBackpropInput" in types, "Conv2DBackpropFilter" in types) == (True, True, False)


@pytest.mark.parametrize("side, precision, size", [(4, "float32", 3), (8, "float32", 1), (8, "mixed_bfloat16", 3)])
def test_elsewhere_convolutions_are_tensorflows(side, precision, size):
    types = operations(side, precision, size)
    assert {"Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"} <= set(types)
    assert "MatMul" not in types


def test_on_a_gpu_convolutions_are_tensorflows(monkeypatch):
    monkeypatch.setattr(replicas, "on_gpu", lambda: True)
    assert "MatMul" not in operations(2)
