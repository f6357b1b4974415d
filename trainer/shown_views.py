"""A few photographs with two views of each, for people: the run's page shows what the augmentations do. Called by `pretrain`."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipeline_config import Pretrain
from trainer import photographs
from trainer.views import random_view

# Enough to see what varies, and one screen.
SHOWN = 6


def shown_views(files: Sequence[str], settings: Pretrain) -> dict[str, np.ndarray]:
    """The arrays of contracts.model_files.VIEWS for the first SHOWN records of `files`.

    They are a random sample, as records are sorted by content hash.

    The views are those that a first batch of these photographs would get, of the size and by the code that training uses.
    """
    side = round(settings.resolution * settings.canvas_scale)
    records = photographs.record_bytes(photographs.paths_of(files)).take(SHOWN)
    canvases, aspects = next(iter(records.map(lambda record: photographs.decode(record, side)).batch(SHOWN)))
    views = [
        random_view(canvases, aspects, tf.constant([settings.seed, index]), settings.resolution, settings.views)
        for index in (0, 1)
    ]
    as_bytes = np.round(255 * np.stack([view.numpy() for view in views])).astype(np.uint8)
    return {"photographs": canvases.numpy(), "aspects": aspects.numpy(), "views": as_bytes}
