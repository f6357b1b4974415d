"""Features of many photographs by frozen networks: what kNN, the linear probe and its floors are measured on."""

from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

# Photographs embedded at a time: enough to keep every core busy, few enough that ResNet-50 at 224 pixels stays in memory.
BATCH = 128


def embedder(networks: Sequence[keras.Model]) -> Callable[[Iterable[tf.Tensor]], list[np.ndarray]]:
    """A function that embeds by all of `networks`, in inference mode. Its graph is traced once, however often it is called.

    Args:
      networks: from `[batch, resolution, resolution, 3]` float32 in [0, 1] to `[batch, features]` float32.

    Returns:
      A function from batches of views to the features by each network, `[count, features]` float32 in the order of the views.
    """
    step = tf.function(lambda views: [network(views, training=False) for network in networks], reduce_retracing=True)

    def embed(batches: Iterable[tf.Tensor]) -> list[np.ndarray]:
        return [np.concatenate(parts) for parts in zip(*([part.numpy() for part in step(views)] for views in batches))]

    return embed
