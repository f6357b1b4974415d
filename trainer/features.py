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
QUERIES, PIECE = 256, 4096


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

    lengths = np.concatenate([_lengths(features[rows]) for rows in blocks(*features.shape)])

    def right(first: int) -> int:
        """How many of QUERIES queries from `first` on."""
        block = normalize(asked[first : first + QUERIES])
        every = np.arange(len(block))
        # The nearest so far, by query and then by similarity; and the similarity of the last of k, below any until there are k.
        query, similarity, voter, least = every[:0], np.zeros(0, np.float32), labels[:0], np.full(len(block), -2, np.float32)
        for start in range(0, len(features), PIECE):
            piece = block @ features[start : start + PIECE].T.astype(np.float32, copy=False)
            piece /= lengths[start : start + PIECE]
            if queries is None:
                own = (first + every >= start) & (first + every < start + piece.shape[1])
                piece[every[own], first + every[own] - start] = -np.inf
            if start == 0 and k < piece.shape[1]:
                row, column = np.repeat(every, k), np.argpartition(piece, -k, axis=1)[:, -k:].ravel()
            else:  # where nearly all are less similar, so that looking for the others is less work than another partition
                row, column = np.divmod(np.flatnonzero(piece > least[:, None]), piece.shape[1])
            query = np.concatenate([query, row])
            similarity = np.concatenate([similarity, piece[row, column]])
            voter = np.concatenate([voter, labels[start + column]])
            order = np.lexsort((-similarity, query))
            query, similarity, voter = query[order], similarity[order], voter[order]
            rank = np.arange(len(query)) - np.searchsorted(query, query)
            least[query[rank == k - 1]] = similarity[rank == k - 1]
            query, similarity, voter = query[rank < k], similarity[rank < k], voter[rank < k]
        votes = np.zeros((len(block), classes))
        # One vote is worth more than all similarities together, which only break ties.
        np.add.at(votes, (query, voter), 1 + similarity / (4 * k))
        return int(np.sum(votes.argmax(axis=1) == truth[first : first + QUERIES]))

    with ThreadPoolExecutor(cores()) as threads, threadpool_limits(1, "blas"):
        return sum(threads.map(right, range(0, len(asked), QUERIES))) / len(asked)


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
    return features / _lengths(features)[:, None]


def _lengths(features: np.ndarray) -> np.ndarray:
    """`[count]` float32, at least so much that zero features may be divided by it."""
    return np.maximum(np.linalg.norm(np.asarray(features, np.float32), axis=1), 1e-12)


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
