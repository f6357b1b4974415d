"""Which precision is faster on the machine at hand: `pretrain.precision=auto` is timed on real steps before the first one.

The choice lies beside the checkpoints, so that a run that continues computes in what it began with, wherever it continues.
"""

import dataclasses
import logging
import posixpath
import time
from collections.abc import Callable, Mapping

import tensorflow as tf

from contracts import files
from contracts.interruption import check
from pipeline_config import AUTO, Pretrain
from trainer import replicas
from trainer.photographs import TrainSplit
from trainer.simsiam import build_simsiam, train_step

log = logging.getLogger(__name__)

CHOICE_FILE = "precision.json"
# float16 needs a scaled loss, which costs time and steps; who wants it says so.
CANDIDATES = ("float32", "mixed_bfloat16")
# How much faster 16-bit numbers have to be: below, float32 is as good, and its figures vary less.
LEAST_GAIN = 1.05
# Each candidate makes one step in a round. Rounds end after this many, or seconds if there were three: a step of the slower one can
# take many seconds where a processor has no units for it.
ROUNDS, ENOUGH_ROUNDS, SECONDS = 10, 3, 10.0


def chosen(settings: Pretrain, photographs: TrainSplit, checkpoint_dir: str, strategy: tf.distribute.Strategy) -> Pretrain:
    """`settings` with the precision to train in, which is theirs unless it is `auto`.

    Where several workers train together the chief measures, and the others read what it chose.

    Args:
      photographs: what is trained on; its first batch is what the steps are measured with.
      checkpoint_dir: local or remote; shared by all workers.
    """
    if settings.precision != AUTO:
        return settings
    path = posixpath.join(checkpoint_dir, CHOICE_FILE)
    if replicas.is_chief(strategy) and not tf.io.gfile.exists(path):
        seconds = seconds_a_step(settings, photographs, strategy.num_replicas_in_sync)
        tf.io.gfile.makedirs(checkpoint_dir)
        files.write_json(path, {"precision": faster(seconds), "seconds_a_step": seconds})
    replicas.agree(strategy, 0)
    choice = files.read_json(path)
    log.info("pretrain.precision=auto is %s here: %s", choice["precision"],
             ", ".join(f"{name} {1000 * one:.0f} ms a step" for name, one in choice["seconds_a_step"].items()))  # fmt: skip
    return dataclasses.replace(settings, precision=choice["precision"])


def faster(seconds: Mapping[str, float]) -> str:
    """Of `seconds` a step by precision, float32's among them, the name of the least, if it is LEAST_GAIN times less than float32's."""
    best = min(seconds, key=seconds.__getitem__)
    return best if seconds["float32"] >= LEAST_GAIN * seconds[best] else "float32"


def seconds_a_step(settings: Pretrain, photographs: TrainSplit, together: int) -> dict[str, float]:
    """The least seconds that a step took in each of CANDIDATES: what slows a step down, such as another process, only ever adds.

    The candidates take turns. Each has weights of its own, which are thrown away; the one device that measures has its share of the
    batch if `together` devices share it.
    """
    share = settings.batch_size // together
    canvases, aspects = (array[:share] for array in next(iter(photographs.batches(settings.batch_size, seed=settings.seed, epoch=0))))
    steps = {name: _step(dataclasses.replace(settings, precision=name, batch_size=share), canvases, aspects) for name in CANDIDATES}
    for step in steps.values():
        step()  # traces the graph
    least = dict.fromkeys(CANDIDATES, float("inf"))
    began = time.monotonic()
    for number in range(ROUNDS):
        if number >= ENOUGH_ROUNDS and time.monotonic() - began > SECONDS:
            break
        for name, step in steps.items():
            start = time.monotonic()
            step()
            least[name] = min(least[name], time.monotonic() - start)
            check()
    return least


def _step(settings: Pretrain, canvases, aspects) -> Callable[[], None]:
    model = build_simsiam(settings)
    function = tf.function(
        lambda number: train_step(model, canvases, aspects, number, steps=settings.epochs, settings=settings)[0], autograph=False
    )
    return lambda: float(function(tf.constant(0)))
