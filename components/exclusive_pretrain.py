"""Pretrain's `run_fn` on Vertex AI: trainer.pretrain's, with a lock in the bucket, so that two jobs never write the same checkpoints.

The same photographs, settings and code make the same checkpoints, whoever started the run: a schedule, a command, or both. On one
machine contracts.layout.run_lock keeps runs apart.
"""

import contextlib
import functools
import logging
import os
from collections.abc import Iterator

from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.extensions.google_cloud_ai_platform.trainer.executor import TRAINING_ARGS_KEY

from trainer import pretrain
from vertex import lock

logger = logging.getLogger(__name__)

# It waits longer than a lock needs to expire: a worker that was taken away starts again while its own lock is still there. Not much
# longer, as its GPUs wait with it.
PATIENCE = lock.Patience(look=5.0, wait=2.5 * lock.Patience.expire)


class CheckpointsInUse(RuntimeError):
    """Another run writes these checkpoints."""


def run_fn(fn_args: FnArgs) -> None:
    """As trainer.pretrain.run_fn.

    Raises:
      CheckpointsInUse: another job has been pre-training the same for the whole time that is waited.
      GoogleCloudError: the lock cannot be reached.
    """
    project = fn_args.custom_config[TRAINING_ARGS_KEY]["project"]
    pretrain.run_fn(fn_args, functools.partial(alone_in, project=project))


@contextlib.contextmanager
def alone_in(folder: str, project: str, patience: lock.Patience = PATIENCE) -> Iterator[None]:
    """Holds the lock beside a folder of checkpoints for the length of the block; nothing where that is in no bucket."""
    if not folder.startswith("gs://"):
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock.held(project, f"{folder}.lock", patience, functools.partial(_end_at_once, folder)))
        except lock.Taken as error:
            raise CheckpointsInUse(
                f"another run pre-trains with the same photographs, settings and code, and writes the checkpoints in {folder}; start "
                f"this one again when that has ended: it takes over what was trained ({error})"
            ) from error
        yield


def _end_at_once(folder: str) -> None:
    logger.error("This process could not renew its lock for so long that another one has taken over the checkpoints in %s: it ends at "
                 "once, without a further checkpoint", folder)  # fmt: skip
    os._exit(1)
