"""SimSiam's loss (arXiv 2011.10566, equations 1 to 4)."""

import tensorflow as tf


def negative_cosine_similarity(p: tf.Tensor, z: tf.Tensor, *, stop_gradient: bool = True) -> tf.Tensor:
    """D(p, z) = - p/|p| . stopgrad(z)/|z|, averaged over the batch (equations 1 and 3).

    Args:
      p: predictions, `[batch, d]` float32.
      z: projections of the other view, `[batch, d]` float32; no gradient flows into them.
      stop_gradient: False lets it flow, which is equation 1 alone: the ablation of section 4.1, which collapses.

    Returns:
      A scalar in [-1, 1].
    """
    p = tf.math.l2_normalize(p, axis=1)
    z = tf.math.l2_normalize(tf.stop_gradient(z) if stop_gradient else z, axis=1)
    return -tf.reduce_mean(tf.reduce_sum(p * z, axis=1))


def simsiam_loss(p1: tf.Tensor, p2: tf.Tensor, z1: tf.Tensor, z2: tf.Tensor, *, stop_gradient: bool = True) -> tf.Tensor:
    """L = D(p1, z2) / 2 + D(p2, z1) / 2 (equations 2 and 4).

    Args:
      p1, p2: predictions from the first and second view, `[batch, d]` float32.
      z1, z2: projections of the first and second view, `[batch, d]` float32.
      stop_gradient: as in negative_cosine_similarity.

    Returns:
      A scalar in [-1, 1]; -1 is reached by perfect agreement, and at once by a collapse.
    """
    first = negative_cosine_similarity(p1, z2, stop_gradient=stop_gradient)
    second = negative_cosine_similarity(p2, z1, stop_gradient=stop_gradient)
    return first / 2 + second / 2
