"""Checkpoints of a pre-training run, from which a killed run continues as if nothing had happened.

A checkpoint holds every value that training changes, the step, the seconds spent, the history, and what the epoch that it lies in
has measured so far, so that the figures of an interrupted epoch cover the whole of it. No random state is stored: the
order and views of a step follow from the seed and the step. TensorFlow writes the files of a checkpoint first and the
`checkpoint` record that names them last, so a reader never finds half of one.
"""

import contextlib
import dataclasses
import json
import logging
import posixpath
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import tensorflow as tf

log = logging.getLogger(__name__)

# The newest, and one before it in case the newest cannot be read.
KEPT = 2


@dataclasses.dataclass
class Measured:
    """What the steps of one epoch measured so far: loss and output std ratio of each, and the latest outputs, `[batch, d]` float32."""

    losses: list[float] = dataclasses.field(default_factory=list)
    ratios: list[float] = dataclasses.field(default_factory=list)
    outputs: list[np.ndarray] = dataclasses.field(default_factory=list)


class Checkpoints:
    """The checkpoints of one run in `directory`, local or remote, and the progress that they hold.

    In a remote directory a checkpoint is written beside the training, from copies in the memory of the processor; in a local one before
    the next step. With `writes` false nothing is saved: of several workers with the same values only the chief writes, and all read.

    Attributes:
      step: steps done.
      saved_step: step of the newest checkpoint; 0 if there is none.
      cost: seconds that writing the newest took; 0 before there is one of this start.
      seconds: wall time of the steps done, over all starts.
      history: one dictionary an epoch.
      measured: of the epoch that has begun.
    """

    def __init__(self, directory: str, variables: Sequence[tf.Variable], writes: bool = True):
        self.step = self.saved_step = 0
        self.seconds = self.cost = 0.0
        self.history: list[dict] = []
        self.measured = Measured()
        self._writes = writes
        self._variables = list(variables)
        self._thread = ThreadPoolExecutor(1) if "://" in directory else None
        self._writing: Future | None = None
        with tf.device("CPU:0"):
            self._written = [tf.Variable(one) for one in self._variables] if self._thread else self._variables
        self._progress = tf.Variable("", dtype=tf.string)
        # `[steps, batch, d]`, of as many steps as are kept.
        self._outputs = tf.Variable(np.zeros((0, 0, 0), np.float32), shape=tf.TensorShape([None, None, None]))
        self._checkpoint = tf.train.Checkpoint(variables=self._written, progress=self._progress, outputs=self._outputs)
        self._manager = tf.train.CheckpointManager(self._checkpoint, directory, max_to_keep=KEPT)

    def restore(self) -> int:
        """Loads the newest checkpoint that can be read, and returns its step; 0 if there is none.

        A checkpoint that cannot be read is logged and skipped.
        """
        for path in reversed(self._manager.checkpoints):
            try:
                self._checkpoint.restore(path).assert_consumed()
            except (tf.errors.OpError, ValueError, IndexError, AssertionError) as error:  # TensorFlow's own translations vary
                log.warning("The checkpoint %s cannot be read and is skipped: %s", path, str(error).splitlines()[0])
                continue
            if self._thread:
                for variable, read in zip(self._variables, self._written):
                    variable.assign(read)
            progress = json.loads(self._progress.numpy())
            self.step, self.seconds, self.history = progress["step"], progress["seconds"], progress["history"]
            self.measured = Measured(progress["losses"], progress["ratios"], list(self._outputs.numpy()))
            self.saved_step = self.step
            return self.step
        if self._manager.checkpoints:
            raise RuntimeError(
                f"none of the {len(self._manager.checkpoints)} checkpoints in {self._manager.directory} can be read; "
                "remove that directory to start pre-training from the beginning"
            )
        return 0

    def save(self) -> None:
        """Writes a checkpoint of the current step, or begins to, and deletes all but the last KEPT.

        Waits for the one that is being written, and raises what it met.
        """
        if not self._writes:
            return
        self.wait()
        progress = {"step": self.step, "seconds": self.seconds, "history": self.history, "losses": self.measured.losses,
                    "ratios": self.measured.ratios}  # fmt: skip
        self._progress.assign(json.dumps(progress))
        self._outputs.assign(np.stack(self.measured.outputs) if self.measured.outputs else np.zeros((0, 0, 0), np.float32))
        if self._thread is None:
            self._write(self.step)
            return
        for variable, copy in zip(self._variables, self._written):
            copy.assign(variable)
        self._writing = self._thread.submit(self._write, self.step)

    def _write(self, step: int) -> None:
        began = time.monotonic()
        self._manager.save(checkpoint_number=step)
        self.cost, self.saved_step = time.monotonic() - began, step

    def wait(self) -> None:
        """Returns when the checkpoint that is being written is, or raises what kept it from it."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def are_finite(self) -> bool:
        """Whether every value that a checkpoint would hold is a finite number."""
        return all(bool(tf.reduce_all(tf.math.is_finite(one))) for one in self._variables if one.dtype.is_floating)

    def remove(self) -> None:
        """Removes all checkpoints: the next start begins at step 0."""
        directory = self._manager.directory
        with contextlib.suppress(Exception):  # what is removed need not have been written
            self.wait()
        if self._writes and tf.io.gfile.exists(directory):
            # First, so that a process that is killed here leaves no record that names what is gone.
            record = posixpath.join(directory, "checkpoint")
            if tf.io.gfile.exists(record):
                tf.io.gfile.remove(record)
            tf.io.gfile.rmtree(directory)
        self.saved_step = 0
