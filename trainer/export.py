"""Writes and reads a backbone, and a probe on top of one, in the forms in which they are served, evaluated and registered.

`take_weights` starts pre-training from a registered backbone. A backbone that was a network of others first
(trainer.starting_network) keeps that network beside it, which is the baseline instead of random weights. `folded` makes an equal
network that measures faster: in inference a normalisation is a scale and an offset a channel. The scale is merged into the kernel,
and TensorFlow runs convolution, offset and ReLU as one operation instead of passing over every feature map four times
(benchmarks/linear_evaluation.py).
"""

import io
import os
import posixpath
import tempfile
import typing
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from contracts import examples, files, model_files
from contracts.content_hash import content_hash
from pipeline_config import Data, Embedding, WarmStart
from trainer import normalization, starting_network
from trainer.backbones import Normalization, convolution_before
from trainer.embedding_network import (
    DESCRIPTION,
    Resize,
    antialiased,
    antialiased_by_products,
    around,
    backbone_layers,
    build_embedding_network,
    copy_weights,
)
from trainer.keras_file import save_keras
from trainer.photographs import evaluation_view, evaluation_views
from trainer.serving import prepared

if typing.TYPE_CHECKING:
    from trainer.probe import Probe


# Traced once in a process, whatever the number of exports.
PREPARED = tf.function(
    prepared, autograph=False,
    input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.string)])  # fmt: skip


