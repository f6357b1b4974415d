"""The learning rate (arXiv 2011.10566, section 3): linear in the batch, cosine over the run, no warm-up."""

import math

import tensorflow as tf


def scaled_rate(base_learning_rate: float, batch_size: int) -> float:
    """base_learning_rate x batch_size / 256, the linear scaling rule (Goyal et al., arXiv 1706.02677)."""
    return base_learning_rate * batch_size / 256


def cosine_decay(rate: float, step: tf.Tensor, steps: int) -> tf.Tensor:
    """rate x (1 + cos(pi step / steps)) / 2: from `rate` at step 0 to 0 at `steps` (Loshchilov and Hutter, arXiv 1608.03983).

    Args:
      rate: the initial rate.
      step: the current step, an integer scalar from 0 to `steps`.
      steps: steps of the whole run.

    Returns:
      A float32 scalar.
    """
    progress = tf.cast(step, tf.float32) / steps
    return rate * (1 + tf.cos(math.pi * progress)) / 2
