"""Dynamic scaling of the loss, without which gradients in float16 vanish (Micikevicius et al., arXiv 1710.03740, section 3.2)."""

import tensorflow as tf

from trainer import replicas

# The scale to begin with and the steps without overflow after which it doubles: the defaults of torch.amp.GradScaler.
INITIAL = 2.0**16
GROWTH_STEPS = 2000
# Smallest scale: below 1 the loss would lose what scaling is for.
SMALLEST = 1.0


class LossScale:
    """The factor of the loss: halved when a gradient overflows, doubled after GROWTH_STEPS steps without.

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
        """Moves the scale, and returns whether all `gradients` are finite, a boolean scalar: only then are they to be applied."""
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in tf.nest.flatten(gradients)])
        steps = tf.where(finite, self.good_steps + 1, 0)
        grown = tf.where(steps == GROWTH_STEPS, 2 * self.scale, self.scale)
        replicas.assign(self.scale, tf.where(finite, grown, tf.maximum(self.scale / 2, SMALLEST)))
        replicas.assign(self.good_steps, tf.where(steps == GROWTH_STEPS, 0, steps))
        return finite
