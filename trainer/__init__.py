"""SimSiam as a plain TensorFlow library: networks, views, loss, training step, loop, probe.

Only `trainer.pretrain` and `trainer.linear_eval`, which hold TFX's two `run_fn`, know TFX.
"""