class ServedNetwork(tf.Module):
    """A network inside a SavedModel that TensorFlow Serving can load as well.

    TensorFlow's variables are tracked, not Keras' wrappers around them: the wrappers are saved under handles that only TensorFlow
    2's own loader fills; other loaders find them empty (keras-team/keras issues 19274 and 20095).

    Its functions are plain: tf.saved_model.save traces every tf.function that is an attribute once more, and tracing the network
    is what takes the time.
    """

    def __init__(self, network: keras.Model, max_side: int):
        """Takes a network, and `data.max_side` of the photographs that it was judged by."""
        super().__init__()
        self.side = network.input_shape[1]
        self.max_side = max_side
        self.network_values = [weight.value for weight in network.weights]
        # A function, because a Keras model would be tracked.
        self.embedding = lambda pixels: network(pixels, training=False)

    def views(self, image_bytes: tf.Tensor) -> tf.Tensor:
        """The network's input for `[batch]` files: `[batch, side, side, 3]` float32 in [0, 1]."""
        max_side = tf.constant(self.max_side, tf.int64)

        def view(one: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            position, encoded = one
            name = tf.strings.format("image {} of the request", position)
            return evaluation_view(PREPARED(encoded, max_side, name), self.side)

        positions = tf.range(1, 1 + tf.size(image_bytes))
        shape = tf.TensorSpec([self.side, self.side, 3], tf.float32)
        return tf.map_fn(view, (positions, image_bytes), fn_output_signature=shape)


class EmbeddingModule(ServedNetwork):
    """A backbone with signatures for pixels and for encoded images, which become pixels as at ingest.

    An embedding describes a whole photograph: numbers pooled from feature maps that end in a ReLU, so 0 or more and without an
    upper bound. Compare two by the cosine of the angle between them; a linear classifier standardises each feature first.
    docs/embeddings.md says more. A file that is refused (trainer.serving) fails the whole batch.
    """

    def __init__(self, network: keras.Model, max_side: int, output: str = model_files.EMBEDDING):
        """As ServedNetwork; `output` names what the network computes, which may be probabilities by layers after the backbone."""
        super().__init__(network, max_side)
        self.output = output

    def signatures(self) -> dict[str, Callable]:
        """By name: what serves files as well as pixels, which is the network traced once."""

        def pixels(pixels):
            """`[batch, side, side, 3]` float32 in [0, 1], whole photographs -> embedding `[batch, features]` float32."""
            return {self.output: self.embedding(pixels)}

        def encoded_images(image_bytes):
            """`[batch]` string, JPEG, PNG, WebP, GIF or BMP files of any size -> embedding `[batch, features]` float32."""
            return of_pixels(pixels=self.views(image_bytes))

        of_pixels = _traced(pixels, tf.TensorSpec([None, self.side, self.side, 3], tf.float32, name="pixels"))
        encoded = _traced(encoded_images, tf.TensorSpec([None], tf.string, name=model_files.IMAGE_BYTES))
        return {"serving_default": encoded, model_files.SIGNATURE_ENCODED: encoded, model_files.SIGNATURE_PIXELS: of_pixels}


class ProbeModule(ServedNetwork):
    """A linear probe on a frozen backbone, with signatures for serialized tf.Examples and for encoded images."""

    def __init__(self, network: keras.Model, max_side: int, probe: "Probe"):
        super().__init__(network, max_side)
        self.mean = tf.constant(probe.mean, tf.float32)
        self.scale = tf.constant(probe.scale, tf.float32)
        self.weights = tf.constant(probe.weights, tf.float32)
        self.bias = tf.constant(probe.bias, tf.float32)

    def signatures(self) -> dict[str, Callable]:
        """By name: what serves examples as well as files, which is the network traced once."""

        def pixels(pixels):
            """`[batch, side, side, 3]` float32 in [0, 1], whole photographs -> probabilities `[batch, classes]` float32."""
            logits = (self.embedding(pixels) - self.mean) / self.scale @ self.weights + self.bias
            return {model_files.PROBABILITIES: tf.nn.softmax(logits)}

        def encoded_images(image_bytes):
            """`[batch]` string, JPEG, PNG, WebP, GIF or BMP files of any size -> probabilities `[batch, classes]` float32."""
            return of_pixels(pixels=self.views(image_bytes))

        def serialized_examples(examples_):
            """`[batch]` string, examples as contracts.examples describes -> probabilities `[batch, classes]` float32."""
            spec = {examples.IMAGE: tf.io.FixedLenFeature([], tf.string)}
            images = tf.io.parse_example(examples_, spec)[examples.IMAGE]
            return of_pixels(pixels=evaluation_views(images, self.side))  # ingest has prepared them already

        of_pixels = _traced(pixels, tf.TensorSpec([None, self.side, self.side, 3], tf.float32, name="pixels"))
        of_images = _traced(encoded_images, tf.TensorSpec([None], tf.string, name=model_files.IMAGE_BYTES))
        of_examples = _traced(serialized_examples, tf.TensorSpec([None], tf.string, name="examples"))
        return {"serving_default": of_examples, model_files.SIGNATURE_ENCODED: of_images}


def _traced(function: Callable, takes: tf.TensorSpec) -> Callable:
    """`function` of one tensor as a concrete function. It has no control flow over tensors that autograph would have to convert."""
    return tf.function(function, input_signature=[takes], autograph=False).get_concrete_function()


def untrained_network(record: dict) -> keras.Model:
    """The embedding network of a backbone record, untrained, of stock Keras layers; the same seed gives the same weights."""
    return build_network(record, normalization.stock)


def build_network(record: dict, normalization_layer: Normalization, resize: Resize = antialiased) -> keras.Model:
    """The embedding network that a backbone record describes, with these normalisations and this way to scale photographs."""
    return build_embedding_network(
        record["backbone"], **{name: record[name] for name in ("width", "stem", "seed")},
        embedding=embedding_from_json(record["embedding"]), normalization_layer=normalization_layer, resize=resize)  # fmt: skip


def baseline_network(directory: str, record: dict) -> keras.Model:
    """What the backbone of a directory is compared with, an embedding network too: the network of others that it started from, or
    the same network untrained."""
    return embedding_of(starting_network.read(directory), record) if network_of_others(record) else untrained_network(record)


def network_of_others(record: dict) -> str:
    """The network of others that a backbone was before SimSiam, by its record; "" if it is the project's own."""
    return record.get("pretrain", {}).get("warm_start", {}).get("network", "")


def embedding_of(network: keras.Model, record: dict, resize: Resize = antialiased) -> keras.Model:
    """The embedding network whose views a network of others describes, built for their resolution; with the same weights."""
    embedding = embedding_from_json(record["embedding"])
    view = starting_network.at_side(network, embedding.resolution)
    return around(keras.Model(view.inputs[0], view.outputs[0], name=DESCRIPTION), embedding, "embedding", resize)


def ingested_side(record: dict) -> int:
    """The pixels of the shorter side to which ingest reduced the photographs that a backbone was judged by, from its record."""
    return record.get("max_side", Data.max_side)  # records of earlier releases lack it: they used the default


def embedding_from_json(values: dict) -> Embedding:
    """An Embedding section from its JSON, validated like any other."""
    return Embedding(**values | {"pooling": tuple(values["pooling"])})


def export_backbone(backbone: keras.Model, record: dict, directory: str) -> None:
    """Writes SavedModel, `.keras` file and record of a trained backbone; the record last.

    Args:
      backbone: a trained network of trainer.backbones, or of trainer.starting_network.
      record: backbone, width, stem and seed, by which it was built, `embedding` (a pipeline_config.Embedding as a dictionary),
        and anything else; written to BACKBONE_RECORD. Where `pretrain` names a network of others as the start, that is copied.
      directory: local or remote.
    """
    if network_of_others(record):
        network = embedding_of(backbone, record)
        tf.io.gfile.makedirs(directory)
        start = posixpath.join(record["pretrain"]["warm_start"]["backbone"], model_files.START_KERAS)
        tf.io.gfile.copy(start, posixpath.join(directory, model_files.START_KERAS), overwrite=True)
    else:
        network = untrained_network(record)
        copy_weights(backbone, network)
    module = EmbeddingModule(network, ingested_side(record))
    tf.saved_model.save(module, directory, signatures=module.signatures())
    save_keras(network, posixpath.join(directory, model_files.BACKBONE_KERAS))
    sizes = {"photograph_side": network.input_shape[1], "embedding_size": network.output_shape[-1]}
    files.write_json(posixpath.join(directory, model_files.BACKBONE_RECORD), record | sizes)


def export_probe(network: keras.Model, max_side: int, probe: "Probe", record: dict, directory: str) -> None:
    """Writes the SavedModel of a probe on `network`, its arrays and, last, its record; `max_side` is the backbone's ingested_side.

    The signatures give the probabilities that the gate measures, at temperature 1. The record's `calibration` has the temperature T
    that calibrates them: raised to the power of 1 / T and divided by their sum.
    """
    module = ProbeModule(network, max_side, probe)
    tf.saved_model.save(module, directory, signatures=module.signatures())
    linear = {name: np.asarray(getattr(probe, name), np.float32) for name in ("mean", "scale", "weights", "bias")}
    write_arrays(linear, posixpath.join(directory, model_files.PROBE_ARRAYS))
    files.write_json(posixpath.join(directory, model_files.PROBE_RECORD), record)


def load_backbone(directory: str) -> tuple[keras.Model, dict]:
    """The network and the record of a backbone directory. Nothing in the file is executed: Keras' safe mode is on."""
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, model_files.BACKBONE_KERAS)
        tf.io.gfile.copy(posixpath.join(directory, model_files.BACKBONE_KERAS), local)
        network = keras.models.load_model(local, compile=False, safe_mode=True)
    return network, files.read_json(posixpath.join(directory, model_files.BACKBONE_RECORD))


