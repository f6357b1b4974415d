"""SimSiam (arXiv 2011.10566): the networks and one training step, algorithm 1 of the paper."""

from typing import NamedTuple

import keras
import tensorflow as tf

from pipeline_config import Pretrain
from trainer import optimizer, replicas, schedule
from trainer.backbones import build_backbone
from trainer.heads import build_predictor, build_projector
from trainer.loss import simsiam_loss
from trainer.loss_scale import LossScale
from trainer.monitors import output_std_ratio
from trainer.views import random_view


class SimSiam(NamedTuple):
    """The three networks, and the optimizer's accumulators for the weights of (backbone, projector) and of the predictor.

    `loss_scale` is there where the backbone computes in float16.
    """

    backbone: keras.Model
    projector: keras.Model
    predictor: keras.Model
    encoder_momentum: list[tf.Variable]
    predictor_momentum: list[tf.Variable]
    loss_scale: LossScale | None = None
    # False is an ablation that collapses (section 4.1), for trainer/ablations.py alone.
    stop_gradient: bool = True

    @property
    def encoder_variables(self) -> list[tf.Variable]:
        """Trained weights of backbone and projector, the paper's encoder f."""
        return [weight.value for model in (self.backbone, self.projector) for weight in model.trainable_variables]

    @property
    def predictor_variables(self) -> list[tf.Variable]:
        """Trained weights of the paper's predictor h."""
        return [weight.value for weight in self.predictor.trainable_variables]

    @property
    def all_variables(self) -> list[tf.Variable]:
        """Every value that training changes: weights, running statistics, momentum and the scale of the loss."""
        weights = [weight.value for model in (self.backbone, self.projector, self.predictor) for weight in model.variables]
        scale = [] if self.loss_scale is None else [self.loss_scale.scale, self.loss_scale.good_steps]
        return weights + self.encoder_momentum + self.predictor_momentum + scale


def build_simsiam(settings: Pretrain) -> SimSiam:
    """Untrained networks; settings.seed determines every weight."""
    backbone = build_backbone(
        settings.backbone, width=settings.width, stem=settings.stem, resolution=settings.resolution, seed=settings.seed,
        precision=settings.precision,
    )
    features, width = backbone.output_shape[-1], settings.projector_width
    projector = build_projector(features, layers=settings.projector_layers, width=width, seed=settings.seed)
    predictor = build_predictor(width, width=settings.predictor_width, seed=settings.seed)
    encoder = [weight.value for model in (backbone, projector) for weight in model.trainable_variables]
    head = [weight.value for weight in predictor.trainable_variables]
    scale = LossScale() if settings.precision == "mixed_float16" else None
    return SimSiam(
        backbone, projector, predictor, optimizer.zero_momentum(encoder), optimizer.zero_momentum(head), scale
    )


def train_step(
    model: SimSiam, canvases: tf.Tensor, aspects: tf.Tensor, step: tf.Tensor, *, steps: int, settings: Pretrain
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One step: two views, symmetric loss, and the update of all weights. To be called inside a `tf.function`.

    Inside `strategy.run` each replica gets its share of the batch; the results are those of the whole batch, on all alike.

    Args:
      canvases: photographs, `[batch, side, side, 3]` uint8.
      aspects: width / height of each, `[batch]` float32.
      step: which step of the run this is, an integer scalar from 0; with settings.seed it determines the views.
      steps: steps of the whole run, over which the rate falls to 0.

    Returns:
      The loss, the output std ratio (scalars, float32) and the first view's projections `[batch, d]`.
    """
    step = tf.cast(step, tf.int32)
    view1, view2 = (
        random_view(canvases, aspects, tf.stack([settings.seed, 2 * step + index]), settings.resolution, settings.views)
        for index in range(2)
    )

    def learn(view1, view2, step):
        loss, z1, gradients = loss_and_gradients(model, view1, view2)
        update(model, gradients, step, steps=steps, settings=settings)
        return loss, z1

    # The views stay outside: XLA has no CropAndResize.
    loss, z1 = (tf.function(learn, jit_compile=True) if settings.xla else learn)(view1, view2, step)
    z1 = replicas.gathered(z1)
    return replicas.mean(loss), output_std_ratio(z1), z1


def loss_and_gradients(model: SimSiam, view1: tf.Tensor, view2: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tuple]:
    """The symmetric loss of two batches of views and its gradients; updates the running statistics, once a view.

    Args:
      view1, view2: `[batch, resolution, resolution, 3]` float32 in [0, 1].

    Returns:
      The loss (scalar), the first view's projections `[batch, d]`, and the gradients of encoder and predictor variables. Of
      several replicas: loss and projections of this one, gradients of the loss of all.
    """
    with tf.GradientTape() as tape:
        z1 = model.projector(model.backbone(view1, training=True), training=True)
        z2 = model.projector(model.backbone(view2, training=True), training=True)
        p1 = model.predictor(z1, training=True)
        p2 = model.predictor(z2, training=True)
        loss = simsiam_loss(p1, p2, z1, z2, stop_gradient=model.stop_gradient)
        target = loss if model.loss_scale is None else loss * model.loss_scale.scale
    gradients = tape.gradient(target, (model.encoder_variables, model.predictor_variables))
    if model.loss_scale is not None:
        gradients = model.loss_scale.unscaled(gradients)
    return loss, z1, replicas.mean(gradients)


def update(model: SimSiam, gradients: tuple, step: tf.Tensor, *, steps: int, settings: Pretrain) -> None:
    """Moves the weights: the encoder by the decaying rate, the predictor by the initial one (section 4.2, table 1 c).

    With a scaled loss, weights and momentum stay as they are where a gradient overflowed.
    """
    if model.loss_scale is not None:
        finite = model.loss_scale.adapt(gradients)
        tf.cond(finite, lambda: _move(model, gradients, step, steps, settings), lambda: None)
    else:
        _move(model, gradients, step, steps, settings)


def _move(model: SimSiam, gradients: tuple, step: tf.Tensor, steps: int, settings: Pretrain) -> None:
    encoder_gradients, predictor_gradients = gradients
    rate = schedule.scaled_rate(settings.base_learning_rate, settings.batch_size)
    common = {"momentum": settings.momentum, "weight_decay": settings.weight_decay}
    optimizer.apply_gradients(
        model.encoder_variables, encoder_gradients, model.encoder_momentum,
        rate=schedule.cosine_decay(rate, step, steps), **common)  # fmt: skip
    optimizer.apply_gradients(
        model.predictor_variables, predictor_gradients, model.predictor_momentum, rate=rate, **common)  # fmt: skip
