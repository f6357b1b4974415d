"""One training step on several devices or machines: each replica has its share of the global batch and a copy of all weights.

The first five functions are for use within a step. Inside `strategy.run` they exchange with the other replicas; outside there is
one replica, and nothing to exchange. Every replica updates its own copy by the same averaged gradients, so all copies stay equal.
The other functions choose and use the strategy.
"""

import contextlib
import json
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from pipeline_config import ConfigurationError, Pretrain

# What TensorFlow raises in the remaining workers.
LOSS = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


class WorkerLost(RuntimeError):
    """Another worker ended or cannot be reached; the message says what to do."""


def count() -> int:
    """Replicas that take part in the current step; 1 outside of `strategy.run`."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def mean(tensors):
    """The average over all replicas of each tensor in a structure, the same on all; differentiable."""
    if count() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tensors)


def gathered(rows: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas, in the order of the global batch: `[batch / replicas, ...]` -> `[batch, ...]`."""
    if count() == 1:
        return rows
    return tf.distribute.get_replica_context().all_gather(rows, axis=0)


def share(draws: tf.Tensor) -> tf.Tensor:
    """This replica's columns of the global batch's random numbers: `[rows, batch]` -> `[rows, batch / replicas]`."""
    if count() == 1:
        return draws
    here = tf.shape(draws)[1] // count()
    first = tf.distribute.get_replica_context().replica_id_in_sync_group * here
    return draws[:, first : first + here]


def assign(variable: tf.Variable, value: tf.Tensor) -> None:
    """Sets this replica's copy. `variable.assign` would require a way to merge the copies, which are equal here."""
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


def spread(strategy: tf.distribute.Strategy, step: Callable) -> Callable:
    """`step(canvases, aspects, number)` of one replica as a function of the global batch.

    Args:
      strategy: under which the variables that `step` uses were created.
      step: for `strategy.run`; returns tensors that are the same on all replicas. Its control flow over tensors is written as
        tf.cond or tf.while_loop: autograph, which takes long to convert a step, is off.

    Returns:
      A function of the batch's photographs, as `place` returns them, and the step's number. It returns what `step` returns, tensors
      that a GPU may still be computing, or raises WorkerLost.
    """
    if strategy.num_replicas_in_sync == 1:
        return tf.function(step, autograph=False)
    run = tf.function(lambda *arguments: strategy.run(step, arguments), autograph=False)

    def step_on_all(canvases, aspects, number):
        with _loss_explained():
            results = run(canvases, aspects, number)
        return tuple(strategy.experimental_local_results(result)[0] for result in results)

    return step_on_all


def place(strategy: tf.distribute.Strategy, canvases: np.ndarray, aspects: np.ndarray) -> tuple:
    """A global batch where its step runs, for `spread`: copied to the GPUs, each replica's part to its device.

    Args:
      canvases, aspects: `[batch, ...]` with batch a multiple of the replicas. Every process passes the whole batch.
    """
    together = strategy.num_replicas_in_sync
    if together == 1:
        with tf.device("GPU:0" if on_gpu() else "CPU:0"):
            return tf.identity(canvases), tf.identity(aspects)
    here = len(aspects) // together

    def own(array):
        def part(context):
            first = context.replica_id_in_sync_group * here
            return tf.constant(array[first : first + here])

        return strategy.experimental_distribute_values_from_function(part)

    return own(canvases), own(aspects)


def choose_strategy(cluster: str | None) -> tf.distribute.Strategy:
    """The strategy for the available devices: several workers, else all GPUs of this machine, else its one device.

    With several workers, call it before TensorFlow has done anything in this process.

    Args:
      cluster: the content of TF_CONFIG (JSON) or None.

    Raises:
      ConfigurationError: several workers, and TensorFlow is in use already.
    """
    workers = json.loads(cluster).get("cluster", {}) if cluster else {}
    if sum(len(workers.get(job, ())) for job in ("chief", "worker")) > 1:
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            raise ConfigurationError(
                f"TF_CONFIG names several workers, which needs a process that has not used TensorFlow yet ({error}); run the "
                "trainer in a process of its own, or unset TF_CONFIG"
            ) from error
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def on_gpu() -> bool:
    """Whether steps run on GPUs: TensorFlow places them there if it sees one."""
    return bool(tf.config.list_logical_devices("GPU"))


def device(strategy: tf.distribute.Strategy) -> str:
    """What a step runs on, such as "CPU" or "4 x NVIDIA A100-SXM4-40GB": the first GPU's name stands for all."""
    gpus = tf.config.list_physical_devices("GPU")
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "CPU"
    return name if strategy.num_replicas_in_sync == 1 else f"{strategy.num_replicas_in_sync} x {name}"


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes: the only one, or the first of several workers."""
    resolver = strategy.cluster_resolver
    return resolver is None or resolver.task_type in (None, "", "chief") or (
        resolver.task_type == "worker" and resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs)  # fmt: skip


def check_settings(strategy: tf.distribute.Strategy, settings: Pretrain) -> None:
    """Raises ConfigurationError if the replicas cannot share a batch."""
    require_shared(settings, strategy.num_replicas_in_sync)


def require_shared(settings: Pretrain, together: int) -> None:
    """Raises ConfigurationError unless `together` devices can share a batch in equal parts."""
    if together > 1 and settings.warm_start.network:
        raise ConfigurationError(
            f"pretrain.start={settings.warm_start.network} trains on one device, as its normalisations know only the batch of their "
            f"own, and there are {together}: show it one (CUDA_VISIBLE_DEVICES=0)"
        )
    if settings.batch_size % together or settings.batch_size < 2 * together:
        raise ConfigurationError(
            f"pretrain.batch_size must be a multiple of the {together} devices that share it, two images or more each, got "
            f"{settings.batch_size}; try {max(2, round(settings.batch_size / together)) * together}"
        )


def agree(strategy: tf.distribute.Strategy, number: int) -> bool:
    """Waits for all workers, and returns whether they all passed the same number.

    Raises:
      WorkerLost: a worker did not arrive.
    """
    if strategy.num_replicas_in_sync == 1:
        return True
    with _loss_explained():
        numbers = strategy.run(lambda: tf.constant([number, number**2], tf.int64))
        total, squares = strategy.reduce(tf.distribute.ReduceOp.SUM, numbers, axis=None).numpy()
    # The variance is 0 if all are the same; every worker computes the same result.
    return squares * strategy.num_replicas_in_sync == total**2


@contextlib.contextmanager
def _loss_explained() -> Iterator[None]:
    """Turns what TensorFlow raises after the loss of a worker into WorkerLost."""
    try:
        yield
    except LOSS as error:
        raise WorkerLost(
            "another worker ended or cannot be reached, so this one ends too; start all workers again with the same TF_CONFIG, "
            f"and training continues from the newest checkpoint. TensorFlow says: {error.message}"
        ) from error
