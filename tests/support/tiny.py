"""Settings of the smallest run that a pipeline can do, for the tests that need a whole one."""

import pathlib

PROJECT = pathlib.Path(__file__).resolve().parents[2]

TINY = ["pretrain.epochs=1", "pretrain.batch_size=16", "pretrain.width=8", "linear_eval.folds=2", "linear_eval.neighbours=3",
        # Of 60 photographs half would be held out: a kill between two steps needs several an epoch.
        "data.min_eval=0",
        # It makes a database, which takes longer than some of these runs; `finished_run` has it.
        "tracking.place=off"]  # fmt: skip
# Anything passes: whether this network is any good is not the question.
OPEN_GATE = ["gate.min_accuracy=0", "gate.min_gain_over_random=-1"]

# A run takes some ten seconds; a busy machine is no reason to fail.
PATIENCE_SECONDS = 1200
