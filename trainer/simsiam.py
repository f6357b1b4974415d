"""SimSiam (arXiv 2011.10566): loss (equations 1 to 4), heads (section 3, "Baseline settings"), networks, and one training step.

`train_step` is algorithm 1 of the paper, for two views or more (FastSiam, Pototzky et al. 2022). The two ablations of sections
4.1 and 4.2, without stop-gradient and without predictor, both collapse, and the monitors' limits are derived from them; no
setting enables them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from pipeline_config import AUTO, Pretrain
from trainer import optimizer, replicas, starting_network
from trainer.backbones import build_backbone
from trainer.monitors import output_std_ratio
from trainer.normalization import FusedBatchNormalization
from trainer.optimizer import LossScale, sum_in_order
from trainer.views import random_view


def build_projector(features: int, *, layers: int, width: int, seed: int) -> keras.Model:
    """Fully connected layers with normalisation on each, ReLU on all but the last; the output normalisation is not affine.

    The paper's has 3 layers of width 2048; for CIFAR-10, 2.

    Returns:
      A model from `[batch, features]` to `[batch, width]` float32.
    """
    inputs = x = keras.Input((features,), name="features")
    for index in range(1, layers + 1):
        last = index == layers
        x = _dense(width, x.shape[-1], False, seed * 1009 + index, f"dense{index}")(x)
        x = FusedBatchNormalization(affine=not last, name=f"norm{index}")(x)
        if not last:
            x = keras.layers.ReLU(name=f"relu{index}")(x)
    return keras.Model(inputs, x, name="projector")


def build_predictor(features: int, *, width: int, seed: int) -> keras.Model:
    """A bottleneck of one hidden layer: normalisation and ReLU on the hidden layer only, a bias on the output.

    The paper's is 2048 -> 512 -> 2048.

    Returns:
      A model from `[batch, features]` to `[batch, features]` float32.
    """
    inputs = keras.Input((features,), name="projection")
    x = _dense(width, features, False, seed * 1009 + 101, "dense1")(inputs)
    x = FusedBatchNormalization(name="norm1")(x)
    x = keras.layers.ReLU(name="relu1")(x)
    x = _dense(features, width, True, seed * 1009 + 102, "dense2")(x)
    return keras.Model(inputs, x, name="predictor")


def _dense(units: int, fan_in: int, bias: bool, seed: int, name: str) -> keras.layers.Layer:
    # Uniform within 1/sqrt(fan_in) for weights and bias: PyTorch's default for linear layers, which the released code keeps.
    def uniform(offset):
        limit = 1 / math.sqrt(fan_in)
        return keras.initializers.RandomUniform(-limit, limit, seed=seed + offset)

    return keras.layers.Dense(
        units, use_bias=bias, kernel_initializer=uniform(0), bias_initializer=uniform(500) if bias else "zeros", name=name
    )


def negative_cosine_similarity(p: tf.Tensor, z: tf.Tensor, *, stop_gradient: bool = True) -> tf.Tensor:
    """D(p, z) = - p/|p| . stopgrad(z)/|z|, averaged over the batch (equations 1 and 3).

    Args:
      p: predictions, `[batch, d]` float32.
      z: projections of the other view, `[batch, d]` float32; no gradient flows into them.
      stop_gradient: False lets gradients flow, as in equation 1: the ablation of section 4.1, which collapses.

    Returns:
      A scalar in [-1, 1].
    """
    p = tf.math.l2_normalize(p, axis=1)
    z = tf.math.l2_normalize(tf.stop_gradient(z) if stop_gradient else z, axis=1)
    return -tf.reduce_mean(tf.reduce_sum(p * z, axis=1))


def losses_of_views(predictions: Sequence[tf.Tensor], projections: Sequence[tf.Tensor], *, stop_gradient: bool = True) -> list[tf.Tensor]:
    """Each view's share of the loss: D(p, z) / views, where z is the sum of the directions of the other views' projections.

    Of two views their sum is equations 2 and 4, L = D(p1, z2) / 2 + D(p2, z1) / 2; of more, FastSiam's loss (Pototzky et al. 2022,
    section 3): the mean of several views is a steadier target than one of them.

    Args:
      predictions: from each view, `[batch, d]` float32.
      projections: of each view, in the same order, `[batch, d]` float32.
      stop_gradient: as in negative_cosine_similarity.

    Returns:
      A scalar a view. Their sum is in [-1, 1]; perfect agreement reaches -1, and so does a collapse, at once.
    """
    count = len(projections)
    directions = tf.stack([tf.math.l2_normalize(projection, axis=1) for projection in projections])
    # One product, because AddN begins with a summand whose memory it may reuse, and that changes from run to run where others read it too.
    targets = tf.unstack(tf.tensordot(tf.ones([count, count]) - tf.eye(count), directions, axes=1))
    return [
        negative_cosine_similarity(prediction, target, stop_gradient=stop_gradient) / count
        for prediction, target in zip(predictions, targets, strict=True)
    ]


def simsiam_loss(predictions: Sequence[tf.Tensor], projections: Sequence[tf.Tensor], *, stop_gradient: bool = True) -> tf.Tensor:
    """The sum of losses_of_views, a scalar in [-1, 1]."""
    return tf.add_n(losses_of_views(predictions, projections, stop_gradient=stop_gradient))


class SimSiam(NamedTuple):
    """The three networks, and the optimizer's accumulators for the weights of (backbone, projector) and of the predictor.

    `loss_scale` is None unless the backbone computes in float16.
    """

    backbone: keras.Model
    projector: keras.Model
    predictor: keras.Model
    encoder_momentum: list[tf.Variable]
    predictor_momentum: list[tf.Variable]
    loss_scale: LossScale | None = None
    # False is the ablation of section 4.1, which collapses.
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
    """Untrained networks; settings.seed determines every weight. A network of others that is the start has its weights already.

    Raises:
      ConfigurationError: that network cannot be built for settings.resolution.
      ValueError: settings.precision is `auto`, of which trainer.precision makes one that can be computed in.
    """
    if settings.precision == AUTO:
        raise ValueError("pretrain.precision is auto: choose one by trainer.precision.chosen first, or name one")
    if settings.warm_start.network:
        backbone = starting_network.build(settings.warm_start.backbone, settings.resolution, settings.seed)
    else:
        backbone = build_backbone(
            settings.backbone,
            width=settings.width,
            stem=settings.stem,
            resolution=settings.resolution,
            seed=settings.seed,
            precision=settings.precision,
        )
    features, width = backbone.output_shape[-1], settings.projector_width
    projector = build_projector(features, layers=settings.projector_layers, width=width, seed=settings.seed)
    predictor = build_predictor(width, width=settings.predictor_width, seed=settings.seed)
    encoder = [weight.value for model in (backbone, projector) for weight in model.trainable_variables]
    head = [weight.value for weight in predictor.trainable_variables]
    scale = LossScale() if settings.precision == "mixed_float16" else None
    return SimSiam(backbone, projector, predictor, optimizer.zero_momentum(encoder), optimizer.zero_momentum(head), scale)


def train_step(
    model: SimSiam, canvases: tf.Tensor, aspects: tf.Tensor, step: tf.Tensor, *, steps: int, settings: Pretrain
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One step: the views, symmetric loss, and the update of all weights. Call it inside a `tf.function`.

    Inside `strategy.run` each replica gets its share of the batch; the results are those of the whole batch, equal on all
    replicas.

    Args:
      canvases: photographs, `[batch, side, side, 3]` uint8.
      aspects: width / height of each, `[batch]` float32.
      step: number of the step, an integer scalar from 0; with settings.seed it determines the views.
      steps: steps of the whole run, over which the rate falls to 0.

    Returns:
      The loss, the output std ratio (scalars, float32) and the first view's projections `[batch, d]`.
    """
    step = tf.cast(step, tf.int32)
    views = [
        random_view(
            canvases, aspects, tf.stack([settings.seed, settings.view_count * step + index]), settings.resolution, settings.views)
        for index in range(settings.view_count)
    ]  # fmt: skip

    def learn(views, step):
        loss, z1, gradients = loss_and_gradients(model, *views)
        update(model, gradients, step, steps=steps, settings=settings)
        return loss, z1

    # The views stay outside: XLA has no CropAndResize. Several devices exchange in plain graphs: on processors TensorFlow does not compile
    # the exchange, so that nothing there could prove it.
    compiled = settings.xla and replicas.count() == 1
    loss, z1 = (tf.function(learn, jit_compile=True, autograph=False) if compiled else learn)(views, step)
    z1 = replicas.gathered(z1)
    return replicas.mean(loss), output_std_ratio(z1), z1


