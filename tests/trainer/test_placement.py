"""Where TensorFlow can run the operations of a step, without a GPU: from the kernels that it registers and the traced graph.

A build of TensorFlow with CUDA registers its kernels for GPUs on machines without one too.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels

from trainer import replicas, views
from trainer.simsiam import build_simsiam, train_step


def kernels_on_gpus(operation):
    """Whether TensorFlow has a kernel for GPUs that takes the types of this operation."""

    def takes(kernel):
        for constraint in kernel.constraint:
            value = operation.node_def.attr[constraint.name]
            types = [value.type] if value.WhichOneof("value") == "type" else value.list.type
            if not set(types) <= set(constraint.allowed_values.list.type):
                return False
        return kernel.device_type in ("GPU", "DEFAULT")

    return any(takes(kernel) for kernel in kernels.get_registered_kernels_for_op(operation.type).kernel)


def operations(settings):
    """The operations of one traced step."""
    model = build_simsiam(settings)
    step = tf.function(lambda *batch: train_step(model, *batch, steps=10, settings=settings), autograph=False)
    traced = step.get_concrete_function(
        tf.TensorSpec([8, 24, 24, 3], tf.uint8), tf.TensorSpec([8], tf.float32), tf.TensorSpec([], tf.int32))  # fmt: skip
    return traced.graph.get_operations()


# Traces a whole step; that photographs cross as bytes needs none.
@pytest.mark.slow
@pytest.mark.parametrize("gpu", [True, False])
def test_a_step_runs_on_a_gpu_as_a_whole(settings, monkeypatch, gpu):
    """Were the views cut from uint8, as they are on a processor, the crops alone would be left to it."""
    monkeypatch.setattr(replicas, "on_gpu", lambda: gpu)
    found = operations(dataclasses.replace(settings, precision="mixed_bfloat16"))
    left = {operation.type for operation in found if not kernels_on_gpus(operation)}
    assert left == (set() if gpu else {"CropAndResize"})
    crops = [operation.inputs[0].dtype for operation in found if operation.type == "CropAndResize"]
    assert crops == [tf.float16 if gpu else tf.uint8] * 2


def test_photographs_cross_the_bus_as_bytes(settings, monkeypatch):
    """What the step takes is uint8, whatever it computes in: the cast is a part of it."""
    monkeypatch.setattr(replicas, "on_gpu", lambda: True)
    casts = [one for one in operations(settings) if one.type == "Cast" and one.inputs[0].dtype == tf.uint8]
    assert len(casts) == 2 and {one.inputs[0].op.type for one in casts} == {"Placeholder"}
    assert all(kernels_on_gpus(one) for one in casts)


def test_views_are_the_same_bits_wherever_they_are_cut(monkeypatch, settings):
    canvases = np.random.default_rng(0).integers(0, 256, (8, 24, 24, 3), np.uint8)
    drawn = []
    for gpu in (False, True):
        monkeypatch.setattr(replicas, "on_gpu", lambda gpu=gpu: gpu)
        drawn.append(views.random_view(canvases, tf.ones(8), tf.constant([0, 1]), 16, settings.views).numpy())
    np.testing.assert_array_equal(*drawn)