def write_arrays(arrays: dict[str, np.ndarray], path: str) -> None:
    """Writes a NumPy archive, local or remote."""
    archive = io.BytesIO()
    np.savez_compressed(archive, allow_pickle=False, **arrays)
    with files.written(path) as file:
        file.write(archive.getvalue())


class BackboneChanged(RuntimeError):
    """The backbone, or the network of others, to start from no longer has the content hash that it had when it was chosen."""


def take_weights(backbone: keras.Model, warm_start: WarmStart) -> None:
    """Gives `backbone` the weights and running statistics of the one in warm_start.backbone, a network of the same shape.

    A network of others that is the start itself has them already.

    Raises:
      BackboneChanged: the content hash of the directory is not warm_start.content_hash.
    """
    found = content_hash(warm_start.backbone)
    if found != warm_start.content_hash:
        what, advice = f"the backbone of version {warm_start.version}", "restore the files that `flowers registry verify` names"
        if not warm_start.version:
            what, advice = f"the copy of {warm_start.network}", "start the run again"
        raise BackboneChanged(
            f"{what} at {warm_start.backbone} has content hash {found}, expected {warm_start.content_hash}: it changed since the "
            f"run began; {advice}"
        )
    if warm_start.version:
        network, _ = load_backbone(warm_start.backbone)
        copy_weights(network, backbone)


def folded(network: keras.Model, record: dict) -> keras.Model:
    """`network` with its normalisations folded into the convolutions; equal to it up to rounding.

    Args:
      network: an embedding network of stock layers, as from load_backbone.
      record: its backbone record. A network of others stays as it is: which convolution a normalisation follows is not known.
    """
    if network_of_others(record):
        return network
    result = build_network(record, normalization.folded)
    given = {layer.name: layer.get_weights() for layer in backbone_layers(network)}
    taken = {layer.name: layer for layer in backbone_layers(result)}
    for name in taken:
        if name.endswith("_norm"):
            gamma, beta, mean, variance = (weight.astype(np.float64) for weight in given[name])
            scale = gamma / np.sqrt(variance + normalization.EPSILON)
            convolution = convolution_before(name, taken)
            taken[convolution].set_weights([given[convolution][0] * scale])
            taken[name].set_weights([beta - mean * scale])
    return result


def convertible(network: keras.Model, record: dict) -> keras.Model:
    """`network` scaled by operations that LiteRT (TensorFlow Lite) has; equal to it up to rounding. Arguments as of `folded`."""
    if network_of_others(record):
        return embedding_of(network.get_layer(DESCRIPTION), record, antialiased_by_products)
    result = build_network(record, normalization.stock, antialiased_by_products)
    copy_weights(network, result)
    return result
