"""The formats of `export`: how each is written, and how its own runtime reads it back and computes.

A writer takes a Network and the path of a new file or folder. A runtime takes the path and returns a function from photographs to
outputs `[count, numbers]` float32. Packages that only one format needs are imported by it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from contracts import model_files
from contracts.cores import cores
from trainer.export import EmbeddingModule, convertible
from trainer.keras_file import save_keras

BATCH = 16


class ExportRefused(ValueError):
    """A version cannot be exported as asked; the message says what to do."""


@dataclass(frozen=True)
class Network:
    """What is exported.

    keras_model: the backbone, from whole photographs `[batch, side, side, 3]` float32 in [0, 1] to `[batch, numbers]` float32.
    record: its own. max_side: as trainer.export.ingested_side. output: what comes out, model_files.EMBEDDING or PROBABILITIES.
    head: layers after the backbone. properties: text about it, for formats that hold some.
    """

    keras_model: keras.Model
    record: dict
    max_side: int
    output: str
    head: Sequence[keras.Layer] = ()
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> keras.Model:
        """The backbone with its head, of stock Keras layers."""
        return headed(self.keras_model, self.head)

    @property
    def convertible(self) -> keras.Model:
        """The same of operations that every runtime has; equal up to rounding."""
        return headed(convertible(self.keras_model, self.record), self.head)


def headed(network: keras.Model, head: Sequence[keras.Layer]) -> keras.Model:
    """`network` followed by the layers of `head`."""
    output = network.output
    for layer in head:
        output = layer(output)
    return keras.Model(network.input, output, name=network.name) if head else network


@dataclass(frozen=True)
class Photograph:
    """A photograph as ingest makes it (JPEG), and as the network takes it: `[side, side, 3]` float32 in [0, 1]."""

    jpeg: bytes
    view: np.ndarray


Runtime = Callable[[Sequence[Photograph]], np.ndarray]


def write_saved_model(network: Network, path: str) -> None:
    """A SavedModel for TensorFlow Serving: files or pixels to the output, as trainer.export.EmbeddingModule."""
    module = EmbeddingModule(network.whole, network.max_side, network.output)
    tf.saved_model.save(module, path, signatures=module.signatures())


def run_saved_model(path: str) -> Runtime:
    """TensorFlow, on the files."""
    serve = tf.saved_model.load(path).signatures["serving_default"]

    def run(photographs: Sequence[Photograph]) -> np.ndarray:
        (output,) = serve(image_bytes=tf.constant([one.jpeg for one in photographs])).values()
        return output.numpy()

    return _in_batches(run)


def write_keras(network: Network, path: str) -> None:
    """A `.keras` file of stock layers."""
    save_keras(network.whole, path)


def run_keras(path: str) -> Runtime:
    """Keras, in safe mode."""
    network = keras.models.load_model(path, compile=False, safe_mode=True)
    pixels = tf.TensorSpec(network.input_shape)
    call = tf.function(lambda pixels: network(pixels, training=False), input_signature=[pixels])
    return _in_batches(lambda photographs: call(np.stack([one.view for one in photographs])).numpy())


def write_onnx(network: Network, path: str) -> None:
    """An ONNX file, for any number of photographs at a time."""
    import onnx

    from inference import onnx_graph

    try:
        graph = onnx_graph.convert(
            network.convertible, takes=model_files.SIGNATURE_PIXELS, gives=network.output,
            properties=network.properties)  # fmt: skip
    except onnx_graph.UnknownLayer as error:  # in a network of others
        raise ExportRefused(f"onnx: {error}; the other formats take any layer") from error
    onnx.save(graph, path)


def run_onnx(path: str) -> Runtime:
    """ONNX Runtime, on the processor."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    return _in_batches(lambda photographs: session.run(None, {taken.name: np.stack([one.view for one in photographs])})[0])


def write_litert(network: Network, path: str) -> None:
    """A LiteRT (TensorFlow Lite) file of builtin operations, for one photograph at a time."""
    _write(tf.lite.TFLiteConverter.from_keras_model(network.convertible).convert(), path)


def write_int8(network: Network, path: str, photographs: Sequence[Photograph]) -> None:
    """As write_litert, of 8-bit integers inside, with the range of each number on `photographs`. Input and output stay float32."""
    converter = tf.lite.TFLiteConverter.from_keras_model(network.convertible)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([one.view[None]] for one in photographs)
    _write(converter.convert(), path)


def run_litert(path: str) -> Runtime:
    """LiteRT's interpreter, on every core that the process may use."""
    interpreter = tf.lite.Interpreter(path, num_threads=cores())
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(photograph: Photograph) -> np.ndarray:
        interpreter.set_tensor(taken["index"], photograph.view[None])
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])[0]

    return lambda photographs: np.stack([run(one) for one in photographs])


@dataclass(frozen=True)
class Format:
    """ending: of the file's name; "" is a folder. reads: what reads it. packages: that it needs besides the project's."""

    ending: str
    reads: str
    write: Callable[[Network, str], None]
    run: Callable[[str], Runtime]
    packages: tuple[str, ...] = ()


FORMATS = {
    "saved_model": Format("", "TensorFlow, TensorFlow Serving", write_saved_model, run_saved_model),
    "keras": Format(".keras", "Keras", write_keras, run_keras),
    "onnx": Format(".onnx", "ONNX Runtime", write_onnx, run_onnx, ("onnx", "onnxruntime")),
    "litert": Format(".tflite", "LiteRT (TensorFlow Lite)", write_litert, run_litert),
}


def _in_batches(run: Runtime) -> Runtime:
    def run_all(photographs: Sequence[Photograph]) -> np.ndarray:
        return np.concatenate([run(photographs[start : start + BATCH]) for start in range(0, len(photographs), BATCH)])

    return run_all


def _write(content: bytes, path: str) -> None:
    with open(path, "wb") as file:
        file.write(content)
