"""Stochastic gradient descent as SimSiam's released code runs it, that is PyTorch's `torch.optim.SGD`.

It differs from `keras.optimizers.SGD` in both respects that matter here: weight decay is coupled (part of the gradient that enters
the momentum), and the rate multiplies the momentum afterwards, so that a changed rate acts on all of it at once.
"""

from collections.abc import Sequence

import tensorflow as tf


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