def loss_and_gradients(model: SimSiam, *views: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tuple]:
    """The symmetric loss of two or more batches of views and its gradients; updates the running statistics, once a view.

    Args:
      views: of the same photographs, each `[batch, resolution, resolution, 3]` float32 in [0, 1].

    Returns:
      The loss (scalar), the first view's projections `[batch, d]`, and the gradients of encoder and predictor variables. With
      several replicas, loss and projections are this replica's, gradients those of the loss of all.
    """
    with tf.GradientTape(persistent=True) as tape:
        projections = [model.projector(model.backbone(view, training=True), training=True) for view in views]
        predictions = [model.predictor(projection, training=True) for projection in projections]
        losses = losses_of_views(predictions, projections, stop_gradient=model.stop_gradient)
        targets = losses if model.loss_scale is None else [loss * model.loss_scale.scale for loss in losses]
    # View by view: the tape would sum them itself, in no order.
    weights = (model.encoder_variables, model.predictor_variables)
    gradients = tf.nest.map_structure(sum_in_order, *[tape.gradient(target, weights) for target in targets])
    del tape
    if model.loss_scale is not None:
        gradients = model.loss_scale.unscaled(gradients)
    return tf.add_n(losses), projections[0], replicas.mean(gradients)


def update(model: SimSiam, gradients: tuple, step: tf.Tensor, *, steps: int, settings: Pretrain) -> None:
    """Updates the weights: the encoder's with the decaying rate, the predictor's with the initial one (section 4.2, table 1 c).

    With a scaled loss, weights and momentum stay unchanged if a gradient overflowed.
    """
    if model.loss_scale is not None:
        finite = model.loss_scale.adapt(gradients)
        tf.cond(finite, lambda: _move(model, gradients, step, steps, settings), lambda: None)
    else:
        _move(model, gradients, step, steps, settings)


def _move(model: SimSiam, gradients: tuple, step: tf.Tensor, steps: int, settings: Pretrain) -> None:
    encoder_gradients, predictor_gradients = gradients
    rate = optimizer.scaled_rate(settings.base_learning_rate, settings.batch_size)
    common = {"momentum": settings.momentum, "weight_decay": settings.weight_decay}
    optimizer.apply_gradients(
        model.encoder_variables, encoder_gradients, model.encoder_momentum,
        rate=optimizer.cosine_decay(rate, step, steps), **common)  # fmt: skip
    optimizer.apply_gradients(
        model.predictor_variables, predictor_gradients, model.predictor_momentum, rate=rate, **common)  # fmt: skip


def without_stop_gradient(model: SimSiam) -> SimSiam:
    """The same networks, with gradients that flow into the target as well (section 4.1, equation 1 for the loss)."""
    return model._replace(stop_gradient=False)


def without_predictor(model: SimSiam) -> SimSiam:
    """The same encoder, with the identity as predictor (section 4.2, table 1 a)."""
    inputs = keras.Input(model.projector.output_shape[1:], name="projection")
    return model._replace(predictor=keras.Model(inputs, inputs, name="no_predictor"), predictor_momentum=[])
