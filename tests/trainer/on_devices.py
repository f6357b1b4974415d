"""Run by test_replicas in a process of its own, as logical devices have to be set before TensorFlow starts.

Trains the same on one and on four logical CPU devices, and writes what came out to the .npz file that is its argument.
"""

import dataclasses
import sys
import tempfile

import numpy as np
import tensorflow as tf

from pipeline_config import GPU, ConfigurationError, Pretrain, Views
from trainer.loop import pretrain
from trainer.normalization import FusedBatchNormalization
from trainer.photographs import Photographs

SETTINGS = Pretrain(
    backbone="small", width=4, stem="small", resolution=16, epochs=2, batch_size=8, base_learning_rate=2.0,
    projector_layers=2, projector_width=16, predictor_width=8, views=Views(blur_probability=0.5), knn_epochs=0,
    min_effective_rank=1.0, min_output_std_ratio=0.0, view_count=3)  # fmt: skip


def main(path: str) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
    four = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(4)])
    one = tf.distribute.get_strategy()
    out = {}
    for precision in ("float32", "mixed_float16"):
        for name, strategy in (("one", one), ("four", four)):
            # In 16 bits, steps as large as those of SETTINGS would multiply what rounding changes.
            rate = SETTINGS.base_learning_rate if precision == "float32" else GPU.pretrain.base_learning_rate
            trained(f"{precision}/{name}", strategy, dataclasses.replace(SETTINGS, precision=precision, base_learning_rate=rate), out)
    for name, strategy in (("one", one), ("four", four)):
        gpu = {key: getattr(GPU.pretrain, key) for key in ("precision", "xla", "base_learning_rate")}
        trained(f"as gpu/{name}", strategy, dataclasses.replace(SETTINGS, **gpu), out)
    for name, strategy in (("one", one), ("four", four)):
        normalised(name, strategy, out)
    try:
        trained("odd batch", four, dataclasses.replace(SETTINGS, batch_size=9), {})
    except ConfigurationError as error:
        out["odd batch"] = np.array(str(error))
    np.savez(path, **out)


def trained(name: str, strategy, settings: Pretrain, out: dict) -> None:
    """Two epochs of three steps: every variable, the losses and the output std ratios."""
    random = np.random.default_rng(0)
    canvases, aspects = random.integers(0, 256, (28, 24, 24, 3), np.uint8), random.uniform(0.7, 1.4, 28).astype(np.float32)
    photographs = Photographs(canvases, aspects, np.arange(28) % 2, ("a", "b"))
    with tempfile.TemporaryDirectory() as folder:
        result = pretrain(photographs, settings, checkpoint_dir=f"{folder}/checkpoints", log_dir=folder, neighbours=3, strategy=strategy)
    history = result.report["history"]
    out[f"{name}/loss"] = np.array([entry["loss"] for entry in history])
    out[f"{name}/ratio"] = np.array([entry["output_std_ratio"] for entry in history])
    for index, variable in enumerate(result.model.all_variables):
        out[f"{name}/variable{index:03}"] = variable.numpy()


def normalised(name: str, strategy, out: dict) -> None:
    """Batch normalisation of 8 rows, the gradient of a loss that depends on every row, and the running statistics."""
    x = np.random.default_rng(1).normal(2, 3, (8, 3, 3, 2)).astype(np.float32)
    with strategy.scope():
        layer = FusedBatchNormalization()
        layer.build(x.shape)

    @tf.function
    def step(rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            y = layer(rows, training=True)
            loss = tf.reduce_sum(y**3)
        return y, tape.gradient(loss, rows)

    here = len(x) // strategy.num_replicas_in_sync
    rows = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(x[context.replica_id_in_sync_group * here :][:here])
    )
    for what, result in zip(("y", "gradient"), strategy.run(step, (rows,))):
        out[f"norm/{name}/{what}"] = np.concatenate([part.numpy() for part in strategy.experimental_local_results(result)])
    out[f"norm/{name}/mean"], out[f"norm/{name}/variance"] = layer.moving_mean.numpy(), layer.moving_variance.numpy()


if __name__ == "__main__":
    main(sys.argv[1])
