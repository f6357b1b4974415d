"""The pre-training loop: trains SimSiam on decoded photographs, resumable, monitored for collapse.

Its clock measures the speed and the time left, and says when a checkpoint is due.
"""

import dataclasses
import functools
import logging
import math
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from contracts import interruption
from contracts.text import percent
from pipeline_config import ConfigurationError, Pretrain
from trainer import devices, feeding, monitors, optimizer, precision, replicas
from trainer.checkpoints import Checkpoints, Measured
from trainer.export import take_weights
from trainer.features import BATCH, embedder, knn_accuracy
from trainer.photographs import TrainSplit
from trainer.simsiam import SimSiam, build_simsiam, train_step

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Progress:
    """The progress of pre-training, the attribute `progress` of the log records about it; at level DEBUG there is one a step.

    Attributes:
      step, steps: steps done, and steps in all.
      saved_step: step of the newest checkpoint; 0 if there is none.
      images_per_second: source images a second; None before the second step, and seconds_left as well.
    """

    step: int
    steps: int
    saved_step: int
    images_per_second: float | None
    seconds_left: float | None


# Most of a run's time that checkpoints take, where a bucket is slow or weights are many.
CHECKPOINT_SHARE = 0.05
# Steps that a GPU is given before the processor looks at what they measured: to look, it waits until the GPU has nothing to do. So many
# batches can be on the way to it; gpu's has 157 MB.
STEPS_AHEAD = 8

# After a step whose loss is finite they can still be none: it is computed before they change.
WEIGHTS = "weights are no finite numbers"


class Clock:
    """Measures progress, logs it, and saves checkpoints when they are due."""

    def __init__(self, settings: Pretrain, checkpoints: Checkpoints, steps: int):
        self.settings, self.checkpoints, self.steps = settings, checkpoints, steps
        self.last_tick = self.last_report = self.last_save = time.monotonic()
        self.here_steps, self.here_seconds = 0, 0.0

    def tick(self, steps: int) -> None:
        """Counts `steps` steps that ended, and the time since the last; the first step of all is counted alone."""
        now = time.monotonic()
        self.checkpoints.seconds += now - self.last_tick
        if self.here_steps or self.steps == 1:  # the first step includes the tracing of the graph: it does not measure speed
            self.here_seconds += now - self.last_tick
        self.here_steps += steps
        self.last_tick = now

    def images_per_second(self) -> float | None:
        """Source images a second since this start, without the first step; None before the second."""
        if self.here_steps < 2:
            return None
        return (self.here_steps - 1) * self.settings.batch_size / self.here_seconds

    def progress(self) -> Progress:
        """The progress now."""
        speed = self.images_per_second()
        left = (self.steps - self.checkpoints.step) * self.settings.batch_size / speed if speed else None
        return Progress(self.checkpoints.step, self.steps, self.checkpoints.saved_step, speed, left)

    def report(self, entry: dict, force: bool = False) -> None:
        """Logs a line of progress, at level INFO if the last such line is settings.progress_seconds old, else at level DEBUG."""
        now = time.monotonic()
        due = force or now - self.last_report >= self.settings.progress_seconds
        if due:
            self.last_report = now
        elif not log.isEnabledFor(logging.DEBUG):
            return
        progress = self.progress()
        parts = [f"epoch {entry['epoch']}/{self.settings.epochs}", f"loss {entry['loss']:.4f}",
                 f"output std ratio {entry['output_std_ratio']:.2f}"]  # fmt: skip
        if "effective_rank" in entry:
            parts.append(f"effective rank {entry['effective_rank']:.1f}")
        if entry.get("knn_train_top1") is not None:
            parts.append(f"kNN on train {percent(entry['knn_train_top1'])}")
        if progress.images_per_second:
            parts += [f"{progress.images_per_second:.0f} images/s", f"{progress.seconds_left / 60:.1f} min left"]
        log.log(logging.INFO if due else logging.DEBUG, "%s", ", ".join(parts), extra={"progress": progress})

    def save(self, force: bool = False) -> None:
        """Writes a checkpoint if it is due, or if `force`, which also waits until it is written.

        Due is it settings.checkpoint_seconds after the last, or CHECKPOINT_SHARE times what writing the last took, if that is longer; with
        0 seconds after every step.
        """
        wait = self.settings.checkpoint_seconds and max(self.settings.checkpoint_seconds, self.checkpoints.cost / CHECKPOINT_SHARE)
        if force or time.monotonic() - self.last_save >= wait:
            self.check(self.checkpoints.are_finite(), WEIGHTS)
            self.checkpoints.save()
            self.last_save = time.monotonic()
        if force:
            self.checkpoints.wait()

    def check(self, finite: bool, what: str) -> None:
        """Removes the checkpoints and raises DivergenceError, which says `what`, unless `finite`."""
        if not finite:
            self.checkpoints.remove()
            raise monitors.diverged(what, step=self.checkpoints.step, settings=self.settings)

    def stop_if_asked(self) -> None:
        """Writes a checkpoint and raises KeyboardInterrupt if the process was asked to end (contracts.interruption)."""
        if interruption.requested():
            if self.checkpoints.saved_step != self.checkpoints.step:
                self.save(force=True)
            log.info("Interrupted after step %d of %d; the checkpoint is written", self.checkpoints.step, self.steps,
                     extra={"progress": self.progress()})  # fmt: skip
            interruption.check()


