"""A Keras network as an ONNX graph, layer by layer: networks here are made of few kinds of stock layers.

Needs the package onnx. Between layers the graph keeps Keras' order of axes (channels last); ONNX's convolutions want channels
second, and runtimes remove the transpositions that cancel out.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Read by ONNX Runtime from 1.12 (2022) on; nothing newer is needed.
OPSET, IR_VERSION = 17, 8
CHANNELS_SECOND, CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class UnknownLayer(ValueError):
    """A network has a kind of layer that is not known here."""


def convert(network: keras.Model, *, takes: str, gives: str, properties: dict[str, str]) -> onnx.ModelProto:
    """The graph of a functional model of one input and one output, both float32.

    Args:
      takes, gives: names of the input and the output; the first axis of both is `batch`.
      properties: metadata of the file.

    Raises:
      UnknownLayer: the network has a layer of another kind than KINDS.
    """
    graph = _Graph()
    output = graph.run(network, takes)
    graph.add("Identity", [output], to=gives)
    described = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *tensor.shape[1:]])
        for name, tensor in ((takes, network.inputs[0]), (gives, network.outputs[0]))
    ]
    whole = helper.make_graph(graph.nodes, network.name, [described[0]], [described[1]], list(graph.constants.values()))
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="flowers")
    model.ir_version = IR_VERSION
    helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    return model


class _Graph:
    """The nodes so far, in order, and the constants by name. Values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def run(self, network: keras.Model, value: str) -> str:
        """Adds all of a network; returns the name of its output."""
        return network._run_through_graph([value], operation_fn=lambda layer: lambda *arguments, **_: self.layer(layer, arguments))

    def layer(self, layer: keras.Operation, arguments: tuple) -> str:
        """Adds one layer; returns the name of its output."""
        if isinstance(layer, keras.Model):
            return self.run(layer, arguments[0])
        kind = type(layer).__name__
        if kind not in KINDS:
            raise UnknownLayer(f"the layer {layer.name} is of the kind {kind}; expected one of {', '.join(sorted(KINDS))}")
        values = arguments[0] if isinstance(arguments[0], (list, tuple)) else arguments
        named = [one if isinstance(one, str) else self.constant(np.asarray(one, np.float32)) for one in values]
        return KINDS[kind](self, layer, named)

    def add(self, kind: str, values: Sequence[str], to: str = "", **attributes: object) -> str:
        """Adds one node; returns the name of its output."""
        output = to or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(values), [output], name=output, **attributes))
        return output

    def constant(self, array: np.ndarray, name: str = "") -> str:
        """Adds a constant, once if it is a layer's weight, which has a `name`; returns its name."""
        name = name or f"constant_{len(self.constants)}"
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def integers(self, *values: int) -> str:
        """A constant of integers, as many operations take for axes and shapes."""
        return self.constant(np.array(values, np.int64))

    def channels_second(self, value: str, kind: str, others: Sequence[str] = (), **attributes: object) -> str:
        """Adds a node that works on `[batch, channels, height, width]`."""
        turned = self.add("Transpose", [value], perm=CHANNELS_SECOND)
        return self.add("Transpose", [self.add(kind, [turned, *others], **attributes)], perm=CHANNELS_LAST)

    def weights(self, layer: keras.Layer, *names: str) -> list[np.ndarray]:
        """A layer's weights of these names, as float32."""
        return [np.asarray(getattr(layer, name), np.float32) for name in names]


def _activated(graph: _Graph, layer: keras.layers.Layer, value: str) -> str:
    """`value` by the layer's own activation."""
    name = layer.activation.__name__
    if name not in ACTIVATIONS:
        raise UnknownLayer(f"the layer {layer.name} has the activation {name}; expected one of {', '.join(sorted(ACTIVATIONS))}")
    return ACTIVATIONS[name](graph, value)


ACTIVATIONS = {
    "linear": lambda graph, value: value, "relu": lambda graph, value: graph.add("Relu", [value]),
    "sigmoid": lambda graph, value: graph.add("Sigmoid", [value]),
    "softmax": lambda graph, value: graph.add("Softmax", [value], axis=-1),
}  # fmt: skip


def _padding(layer: keras.Layer) -> dict:
    return {"auto_pad": "SAME_UPPER" if layer.padding == "same" else "VALID"}


