"""Supervised training from scratch: what the backbone of a pre-training learns instead from the labels alone, for a comparison.

Networks, canvases, batch size, optimiser and schedule are those of SimSiam's pre-training, so that only what is learned from differs;
rate, penalty and views are supervised training's own (pipeline_config.Supervised). It continues from its newest checkpoint.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from contracts import interruption, memory
from pipeline_config import ConfigurationError, Pretrain, Supervised
from trainer import monitors, optimizer
from trainer.backbones import build_backbone
from trainer.checkpoints import Checkpoints
from trainer.photographs import SHUFFLE_RECORDS, canvas_bytes, decode, list_records, paths_of, record_bytes
from trainer.views import random_view

log = logging.getLogger(__name__)


class Trained(NamedTuple):
    """What was trained: the backbone, the classifier on its pooled features, and the seconds that all steps took, over all starts."""

    backbone: keras.Model
    classifier: keras.Model
    seconds: float


@interruption.held()
def train(
    files: Sequence[str], chosen: np.ndarray, settings: Pretrain, recipe: Supervised, *, steps: int, checkpoint_dir: str,
    on_progress: Callable[[int, float | None], None] = lambda step, seconds_left: None,
) -> Trained:  # fmt: skip
    """Trains backbone and classifier on the photographs at the positions `chosen`, continuing from the newest checkpoint.

    Args:
      files: gzip TFRecords of contracts.examples, whose chosen records have labels.
      chosen: `[count]` integers, positions in the order of the records.
      settings: of the pre-training that it is compared with.
      steps: how many batches.
      checkpoint_dir: for these arguments alone.
      on_progress: called after each step with the steps done and the seconds left; None before the second step of a start.

    Raises:
      ConfigurationError: fewer than two photographs.
      monitors.DivergenceError: the loss is no finite number; the checkpoints are removed.
      KeyboardInterrupt: SIGINT, SIGTERM or SIGHUP arrived; the steps until then are in a checkpoint.
    """
    listing = list_records(files)
    if len(chosen) < 2:
        raise ConfigurationError(f"supervised training needs two labelled photographs at least, got {len(chosen)}")
    batch = min(settings.batch_size, len(chosen))
    # Gradients in float16 would need the scaled loss of SimSiam's step.
    precision = "float32" if settings.precision == "mixed_float16" else settings.precision
    backbone = build_backbone(settings.backbone, width=settings.width, stem=settings.stem, resolution=settings.resolution,
                              seed=settings.seed, precision=precision)  # fmt: skip
    classifier = keras.Sequential([keras.Input((backbone.output_shape[-1],)), keras.layers.Dense(
        len(listing.class_names), kernel_initializer=keras.initializers.GlorotUniform(seed=settings.seed * 1009 + 900))])  # fmt: skip
    weights = [weight.value for model in (backbone, classifier) for weight in model.trainable_variables]
    momentum = optimizer.zero_momentum(weights)
    everything = [weight.value for model in (backbone, classifier) for weight in model.variables] + momentum
    rate = optimizer.scaled_rate(recipe.base_learning_rate, batch)

    @tf.function(autograph=False)
    def learn(canvases, aspects, labels, step):
        views = random_view(canvases, aspects, tf.stack([settings.seed, step]), settings.resolution, recipe.views)
        with tf.GradientTape() as tape:
            logits = classifier(backbone(views, training=True), training=True)
            loss = smoothed_cross_entropy(logits, labels, recipe.label_smoothing)
        optimizer.apply_gradients(
            weights, tape.gradient(loss, weights), momentum, rate=optimizer.cosine_decay(rate, step, steps),
            momentum=settings.momentum, weight_decay=recipe.weight_decay)  # fmt: skip
        return loss

    checkpoints = Checkpoints(checkpoint_dir, everything)
    begun = checkpoints.restore()
    log.info("Supervised training on %d photographs: %d steps%s", len(chosen), steps, f", continued from step {begun}" if begun else "")
    last = saved = time.monotonic()
    here = 0.0
    for canvases, aspects, labels in batches(files, chosen, settings, batch, first=begun, count=steps - begun):
        loss = float(learn(canvases, aspects, labels, tf.constant(checkpoints.step)))
        now = time.monotonic()
        checkpoints.step, checkpoints.seconds = checkpoints.step + 1, checkpoints.seconds + now - last
        done = checkpoints.step - begun
        here, last = here + (now - last if done > 1 else 0.0), now  # the first step includes the tracing of the graph
        due = checkpoints.step == steps or interruption.requested() or now - saved >= settings.checkpoint_seconds
        # After a step whose loss is finite the weights can still be none: it is computed before they change.
        if not math.isfinite(loss) or due and not checkpoints.are_finite():
            checkpoints.remove()
            raise monitors.DivergenceError(
                f"supervised training diverged: loss or weights are no finite numbers after step {checkpoints.step}; lower "
                f"supervised.base_learning_rate (it is {recipe.base_learning_rate:g}; try a third of it)")  # fmt: skip
        on_progress(checkpoints.step, here / (done - 1) * (steps - checkpoints.step) if done > 1 else None)
        if due:
            checkpoints.save()
            saved = now
            interruption.check()
    return Trained(backbone, classifier, checkpoints.seconds)


def smoothed_cross_entropy(logits: tf.Tensor, labels: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Mean over the batch of the cross-entropy with (1 - s) of the target on the label and s spread evenly over all classes (Szegedy
    et al., arXiv 1512.00567, section 7).

    Args:
      logits: `[batch, classes]` float32.
      labels: `[batch]` integers from 0.
      smoothing: s, in [0, 1).

    Returns:
      A scalar, 0 or more.
    """
    classes = logits.shape[-1]
    target = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, logits))


def batches(
    files: Sequence[str], chosen: np.ndarray, settings: Pretrain, size: int, *, first: int, count: int
) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """The batches from number `first`, `count` of them: canvases `[size, side, side, 3]` uint8, aspects and labels `[size]`.

    Endless random passes over the chosen photographs, in an order that follows from settings.seed. They are decoded once if they
    fit into settings.memory_megabytes (or less, see contracts.memory), and in every pass otherwise.
    """
    side, budget = round(settings.resolution * settings.canvas_scale), memory.budget(settings.memory_megabytes * 1e6)
    labels = list_records(files).labels
    wanted = np.zeros(len(labels), bool)
    wanted[chosen] = True
    records = tf.data.Dataset.zip((tf.data.Dataset.from_tensor_slices((wanted, labels)), record_bytes(paths_of(files))))
    records = records.filter(lambda known, _: known[0])
    decoded = records.map(lambda known, record: (*decode(record, side), known[1]), num_parallel_calls=tf.data.AUTOTUNE)
    fitting = int(budget / canvas_bytes(side))
    decoded = decoded.cache() if len(chosen) <= fitting else decoded
    shuffled = decoded.shuffle(max(1, min(len(chosen), fitting, SHUFFLE_RECORDS)), seed=settings.seed)
    return iter(shuffled.repeat().batch(size, drop_remainder=True).skip(first).take(count).prefetch(2))