# Outputs kept for the effective rank: some hundreds more than the rank that a healthy run reaches.
RANK_OUTPUTS = 1024


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished run: the networks, the report that becomes pretrain.json, and the settings, with the precision that was chosen."""

    model: SimSiam
    report: dict
    settings: Pretrain


# A step is never interrupted: all values in a checkpoint belong to the same step.
@interruption.held()
def pretrain(
    photographs: TrainSplit,
    settings: Pretrain,
    *,
    checkpoint_dir: str,
    log_dir: str,
    neighbours: int,
    model: SimSiam | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Result:
    """Trains SimSiam on all photographs, continuing from the newest checkpoint in `checkpoint_dir`.

    Labels are used only to monitor kNN accuracy; nothing that is trained depends on them.

    Args:
      photographs: those of train and the unlabelled ones, canvases of settings.canvas_scale x settings.resolution pixels.
      checkpoint_dir: local or remote; for these settings and this data only.
      log_dir: where TensorBoard's scalars go.
      neighbours: how many vote in kNN accuracy.
      model: networks to train instead of `build_simsiam(settings)`, such as an ablation; made in the scope of `strategy`.
      strategy: the devices that share each batch; None is the current strategy, which outside of any scope is one device. Several
        workers all call this function, with the same arguments; only the chief writes.

    Raises:
      ConfigurationError: fewer photographs than one batch, or a batch that the replicas cannot share.
      export.BackboneChanged: the backbone to start from is not the one that was chosen.
      replicas.WorkerLost: another worker ended.
      monitors.CollapseError: the outputs collapsed.
      monitors.DivergenceError: loss, weights or outputs are no finite numbers; the checkpoints are removed.
      KeyboardInterrupt: SIGINT, SIGTERM or SIGHUP arrived; the steps until then are in a checkpoint.
    """
    count = len(photographs.labels)
    if count < settings.batch_size:
        raise ConfigurationError(
            f"pretrain.batch_size is {settings.batch_size}, but there are only {count} photographs to learn from; "
            f"lower it to at most {count}"
        )
    steps_an_epoch = count // settings.batch_size
    steps = steps_an_epoch * settings.epochs
    strategy = strategy or tf.distribute.get_strategy()
    replicas.check_settings(strategy, settings)
    chief = replicas.is_chief(strategy)
    if model is None:
        settings = precision.chosen(settings, photographs, checkpoint_dir, strategy)
    with strategy.scope():
        model = build_simsiam(settings) if model is None else model
        if settings.warm_start.backbone:
            take_weights(model.backbone, settings.warm_start)
    checkpoints = Checkpoints(checkpoint_dir, model.all_variables, writes=chief)
    resumed = checkpoints.restore()
    if not replicas.agree(strategy, resumed):
        raise RuntimeError(
            f"all workers must continue from the same step, got step {resumed} in {checkpoint_dir} here and another elsewhere; "
            "use a folder that all workers share"
        )
    device = replicas.device(strategy)
    log.info(
        "Pre-training %s on %d photographs: %d epochs of %d steps%s%s%s",
        settings.warm_start.network or settings.backbone, count, settings.epochs, steps_an_epoch,
        f", from registered version {settings.warm_start.version}" if settings.warm_start.version else "",
        f", on {device}",
        f", continued from step {resumed}" if resumed else "")  # fmt: skip
    writer = tf.summary.create_file_writer(log_dir) if chief else tf.summary.create_noop_writer()
    for entry in checkpoints.history:
        write_scalars(writer, entry)

    step_function = replicas.spread(
        strategy, lambda canvases, aspects, step: train_step(model, canvases, aspects, step, steps=steps, settings=settings)
    )
    place = functools.partial(replicas.place, strategy)
    embed = embedder((model.backbone,))
    clock = Clock(settings, checkpoints, steps)
    while checkpoints.step < steps:
        epoch = checkpoints.step // steps_an_epoch
        train_epoch(photographs, settings, checkpoints, step_function, place, clock, steps_an_epoch)
        measured, checkpoints.measured = checkpoints.measured, Measured()
        clock.check(checkpoints.are_finite(), WEIGHTS)
        outputs = np.concatenate(measured.outputs)[-RANK_OUTPUTS:]
        clock.check(bool(np.isfinite(outputs).all()), "outputs are no finite numbers")
        entry = {
            "epoch": epoch + 1,
            "step": checkpoints.step,
            "loss": float(np.mean(measured.losses)),
            "output_std_ratio": float(np.mean(measured.ratios)),
            "effective_rank": monitors.effective_rank(outputs),
            "learning_rate": float(optimizer.cosine_decay(
                optimizer.scaled_rate(settings.base_learning_rate, settings.batch_size), checkpoints.step, steps)),
            "images_per_second": clock.images_per_second(),
            "knn_train_top1": None,
        }  # fmt: skip
        monitors.check_collapse(
            entry["output_std_ratio"], entry["effective_rank"], entry["loss"], epoch=epoch + 1,
            min_std_ratio=settings.min_output_std_ratio,
            # Few outputs, such as those of a single batch, or short ones cannot have a high rank.
            min_rank=min(settings.min_effective_rank, min(outputs.shape) / 4))  # fmt: skip
        last = checkpoints.step == steps
        if chief and (last or settings.knn_epochs and (epoch + 1) % settings.knn_epochs == 0):
            entry["knn_train_top1"] = train_knn(embed, photographs, settings, neighbours, clock)
        checkpoints.history.append(entry)
        write_scalars(writer, entry)
        log.debug("Epoch %d has ended", epoch + 1, extra={"figures": entry})
        clock.report(entry, force=last or entry["knn_train_top1"] is not None)
        clock.save(force=last)
        clock.stop_if_asked()
    writer.close()
    report = make_report(checkpoints, settings, steps_an_epoch, resumed)
    report |= {"device": device, "device_memory": devices.memory_bytes(), "tensorflow": devices.build()}
    return Result(model, report, settings)


def steps_ahead() -> int:
    """Steps between two looks at what they measured. A processor computes them before the call returns: looking costs nothing."""
    return STEPS_AHEAD if replicas.on_gpu() else 1


def train_epoch(photographs, settings, checkpoints, step_function, place, clock, steps_an_epoch):
    """Runs the rest of the current epoch, and adds what its steps measure to `checkpoints.measured`."""
    epoch, first = divmod(checkpoints.step, steps_an_epoch)
    batches = photographs.batches(settings.batch_size, seed=settings.seed, epoch=epoch, first=first)
    measured = checkpoints.measured
    most_ahead = steps_ahead()
    unseen = []  # loss and ratio of the steps that were given to the device since the last look
    for index, batch in enumerate(feeding.ahead(batches, place), first):
        loss, ratio, z = step_function(*batch, tf.constant(checkpoints.step))
        unseen.append((loss, ratio))
        measured.outputs.append(z)
        del measured.outputs[: -(RANK_OUTPUTS // settings.batch_size + 1)]
        checkpoints.step += 1
        last = index + 1 == steps_an_epoch
        if not (last or len(unseen) == most_ahead or clock.here_steps == 0 or interruption.requested()):
            continue
        losses, ratios = np.array(tf.stack(unseen)).T.tolist()
        unseen = []
        measured.losses += losses
        measured.ratios += ratios
        clock.tick(len(losses))
        clock.check(bool(np.isfinite(losses).all()), f"the loss is {next((one for one in losses if not math.isfinite(one)), None)}")
        if not last:
            clock.report({"epoch": epoch + 1, "loss": measured.losses[-1], "output_std_ratio": measured.ratios[-1]})
            clock.save()
            clock.stop_if_asked()


def train_knn(embed: Callable, photographs: TrainSplit, settings: Pretrain, neighbours: int, clock: Clock) -> float | None:
    """kNN accuracy on settings.knn_images labelled photographs, each left out once; None if there are not two."""
    labelled = np.flatnonzero(photographs.labels >= 0)
    if len(labelled) < 2:
        return None
    order = np.random.default_rng(settings.seed).permutation(len(labelled))
    chosen = np.sort(labelled[order[: settings.knn_images]])
    views = photographs.views(chosen, settings.resolution, BATCH)
    features = embed(views)[0]
    clock.check(bool(np.isfinite(features).all()), "features are no finite numbers")
    return knn_accuracy(features, photographs.labels[chosen], neighbours)


def write_scalars(writer: tf.summary.SummaryWriter, entry: dict) -> None:
    """Writes one epoch's figures for TensorBoard, at its step."""
    with writer.as_default(step=entry["step"]):
        for name, value in entry.items():
            if name not in ("epoch", "step") and value is not None:
                tf.summary.scalar(name, value)
    writer.flush()


def make_report(checkpoints: Checkpoints, settings: Pretrain, steps_an_epoch: int, resumed: int) -> dict:
    """The content of pretrain.json; images_per_second counts source images over the whole wall time of all starts."""
    last = checkpoints.history[-1]
    return {
        "epochs": settings.epochs,
        "steps": checkpoints.step,
        "seconds": checkpoints.seconds,
        "images_per_second": checkpoints.step * settings.batch_size / checkpoints.seconds,
        "final_loss": last["loss"],
        "output_std_ratio": last["output_std_ratio"],
        "effective_rank": last["effective_rank"],
        "knn_train_top1": last["knn_train_top1"],
        "resumed_from_step": resumed,
        "precision": settings.precision,
        "steps_an_epoch": steps_an_epoch,
        "warm_start": dataclasses.asdict(settings.warm_start) if settings.warm_start.backbone else None,
        "history": checkpoints.history,
    }