def _convolution(graph: _Graph, layer: keras.Layer, values: list[str]) -> str:
    (kernel,) = graph.weights(layer, "kernel")
    weights = [graph.constant(kernel.transpose(3, 2, 0, 1), f"{layer.name}/kernel")]
    if layer.use_bias:
        weights.append(graph.constant(*graph.weights(layer, "bias"), f"{layer.name}/bias"))
    return _activated(graph, layer, graph.channels_second(*values, "Conv", weights, strides=layer.strides, **_padding(layer)))


def _depthwise(graph: _Graph, layer: keras.layers.Layer, values: list[str]) -> str:
    (kernel,) = graph.weights(layer, "kernel")
    height, width, channels, multiplier = kernel.shape
    each = kernel.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    weights = [graph.constant(each, f"{layer.name}/kernel")]
    if layer.use_bias:
        weights.append(graph.constant(*graph.weights(layer, "bias"), f"{layer.name}/bias"))
    return _activated(
        graph, layer, graph.channels_second(*values, "Conv", weights, strides=layer.strides, group=channels, **_padding(layer))
    )


def _rectified(graph: _Graph, layer: keras.layers.Layer, values: list[str]) -> str:
    if layer.negative_slope or layer.threshold:
        raise UnknownLayer(f"the layer {layer.name} is a ReLU with a slope or a threshold; expected one without")
    if layer.max_value is None:
        return graph.add("Relu", values)
    return graph.add("Clip", [*values, *(graph.constant(np.float32(limit)) for limit in (0, layer.max_value))])


def _normalization(graph: _Graph, layer: keras.Layer, values: list[str]) -> str:
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    weights = [graph.constant(array, f"{layer.name}/{name}") for name, array in zip(names, graph.weights(layer, *names))]
    return graph.channels_second(*values, "BatchNormalization", weights, epsilon=layer.epsilon)


def _pooling(kind: str) -> Callable:
    def add(graph: _Graph, layer: keras.Layer, values: list[str]) -> str:
        return graph.channels_second(*values, kind, kernel_shape=layer.pool_size, strides=layer.strides, **_padding(layer))

    return add


def _rescaling(graph: _Graph, layer: keras.Layer, values: list[str]) -> str:
    scaled = graph.add("Mul", [*values, graph.constant(np.asarray(layer.scale, np.float32))])
    return graph.add("Add", [scaled, graph.constant(np.asarray(layer.offset, np.float32))])


def _cropping(graph: _Graph, layer: keras.Layer, values: list[str]) -> str:
    (top, bottom), (left, right) = layer.cropping
    _, height, width, _ = layer.input.shape
    ends = (height - bottom, width - right)
    return graph.add("Slice", [*values, graph.integers(top, left), graph.integers(*ends), graph.integers(1, 2)])


def _flip(graph: _Graph, layer: keras.Operation, values: list[str]) -> str:
    last, before_first = graph.integers(-1), graph.integers(np.iinfo(np.int64).min)
    return graph.add("Slice", [*values, last, before_first, graph.integers(layer.axis), graph.integers(-1)])


def _dense(graph: _Graph, layer: keras.Layer, values: list[str]) -> str:
    kernel, bias = (graph.constant(array) for array in graph.weights(layer, "kernel", "bias"))
    sums = graph.add("Add", [graph.add("MatMul", [*values, kernel]), bias])
    return _activated(graph, layer, sums)


def _plain(kind: str, **attributes: object) -> Callable:
    return lambda graph, layer, values: graph.add(kind, values, **attributes)


# By the name of the class of layer or operation.
KINDS = {
    "Conv2D": _convolution, "BatchNormalization": _normalization, "Rescaling": _rescaling, "Dense": _dense,
    "MaxPooling2D": _pooling("MaxPool"), "AveragePooling2D": _pooling("AveragePool"), "Cropping2D": _cropping, "Flip": _flip,
    "DepthwiseConv2D": _depthwise, "GlobalAveragePooling2D": _plain("ReduceMean", axes=(1, 2), keepdims=0),
    "Dropout": _plain("Identity"),
    "Activation": lambda graph, layer, values: _activated(graph, layer, *values),
    "ReLU": _rectified, "Relu": _plain("Relu"), "Sqrt": _plain("Sqrt"), "Flatten": _plain("Flatten", axis=1),
    "Add": _plain("Sum"), "Average": _plain("Mean"), "Concatenate": _plain("Concat", axis=-1),
    "Multiply": _plain("Mul"), "Subtract": _plain("Sub"), "Matmul": _plain("MatMul"),
    "Transpose": lambda graph, layer, values: graph.add("Transpose", values, perm=layer.axes),
    "Reshape": lambda graph, layer, values: graph.add("Reshape", [*values, graph.integers(*layer.newshape)]),
}  # fmt: skip
