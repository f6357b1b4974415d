"""How TensorFlow's threads share the cores: an operation for each core, or each operation divided among all.

Left to itself, TensorFlow divides each operation among all cores, which wait for each other at its end; small ones take longer by that
(docs/speed.md). But the views of a photograph do not depend on each other until the loss: with as many views as cores, each core can do
whole operations.
"""

import logging
import os

import tensorflow as tf

from contracts.cores import cores
from pipeline_config import Pretrain

# By these, TensorFlow lets whoever starts a program decide.
DECIDED = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

log = logging.getLogger(__name__)


def share_cores(settings: Pretrain) -> None:
    """Lets every operation have one core, if settings.view_per_core wants it and there are as many views as cores.

    To be called before TensorFlow computes anything; after that its threads stay as they are. With a GPU or a variable of DECIDED nothing
    changes.
    """
    count = cores()
    if (
        not settings.view_per_core
        or not 1 < count <= settings.view_count
        or any(name in os.environ for name in DECIDED)
        or tf.config.list_physical_devices("GPU")
    ):
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(count)
    except RuntimeError:
        log.info("TensorFlow has computed something before: its operations are divided among the cores, which is slower")


def calls_at_once() -> int:
    """How many independent calls of a function keep all cores busy: 1 unless `share_cores` gave each operation one core."""
    return tf.config.threading.get_inter_op_parallelism_threads() if tf.config.threading.get_intra_op_parallelism_threads() == 1 else 1
