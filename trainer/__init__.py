"""SimSiam as a plain TensorFlow library: networks, views, loss, training step, loop, probe.

`trainer.pretrain` and `trainer.linear_eval` are the two `run_fn` modules that TFX calls; nothing else here knows TFX.
"""
