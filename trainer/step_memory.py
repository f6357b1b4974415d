"""About what a step of pre-training keeps in the memory of a GPU, worked out from its network.

For the gradients TensorFlow keeps of each view what enters a convolution, a normalisation, a ReLU's and a pooling's gradient: the
standardised pixels and the outputs of convolutions, ReLUs and max-poolings (those of normalisations and sums are not needed again).
Besides, weights, their momentum and the gradients of each view, which are summed at the end, are float32, and with a mixed
precision there is a copy of the weights.
Not counted is what nobody can know beforehand: workspaces of cuDNN, gradients on their way back, the next batch. XLA decides for
itself what it keeps and what it computes again.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from pipeline_config import AUTO, Pretrain
from trainer import devices
from trainer.simsiam import build_simsiam

KEPT = (keras.layers.Rescaling, keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.ReLU, keras.layers.Activation,
        keras.layers.MaxPooling2D)  # fmt: skip
FLOAT32, HALF = 4, 2  # bytes of a number


@dataclasses.dataclass(frozen=True)
class StepMemory:
    """Bytes: `fixed` whatever the batch, `photograph` for each photograph of it."""

    fixed: int
    photograph: int

    def of(self, photographs: int) -> int:
        """What a batch takes."""
        return self.fixed + photographs * self.photograph

    def most(self, memory: int) -> int:
        """The largest batch that `memory` bytes can hold, 0 or more."""
        return max(0, (memory - self.fixed) // self.photograph)


def step_memory(settings: Pretrain) -> StepMemory:
    """Of the networks and the precision that these settings name, on one device; of float32, which needs more, where it is `auto`."""
    settings = dataclasses.replace(settings, precision="float32") if settings.precision == AUTO else settings
    model = build_simsiam(settings)
    values = sum(int(np.prod(layer.output.shape[1:])) for layer in model.backbone.layers if isinstance(layer, KEPT))
    networks = (model.backbone, model.projector, model.predictor)
    trained = sum(int(np.prod(weight.shape)) for network in networks for weight in network.trainable_variables)
    statistics = sum(int(np.prod(weight.shape)) for network in networks for weight in network.non_trainable_variables)
    mixed = settings.precision != "float32"
    fixed = (2 + settings.view_count) * FLOAT32 * trained + FLOAT32 * statistics + (HALF * trained if mixed else 0)
    return StepMemory(fixed, settings.view_count * values * (HALF if mixed else FLOAT32))


def too_large(settings: Pretrain, gpus: int, memory: int) -> str:
    """A sentence where the batch cannot fit into the GPUs, with the largest that may; "" where nothing speaks against it.

    Args:
      gpus: how many share a batch.
      memory: bytes of each.
    """
    needed = step_memory(settings)
    each = -(-settings.batch_size // gpus)
    if needed.of(each) <= memory:
        return ""
    most = needed.most(memory) * gpus
    advice = (f"at most {most:,} photographs can fit, and fewer will, as workspaces are not counted: lower pretrain.batch_size, or take "
              "more GPUs" if most else "not one photograph fits: take a smaller network or pretrain.resolution")  # fmt: skip
    where = f"each of {gpus} GPUs, which have" if gpus > 1 else "the GPU, which has"
    return (f"a step of {settings.batch_size:,} photographs keeps about {needed.of(each) / 1e9:.1f} GB on {where} {memory / 1e9:.1f} GB; "
            f"{advice}")  # fmt: skip


def warning(settings: Pretrain) -> str:
    """`too_large` for the GPUs that TensorFlow sees; "" without one, or where the driver does not say how much memory it has."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    memory = devices.memory_bytes() if gpus else None
    return too_large(settings, gpus, memory) if memory else ""
