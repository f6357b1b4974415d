"""The clock of a pre-training run: how fast it goes, how long it will take, and when its progress is due to be saved."""

import logging
import time

from pipeline_config import Pretrain
from trainer.checkpoints import Checkpoints

log = logging.getLogger(__name__)


class Clock:
    """Measures progress, and says when it is time for a line of it and for a checkpoint."""

    def __init__(self, settings: Pretrain, checkpoints: Checkpoints, steps: int):
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

    def report(self, entry: dict, force: bool = False) -> None:
        """Logs a line of progress where the last is settings.progress_seconds old."""
        now = time.monotonic()
        if not force and now - self.last_report < self.settings.progress_seconds:
            return
        self.last_report = now
        speed = self.images_per_second()
        parts = [f"epoch {entry['epoch']}/{self.settings.epochs}", f"loss {entry['loss']:.4f}",
                 f"output std ratio {entry['output_std_ratio']:.2f}"]  # fmt: skip
        if "effective_rank" in entry:
            parts.append(f"effective rank {entry['effective_rank']:.1f}")
        if entry.get("knn_train_top1") is not None:
            parts.append(f"kNN on train {entry['knn_train_top1']:.1%}")
        if speed:
            left = (self.steps - self.checkpoints.step) * self.settings.batch_size / speed
            parts += [f"{speed:.0f} images/s", f"{left / 60:.1f} min left"]
        log.info("%s", ", ".join(parts))

    def save(self, force: bool = False) -> None:
        """Writes a checkpoint where the last is settings.checkpoint_seconds old."""
        if force or time.monotonic() - self.last_save >= self.settings.checkpoint_seconds:
            self.checkpoints.save()
            self.last_save = time.monotonic()
