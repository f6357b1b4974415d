"""Features of many photographs by frozen networks, and kNN accuracy on them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf
from threadpoolctl import threadpool_limits

from contracts.cores import cores
from contracts.threads import in_order
from trainer.blocks import Rows, blocks
from trainer.threads import calls_at_once

# Queries that a thread compares at a time, and with how many features: 4 MB of similarities, whatever the number of either.
QUERIES, PIECE = 128, 8192


def knn_accuracy(features: np.ndarray, labels: np.ndarray, neighbours: int, queries: tuple[np.ndarray, np.ndarray] | None = None) -> float:
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
    asked, truth = (features, labels) if queries is None else queries
    k = min(neighbours, len(features) - (1 if queries is None else 0))
    classes = int(max(labels.max(), truth.max())) + 1

    def right(first: int) -> int:
        """How many of QUERIES queries from `first` on."""
        block = normalize(asked[first : first + QUERIES])
        rows = np.arange(len(block))
        similarities, voters = [], []
        for start in range(0, len(features), PIECE):
            similarity = block @ normalize(features[start : start + PIECE]).T
            if queries is None:
                own = (first + rows >= start) & (first + rows < start + similarity.shape[1])
                similarity[rows[own], first + rows[own] - start] = -np.inf
            most_similar = _largest(similarity, k)
            similarities.append(np.take_along_axis(similarity, most_similar, axis=1))
            voters.append(labels[start + most_similar])
        similarity, voter = np.concatenate(similarities, axis=1), np.concatenate(voters, axis=1)
        most_similar = _largest(similarity, k)
        similarity, voter = (np.take_along_axis(one, most_similar, axis=1) for one in (similarity, voter))
        votes = np.zeros((len(block), classes))
        for column in range(k):
            # One vote is worth more than all similarities together, which only break ties.
            votes[rows, voter[:, column]] += 1 + similarity[:, column] / (4 * k)
        return int(np.sum(votes.argmax(axis=1) == truth[first : first + QUERIES]))

    with ThreadPoolExecutor(cores()) as threads, threadpool_limits(1, "blas"):
        return sum(threads.map(right, range(0, len(asked), QUERIES))) / len(asked)


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` largest of each row, in no order; all if there are no more."""
    return np.argpartition(values, -min(count, values.shape[1]), axis=1)[:, -count:]


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
    directions = normalize(queries - mean)
    similarity = np.concatenate([directions @ normalize(features[rows] - mean).T for rows in blocks(*features.shape)], axis=1)
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
      A function from batches of views, or of views by resolution where the networks do not all take the same, to the features by
      each network, `[count, features]` float32 in the order of the views; not to be written to, as many of them are a file
      (trainer.blocks.Rows).
    """

    def of(network: keras.Model, views: tf.Tensor | Mapping[int, tf.Tensor]) -> tf.Tensor:
        return network(views[network.input_shape[1]] if isinstance(views, Mapping) else views, training=False)

    # No control flow over tensors that autograph would have to convert, which takes longer than the tracing itself.
    step = tf.function(lambda views: [of(network, views) for network in networks], reduce_retracing=True, autograph=False)

    def embed(batches: Iterable[tf.Tensor | Mapping[int, tf.Tensor]]) -> list[np.ndarray]:
        found = [Rows() for _ in networks]
        calls = calls_at_once()
        with ThreadPoolExecutor(calls) as threads:
            for parts in in_order(threads, step, batches, calls - 1):
                for rows, part in zip(found, parts):
                    rows.add(part.numpy())
        return [rows.array() for rows in found]

    return embed
