"""The clock of a pre-training run: how fast it goes, how long it will take, and when its progress is due to be saved."""

import dataclasses
import logging
import time
from typing import TYPE_CHECKING

from contracts import interruption
from pipeline_config import Pretrain

if TYPE_CHECKING:
    from trainer.checkpoints import Checkpoints

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far pre-training is. Each line of progress has it as the record's attribute `progress`; at level DEBUG each step.

    Attributes:
      step, steps: done, and to do in all.
      saved_step: step of the newest checkpoint; 0 where there is none.
      images_per_second: source images a second, None before the second step; seconds_left then is None too.
    """

    step: int
    steps: int
    saved_step: int
    images_per_second: float | None
    seconds_left: float | None


class Clock:
    """Measures progress, and says when it is time for a line of it and for a checkpoint."""

    def __init__(self, settings: Pretrain, checkpoints: "Checkpoints", steps: int):
        self.settings, self.checkpoints, self.steps = settings, checkpoints, steps
        self.last_tick = self.last_report = self.last_save = time.monotonic()
        self.here_steps, self.here_seconds = 0, 0.0

    def tick(self) -> None:
        """Counts one step and the time since the last."""
        now = time.monotonic()
        self.checkpoints.seconds += now - self.last_tick
        if self.here_steps or self.steps == 1:  # the first step includes the tracing of the graph and says nothing of the speed
            self.here_seconds += now - self.last_tick
        self.here_steps += 1
        self.last_tick = now

    def images_per_second(self) -> float | None:
        """Source images a second since this start, without the first step; None before the second."""
        if self.here_steps < 2:
            return None
        return (self.here_steps - 1) * self.settings.batch_size / self.here_seconds

    def progress(self) -> Progress:
        """How far it is."""
        speed = self.images_per_second()
        left = (self.steps - self.checkpoints.step) * self.settings.batch_size / speed if speed else None
        return Progress(self.checkpoints.step, self.steps, self.checkpoints.saved_step, speed, left)

    def report(self, entry: dict, force: bool = False) -> None:
        """Logs a line of progress, at level INFO where the last such is settings.progress_seconds old, else at level DEBUG."""
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
            parts.append(f"kNN on train {entry['knn_train_top1']:.1%}")
        if progress.images_per_second:
            parts += [f"{progress.images_per_second:.0f} images/s", f"{progress.seconds_left / 60:.1f} min left"]
        log.log(logging.INFO if due else logging.DEBUG, "%s", ", ".join(parts), extra={"progress": progress})

    def save(self, force: bool = False) -> None:
        """Writes a checkpoint where the last is settings.checkpoint_seconds old."""
        if force or time.monotonic() - self.last_save >= self.settings.checkpoint_seconds:
            self.checkpoints.save()
            self.last_save = time.monotonic()

    def stop_if_asked(self) -> None:
        """Writes a checkpoint and raises KeyboardInterrupt if the process was asked to end (contracts.interruption)."""
        if interruption.requested():
            if self.checkpoints.saved_step != self.checkpoints.step:
                self.save(force=True)
            log.info("Interrupted after step %d of %d; the checkpoint is written", self.checkpoints.step, self.steps,
                     extra={"progress": self.progress()})  # fmt: skip
            interruption.check()
