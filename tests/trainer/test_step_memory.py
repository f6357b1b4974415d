"""What a step keeps in a GPU's memory: by hand for ResNet-50, and beside what TensorFlow's own gradients ask for."""

import dataclasses
import math

import pytest
import tensorflow as tf

from pipeline_config import CPU, GPU, QUICK
from trainer import devices, replicas
from trainer.backbones import build_backbone
from trainer.simsiam import build_simsiam
from trainer.step_memory import KEPT, StepMemory, step_memory, too_large, warning


def resnet50(width, side):
    """Numbers that come out of the convolutions, and all that are kept, of one view: by the table of He et al. (arXiv 1512.03385, table 1),
    but with the strides on the 3 x 3 convolutions."""
    half, quarter = side // 2, side // 4
    convolutions, others = half**2 * width, 3 * side**2 + half**2 * width + quarter**2 * width  # pixels, ReLU and pooling of the stem
    for stage, blocks in enumerate((3, 4, 6, 3)):
        after, channels = quarter // 2**stage, width * 2**stage
        for block in range(blocks):
            before = 2 * after if stage and not block else after
            three = before**2 * channels + after**2 * channels + after**2 * 4 * channels
            others += three  # a ReLU each, the last after the sum
            convolutions += three + (after**2 * 4 * channels if not block else 0)  # the first block has one in its shortcut
    return convolutions, convolutions + others


def test_resnet_50_at_224_pixels_as_worked_out_by_hand():
    # "Activations" of ResNet-50 in Radosavovic et al., arXiv 2003.13678: the outputs of all convolutions, 11.1 million.
    assert round(resnet50(64, 224)[0] / 1e6, 1) == 11.1
    settings = dataclasses.replace(GPU.pretrain, width=8)
    assert step_memory(settings).photograph == 2 * 2 * resnet50(8, 224)[1]
    assert step_memory(dataclasses.replace(settings, view_count=5)).photograph == 5 * 2 * resnet50(8, 224)[1]


@pytest.mark.parametrize("settings", [QUICK.pretrain, dataclasses.replace(CPU.pretrain, width=4)], ids=["small", "resnet18"])
def test_it_is_what_tensorflow_keeps_for_the_gradients(settings, monkeypatch):
    """The graph of a step: feature maps of the way forward that any operation of the way back takes."""
    # The estimate is for GPUs, where no convolution is a matrix product.
    monkeypatch.setattr(replicas, "on_gpu", lambda: True)
    backbone = build_backbone(settings.backbone, width=settings.width, stem=settings.stem, resolution=settings.resolution, seed=1,
                              precision="float32")  # fmt: skip

    @tf.function(input_signature=[tf.TensorSpec((1, settings.resolution, settings.resolution, 3))])
    def gradients(view):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(backbone(view, training=True))
        return tape.gradient(total, [variable.value for variable in backbone.trainable_variables])

    def is_back(operation):
        return operation.name.startswith("gradient_tape") or operation.type == "AddN"

    operations = gradients.get_concrete_function().graph.get_operations()
    taken = {value.name: value for one in operations if is_back(one) for value in one.inputs if not is_back(value.op)}
    maps = [value for value in taken.values() if value.shape.rank == 4 and value.shape[0] == 1 and value.op.type != "ReadVariableOp"]
    values = sum(math.prod(layer.output.shape[1:]) for layer in backbone.layers if isinstance(layer, KEPT))
    assert sum(math.prod(value.shape) for value in maps) == values


def test_what_does_not_depend_on_the_batch_is_weights_momentum_and_gradients_and_with_half_precision_a_copy():
    settings = dataclasses.replace(QUICK.pretrain, batch_size=32, view_count=3)
    model = build_simsiam(settings)
    trained = sum(math.prod(weight.shape) for weight in (*model.encoder_variables, *model.predictor_variables))
    whole, half = (step_memory(dataclasses.replace(settings, precision=precision)) for precision in ("float32", "mixed_bfloat16"))
    assert 20 * trained < whole.fixed < 20 * trained * 1.05  # three views' gradients; and running statistics, 4 bytes each
    assert half.fixed - whole.fixed == 2 * trained and 2 * half.photograph == whole.photograph
    assert step_memory(dataclasses.replace(settings, precision="auto")) == whole  # the larger of the two that it can become


def test_a_batch_that_cannot_fit_is_said_with_the_largest_that_may(monkeypatch):
    memory = StepMemory(fixed=1_000_000_000, photograph=10_000_000)
    assert memory.of(50) == 1_500_000_000 and memory.most(1_509_999_999) == 50 and memory.most(10) == 0
    monkeypatch.setattr("trainer.step_memory.step_memory", lambda settings: memory)
    settings = dataclasses.replace(QUICK.pretrain, batch_size=101)
    assert too_large(settings, 2, memory.of(51)) == ""
    assert too_large(settings, 2, memory.of(51) - 1) == (
        "a step of 101 photographs keeps about 1.5 GB on each of 2 GPUs, which have 1.5 GB; at most 100 photographs can fit, and fewer "
        "will, as workspaces are not counted: lower pretrain.batch_size, or take more GPUs"
    )
    assert too_large(settings, 1, 1000).endswith("on the GPU, which has 0.0 GB; not one photograph fits: take a smaller network or "
                                                 "pretrain.resolution")  # fmt: skip


def test_it_is_asked_of_the_gpus_that_there_are(monkeypatch):
    settings = QUICK.pretrain
    assert warning(settings) == ""  # there is none
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"] * 2)
    monkeypatch.setattr(devices, "memory_bytes", lambda: None)
    assert warning(settings) == ""
    monkeypatch.setattr(devices, "memory_bytes", lambda: 1_000_000)
    assert "keeps about" in warning(settings) and "on each of 2 GPUs, which have 0.0 GB" in warning(settings)
