"""The network that turns a photograph into the backbone's embedding, which the linear probe, kNN, the registry and its users get.

SimSiam trains and the paper evaluates the last feature map, averaged; it lacks much of what earlier stages saw. So an embedding
can pool several stages in several ways, and average over several views of the photograph (docs/recipe.md has the gain of each).
Nothing here is trained: all weights are the backbone's.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from pipeline_config import Embedding
from trainer.backbones import Normalization, build_backbone, stage_outputs

# Name of the nested network that holds the backbone's layers, and so its weights.
DESCRIPTION = "description"

Resize = Callable[[keras.KerasTensor, int], keras.KerasTensor]


def antialiased(photographs: keras.KerasTensor, side: int) -> keras.KerasTensor:
    """Squares `[batch, larger, larger, channels]` scaled down to `[batch, side, side, channels]`."""
    return keras.layers.Resizing(side, side, antialias=True)(photographs)


def antialiased_by_products(photographs: keras.KerasTensor, side: int) -> keras.KerasTensor:
    """The same by two matrix products, equal up to rounding: runtimes such as LiteRT cannot scale with antialiasing."""
    larger, channels = photographs.shape[1], photographs.shape[3]
    # Scaling is linear and treats rows and columns alike, so that the scaled identity is its matrix.
    identity = tf.eye(larger)[:, :, None]
    matrix = tf.image.resize(identity, (side, larger), antialias=True)[:, :, 0].numpy()
    rows = keras.ops.matmul(matrix, keras.ops.reshape(photographs, (-1, larger, larger * channels)))
    turned = keras.ops.transpose(keras.ops.reshape(rows, (-1, side, larger, channels)), (0, 2, 1, 3))
    columns = keras.ops.matmul(matrix, keras.ops.reshape(turned, (-1, larger, side * channels)))
    return keras.ops.transpose(keras.ops.reshape(columns, (-1, side, side, channels)), (0, 2, 1, 3))


def build_embedding_network(
    name: str, *, width: int, stem: str, seed: int, embedding: Embedding, normalization_layer: Normalization,
    resize: Resize = antialiased,
) -> keras.Model:  # fmt: skip
    """An untrained embedding network, of stock Keras layers but for `normalization_layer`.

    Args:
      name, width, stem, seed, normalization_layer: as in trainer.backbones.build_backbone.
      embedding: resolution, stages, pooling and views.
      resize: scales photographs down to one view.

    Returns:
      A model from whole photographs scaled to squares, `[batch, side, side, 3]` float32 in [0, 1] with side = embedding.side,
      to embeddings `[batch, features]` float32: the mean over the views of the pooled stages, concatenated from the first stage
      to the last and within a stage in the order of embedding.pooling.
    """
    backbone = build_backbone(
        name, width=width, stem=stem, resolution=embedding.resolution, seed=seed, normalization_layer=normalization_layer
    )
    pooled = [pool(feature_map, kind) for feature_map in stage_outputs(backbone)[-embedding.stages :] for kind in embedding.pooling]
    return around(keras.Model(backbone.input, _joined(pooled), name=DESCRIPTION), embedding, name, resize)


def around(description: keras.Model, embedding: Embedding, name: str, resize: Resize = antialiased) -> keras.Model:
    """The network called `name` from whole photographs to the mean over their views of `description`, which takes one view.

    Args:
      description: from `[batch, resolution, resolution, 3]` to `[batch, features]`; its name is DESCRIPTION.
    """
    photographs = keras.Input((embedding.side, embedding.side, 3), name="photographs")
    # Inference mode is part of the network: called without `training`, it must not normalise by the batch.
    described = [description(view, training=False) for view in views(photographs, embedding, resize)]
    return keras.Model(photographs, _joined_mean(described), name=name)


def pool(feature_map: keras.KerasTensor, kind: str) -> keras.KerasTensor:
    """One number a channel of `[batch, height, width, channels]`: `[batch, channels]`.

    Args:
      kind: "mean", "deviation" (standard deviation over the places) or "maximum".
    """
    # Pooling layers over the whole map are vectorised; a reduction over the two middle axes is not.
    window = feature_map.shape[1:3]
    if kind == "maximum":
        return keras.layers.Flatten()(keras.layers.MaxPooling2D(window)(feature_map))
    mean = keras.layers.Flatten()(keras.layers.AveragePooling2D(window)(feature_map))
    if kind == "mean":
        return mean
    mean_square = keras.layers.Flatten()(keras.layers.AveragePooling2D(window)(feature_map * feature_map))
    # Rounding may leave the difference a little below 0.
    return keras.ops.sqrt(keras.ops.relu(mean_square - mean * mean))


def views(photographs: keras.KerasTensor, embedding: Embedding, resize: Resize = antialiased) -> list[keras.KerasTensor]:
    """The views of `[batch, side, side, 3]` that are averaged, each `[batch, resolution, resolution, 3]`.

    The whole photograph; if it is larger than a view, also its four corners and its centre, unscaled; and all of them mirrored
    if embedding.mirrored.
    """
    side, resolution = embedding.side, embedding.resolution
    chosen = [resize(photographs, resolution) if side > resolution else photographs]
    if side > resolution:
        near, far, centre = (0, side - resolution), (side - resolution, 0), _centred(side, resolution)
        places = [(near, near), (near, far), (far, near), (far, far), (centre, centre)]
        chosen += [keras.layers.Cropping2D(place)(photographs) for place in places]
    if embedding.mirrored:
        chosen += [keras.ops.flip(view, axis=2) for view in chosen]
    return chosen


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies a backbone's weights between two networks of the same architecture (for training or embedding), by layer name.

    Raises:
      ValueError: a layer is missing in either, or differs in shape.
    """
    given = {layer.name: layer for layer in backbone_layers(source)}
    taken = {layer.name: layer for layer in backbone_layers(target)}
    if given.keys() != taken.keys():
        raise ValueError(f"both networks must have the same layers, got {sorted(given.keys() ^ taken.keys())} in one only")
    for name, layer in taken.items():
        layer.set_weights(given[name].get_weights())


def backbone_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """The layers with weights of a training or an embedding network."""
    nested = [layer for layer in network.layers if layer.name == DESCRIPTION]
    return [layer for layer in (nested[0] if nested else network).layers if layer.weights]


def _centred(side: int, resolution: int) -> tuple[int, int]:
    before = (side - resolution) // 2
    return before, side - resolution - before


def _joined(tensors: list[keras.KerasTensor]) -> keras.KerasTensor:
    return keras.layers.Concatenate()(tensors) if len(tensors) > 1 else tensors[0]


def _joined_mean(tensors: list[keras.KerasTensor]) -> keras.KerasTensor:
    return keras.layers.Average()(tensors) if len(tensors) > 1 else tensors[0]
