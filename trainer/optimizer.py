"""Stochastic gradient descent as in SimSiam's released code, that is PyTorch's `torch.optim.SGD`, with rate and loss scale.

It differs from `keras.optimizers.SGD` in two ways: weight decay is coupled (part of the gradient that enters the momentum), and
the rate multiplies the momentum afterwards, so that a changed rate acts on all of it at once. The rate is linear in the batch and
follows a cosine over the run, without warm-up (arXiv 2011.10566, section 3). Dynamic loss scaling keeps gradients in float16 from
vanishing (Micikevicius et al., arXiv 1710.03740, section 3.2).
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from trainer import replicas


def zero_momentum(variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    """One accumulator a variable, of its shape and dtype, at 0."""
    return [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in variables]


def apply_gradients(
    variables: Sequence[tf.Variable],
    gradients: Sequence[tf.Tensor],
    accumulators: Sequence[tf.Variable],
    *,
    rate: tf.Tensor | float,
    momentum: float,
    weight_decay: float,
) -> None:
    """Updates every variable w by its gradient g and its accumulator a, each in one fused operation:

        a <- momentum a + g + weight_decay w
        w <- w - rate a

    Args:
      variables, gradients, accumulators: in the same order; a gradient has its variable's shape.
      rate: the learning rate, a scalar.
      momentum: in [0, 1).
      weight_decay: 0 or more.
    """
    for variable, gradient, accumulator in zip(variables, gradients, accumulators, strict=True):
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=accumulator.handle,
            lr=tf.cast(rate, variable.dtype),
            grad=gradient + weight_decay * variable,
            momentum=tf.cast(momentum, variable.dtype),
        )


def sum_in_order(*summands: tf.Tensor) -> tf.Tensor:
    """Their sum, in this order in every run, so that the same training twice gives the same weights to the bit.

    Of three or more tensors of known shape TensorFlow's graph optimizer (Grappler's memory_optimizer.cc, SchedulingPass) adds each to a
    temporary variable as it arrives, and merges the sum with those around it. It leaves alone a sum whose shape it does not know.

    Args:
      summands: of one shape and dtype.
    """
    hidden = [tf.compat.v1.placeholder_with_default(summand, shape=None) for summand in summands]
    return tf.ensure_shape(tf.add_n(hidden), summands[0].shape)


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


# The scale to begin with and the steps without overflow after which it doubles: the defaults of torch.amp.GradScaler.
INITIAL = 2.0**16
GROWTH_STEPS = 2000
# Smallest scale: below 1, scaling would make gradients smaller.
SMALLEST = 1.0


class LossScale:
    """The factor of the loss: halved when a gradient overflows, doubled after GROWTH_STEPS steps without an overflow.

    Attributes:
      scale: the factor, a float32 scalar.
      good_steps: steps since it last changed, an int32 scalar.
    """

    def __init__(self):
        self.scale = tf.Variable(INITIAL, trainable=False, name="loss_scale")
        self.good_steps = tf.Variable(0, trainable=False, name="loss_scale_good_steps")

    def unscaled(self, gradients):
        """A structure of gradients of the scaled loss, divided by the scale."""
        return tf.nest.map_structure(lambda gradient: gradient / self.scale, gradients)

    def adapt(self, gradients) -> tf.Tensor:
        """Updates the scale and returns whether all `gradients` are finite, a boolean scalar: apply them only then."""
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in tf.nest.flatten(gradients)])
        steps = tf.where(finite, self.good_steps + 1, 0)
        grown = tf.where(steps == GROWTH_STEPS, 2 * self.scale, self.scale)
        replicas.assign(self.scale, tf.where(finite, grown, tf.maximum(self.scale / 2, SMALLEST)))
        replicas.assign(self.good_steps, tf.where(steps == GROWTH_STEPS, 0, steps))
        return finite
