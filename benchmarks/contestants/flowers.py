"""This project's step, as trainer.loop runs it: whole, on a constant batch of views, or only its views (--mode)."""

import itertools

import numpy as np
import tensorflow as tf
import worker

from trainer.photographs import Photographs
from trainer.simsiam import build_simsiam, loss_and_gradients, train_step, update
from trainer.threads import share_cores
from trainer.views import random_view

STEPS = 100_000  # of a pretended run, for the schedule


def prepare(arguments):
    """The measure for worker.serve."""
    settings = worker.settings(arguments)
    share_cores(settings)
    canvases = worker.photographs(round(settings.resolution * settings.canvas_scale))
    count = len(canvases)
    split = Photographs(canvases, np.ones(count, np.float32), np.zeros(count, np.int64), ("noise",))
    model = build_simsiam(settings)

    def batches():
        for epoch in itertools.count():
            yield from split.batches(settings.batch_size, seed=0, epoch=epoch)

    @tf.function
    def whole(batch, step):
        return train_step(model, *batch, step, steps=STEPS, settings=settings)[0]

    @tf.function
    def constant(views, step):
        loss, _, gradients = loss_and_gradients(model, *views)
        update(model, gradients, step, steps=STEPS, settings=settings)
        return loss

    @tf.function
    def views(batch, step):
        return [
            random_view(*batch, tf.stack([settings.seed, 2 * step + index]), settings.resolution, settings.views)
            for index in range(2)]  # fmt: skip

    endless, numbers = batches(), itertools.count()
    function = {"whole": whole, "constant": constant, "views": views}[arguments.mode]
    fixed = views(next(endless), tf.constant(0)) if arguments.mode == "constant" else None

    return worker.timed(lambda: function(fixed or next(endless), tf.constant(next(numbers))), settings.batch_size)


if __name__ == "__main__":
    worker.serve(prepare)
