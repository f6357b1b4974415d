"""Features of many photographs by frozen networks, and kNN accuracy on them."""

from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

# Rows compared at a time: a block of similarities to 100,000 features stays under 250 MB.
BLOCK = 512


def knn_accuracy(
    features: np.ndarray, labels: np.ndarray, neighbours: int, queries: tuple[np.ndarray, np.ndarray] | None = None
) -> float:
    """Share of queries whose nearest features vote for their class.

    Neighbours by cosine similarity, one vote each; a tie goes to the class whose voters are more similar in sum.

    Args:
      features: the bank, `[count, d]` float32.
      labels: its classes, `[count]` integers from 0.
      neighbours: how many vote; at most as many as there are.
      queries: (features `[m, d]`, labels `[m]`); None queries the bank itself, each feature without its own vote.

    Returns:
      In [0, 1].
    """
    bank = normalize(features)
    asked, truth = (bank, labels) if queries is None else (normalize(queries[0]), queries[1])
    available = len(bank) - (1 if queries is None else 0)
    k = min(neighbours, available)
    classes = int(max(labels.max(), truth.max())) + 1
    correct = 0
    for start in range(0, len(asked), BLOCK):
        block = asked[start : start + BLOCK]
        similarity = block @ bank.T
        if queries is None:
            rows = np.arange(len(block))
            similarity[rows, start + rows] = -np.inf
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        weight = np.take_along_axis(similarity, nearest, axis=1)
        votes = np.zeros((len(block), classes))
        for column in range(k):
            # One vote is worth more than all similarities together, which only break ties.
            votes[np.arange(len(block)), labels[nearest[:, column]]] += 1 + weight[:, column] / (4 * k)
        correct += int(np.sum(votes.argmax(axis=1) == truth[start : start + BLOCK]))
    return correct / len(asked)


def nearest(features: np.ndarray, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The features that are most similar to a few queries, exactly.

    Similarity is the cosine of the angle as seen from the bank's mean: features are 0 or more, so that from the origin all lie in
    almost the same direction. (kNN accuracy is the published measure, without a mean.)

    Args:
      features: the bank, `[bank, d]` float32.
      queries: `[queries, d]` float32.
      count: how many for each; at most as many as there are.

    Returns:
      Positions in the bank and similarities in [-1, 1], both `[queries, count]`, most similar first.
    """
    mean = np.mean(features, axis=0, dtype=np.float64).astype(np.float32)
    similarity = normalize(queries - mean) @ normalize(features - mean).T
    positions = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return positions, np.take_along_axis(similarity, positions, axis=1)


def normalize(features: np.ndarray) -> np.ndarray:
    """Features `[count, d]` scaled to length 1, float32."""
    features = np.asarray(features, np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


# Photographs embedded at a time: enough to keep every core busy, few enough that ResNet-50 at 224 pixels stays in memory.
BATCH = 128


def embedder(networks: Sequence[keras.Model]) -> Callable[[Iterable[tf.Tensor]], list[np.ndarray]]:
    """A function that embeds by all of `networks`, in inference mode. Its graph is traced only once.

    Args:
      networks: from `[batch, resolution, resolution, 3]` float32 in [0, 1] to `[batch, features]` float32.

    Returns:
      A function from batches of views to the features by each network, `[count, features]` float32 in the order of the views.
    """
    # No control flow over tensors that autograph would have to convert, which takes longer than the tracing itself.
    step = tf.function(
        lambda views: [network(views, training=False) for network in networks], reduce_retracing=True, autograph=False
    )

    def embed(batches: Iterable[tf.Tensor]) -> list[np.ndarray]:
        return [np.concatenate(parts) for parts in zip(*([part.numpy() for part in step(views)] for views in batches))]

    return embed
