import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.json_format import MessageToDict

from trainer import replicas
from trainer.convolution import Conv2D, by_taps, taps, with_kernel_gradient_by_taps


def test_a_kernel_of_three_on_four_positions_has_one_tap_that_meets_all_of_them_and_corners_that_meet_one():
    # Positions   0 1   with a border of padding around, on which the kernel is laid with its middle on each position.
    #             2 3
    assert taps(2, 2, 3, 1) == (
        (0, (0,), (3,)), (1, (0, 1), (2, 3)), (2, (1,), (2,)),
        (3, (0, 2), (1, 3)), (4, (0, 1, 2, 3), (0, 1, 2, 3)), (5, (1, 3), (0, 2)),
        (6, (2,), (1,)), (7, (2, 3), (0, 1)), (8, (3,), (0,)),
    )  # fmt: skip


def test_a_stride_of_two_pads_after_the_map_alone():
    # TensorFlow's "SAME": on 4 x 4 positions a kernel of three with stride two needs one row and column more, on the far side.
    assert [tap for tap in taps(4, 4, 3, 2) if tap.weight in (0, 4, 8)] == [
        (0, (0, 2, 8, 10), (0, 1, 2, 3)), (4, (5, 7, 13, 15), (0, 1, 2, 3)), (8, (10,), (0,))]  # fmt: skip


def test_a_map_of_one_position_meets_the_middle_of_a_kernel_only():
    assert taps(1, 1, 3, 1) == ((4, (0,), (0,)),)


SHAPES = [(2, 2, 3, 1), (4, 4, 3, 2), (4, 4, 3, 1), (2, 2, 1, 2), (4, 4, 1, 2), (5, 3, 3, 2), (1, 1, 3, 1), (7, 7, 7, 2)]


@pytest.mark.parametrize("convolve", [by_taps, with_kernel_gradient_by_taps])
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
        np.testing.assert_allclose(ours, theirs, atol=1e-4)  # sums of up to 245 products, in another order


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

    graph = gradients.get_concrete_function(tf.TensorSpec((8, side, side, 4), layer.compute_dtype)).graph.as_graph_def()
    graph = MessageToDict(graph, preserving_proto_field_name=True)
    functions = {function["signature"]["name"]: function["node_def"] for function in graph.get("library", {}).get("function", [])}

    def inside(nodes):
        for node in nodes:
            yield node["op"]
            if "Call" in node["op"]:
                yield from inside(functions[node["attr"]["f"]["func"]["name"]])

    return list(inside(graph["node"]))


@pytest.mark.parametrize("side, size, products", [(2, 3, 9), (2, 1, 1), (4, 1, 1)])
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_four_positions_and_kernels_of_one_on_sixteen_need_no_convolution(side, size, products, precision):
    types = operations(side, precision, size)
    assert types.count("MatMul") == 3 * products
    assert not any(one.startswith("Conv2D") for one in types)


@pytest.mark.parametrize("side, precision", [(4, "float32"), (4, "mixed_bfloat16"), (8, "mixed_bfloat16")])
def test_on_sixteen_positions_and_on_sixty_four_in_sixteen_bits_the_gradient_of_the_kernel_needs_none(side, precision):
    types = operations(side, precision)
    assert ("Conv2D" in types, "Conv2DBackpropInput" in types, "Conv2DBackpropFilter" in types) == (True, True, False)


@pytest.mark.parametrize("side, precision, size", [(8, "float32", 3), (8, "float32", 1), (16, "mixed_bfloat16", 3)])
def test_elsewhere_convolutions_are_tensorflows(side, precision, size):
    types = operations(side, precision, size)
    assert {"Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"} <= set(types)
    assert "MatMul" not in types


def test_sums_in_sixteen_bits_are_of_thirty_two():
    # 256 + 1 is 256 in bfloat16, whose numbers are two apart from there on; 256 + 8 is not.
    inputs = tf.ones([1, 3, 3, 1], tf.bfloat16)
    kernel = tf.reshape(tf.constant([1, 1, 1, 1, 256, 1, 1, 1, 1], tf.bfloat16), [3, 3, 1, 1])
    assert float(by_taps(inputs, kernel, 1)[0, 1, 1, 0]) == 264


def test_on_a_gpu_convolutions_are_tensorflows(monkeypatch):
    monkeypatch.setattr(replicas, "on_gpu", lambda: True)
    assert "MatMul" not in operations(2)


@pytest.mark.parametrize("side, precision", [(2, "float32"), (8, "mixed_bfloat16")])
def test_the_graph_of_a_step_is_freed_with_its_function(side, precision):
    layer = Conv2D(4, 3, padding="same", use_bias=False, dtype=precision)
    layer.build((None, side, side, 4))

    def gradient(maps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(maps) ** 2)
        return tape.gradient(loss, layer.kernel.value)

    step = tf.function(gradient).get_concrete_function(tf.TensorSpec((8, side, side, 4), layer.compute_dtype))
    graph = weakref.ref(step.graph)
    assert graph() is not None
    del step
    gc.collect()
    assert graph() is None
