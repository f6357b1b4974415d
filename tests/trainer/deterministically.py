"""Run by test_determinism in a process of its own, as TensorFlow's determinism cannot be switched off again.

Trains the same several times and writes every variable to the .npz file that is its first argument; the others are record files.
"""

import dataclasses
import sys
import tempfile

import numpy as np
import tensorflow as tf

from pipeline_config import Pretrain, Views
from trainer import checkpoints
from trainer.loop import pretrain
from trainer.photographs import open_train_split

# 28 photographs are 3 steps an epoch; a checkpoint follows each step.
SETTINGS = Pretrain(
    backbone="small", width=8, resolution=32, epochs=3, batch_size=8, base_learning_rate=1.0, projector_layers=2,
    projector_width=32, predictor_width=16, views=Views(blur_probability=0.5), checkpoint_seconds=0, knn_epochs=0,
    min_effective_rank=0.0, min_output_std_ratio=0.0, seed=5)  # fmt: skip
# Megabytes for the 28 canvases of 48 pixels, 193,536 bytes: enough, and too little.
BUDGETS = {"cached": 1.0, "streamed": 0.1}
KILLED_AT = 5


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it but this script."""


def main(path: str, *files: str) -> None:
    tf.config.experimental.enable_op_determinism()
    out = {}
    for kind, budget in BUDGETS.items():
        split = open_train_split(files, 48, budget)
        run(split, SETTINGS, f"{kind}/first", out)
        with tempfile.TemporaryDirectory() as folder:
            killed(split, folder)
            run(split, SETTINGS, f"{kind}/resumed", out, folder)
    cached = open_train_split(files, 48, BUDGETS["cached"])
    for name, seed in (("again", 5), ("other", 6)):
        run(cached, dataclasses.replace(SETTINGS, seed=seed), f"cached/{name}", out)
    np.savez(path, **out)


def run(split, settings: Pretrain, name: str, out: dict, folder: str | None = None) -> None:
    """Trains to the end, from what `folder` has if there is one."""
    with tempfile.TemporaryDirectory() as own:
        result = pretrain(split, settings, checkpoint_dir=folder or own, log_dir=own, neighbours=3)
    out[f"{name}/resumed_from_step"] = np.array(result.report["resumed_from_step"])
    out[f"{name}/history"] = np.array([[entry[key] for key in ("loss", "output_std_ratio", "effective_rank")]
                                       for entry in result.report["history"]])  # fmt: skip
    for index, variable in enumerate(result.model.all_variables):
        out[f"{name}/variable{index:03}"] = variable.numpy()


def killed(split, folder: str) -> None:
    """The same, ended right after the checkpoint of step KILLED_AT."""
    original = checkpoints.Checkpoints.save

    def save(self):
        original(self)
        if self.step == KILLED_AT:
            raise Killed

    checkpoints.Checkpoints.save = save
    try:
        run(split, SETTINGS, "killed", {}, folder)
    except Killed:
        return
    finally:
        checkpoints.Checkpoints.save = original
    raise AssertionError("the run was to be killed")


if __name__ == "__main__":
    main(*sys.argv[1:])
