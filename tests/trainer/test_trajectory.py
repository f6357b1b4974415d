"""Twenty steps against SimSiam in PyTorch (tests/golden/make_simsiam_trajectory.py), from the same weights on the same views.

PyTorch's numbers are float64, ours float32: they agree to about 1e-5, and 1e-4 is what is promised. Everything is compared
relative to the largest value of its array, so that no array is too small to be looked at.
"""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from pipeline_config import Pretrain
from trainer.simsiam import build_simsiam, loss_and_gradients, update

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "simsiam_trajectory.npz"
TOLERANCE = 1e-4
# The running mean of a normalisation behind another is 0, but for rounding.
SMALLEST_SCALE = 1e-2

BLOCK_LAYERS = {
    "conv1": "1_conv", "norm1": "1_norm", "conv2": "2_conv", "norm2": "last_norm",
    "shortcut_conv": "shortcut_conv", "shortcut_norm": "shortcut_norm"}  # fmt: skip
PREDICTOR_LAYERS = {"0": "dense1", "1": "norm1", "3": "dense2"}
NORMALIZATION_WEIGHTS = {
    "weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}  # fmt: skip


def variable(model, name):
    """Our variable for PyTorch's `name`, such as backbone.stage2.conv1.weight or projector.3.weight."""
    network, *path, weight = name.split(".")
    if network == "projector":  # linear, normalisation, ReLU in turn
        number, kind = divmod(int(path[0]), 3)
        layer = f"{('dense', 'norm')[kind]}{number + 1}"
    elif network == "predictor":
        layer = PREDICTOR_LAYERS[path[0]]
    else:
        layer = path[0] if len(path) == 1 else f"{path[0]}_block1_{BLOCK_LAYERS[path[1]]}"
    attribute = NORMALIZATION_WEIGHTS[weight] if "norm" in layer else {"weight": "kernel", "bias": "bias"}[weight]
    return getattr(getattr(model, network).get_layer(layer), attribute).value


def in_our_layout(array):
    """PyTorch keeps kernels as [out, in, ...], Keras as [..., in, out]."""
    return array.transpose(*range(2, array.ndim), 1, 0) if array.ndim > 1 else array


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


def part(golden, prefix):
    """The arrays whose names start with `prefix`/, by the rest of their names."""
    return {name.removeprefix(f"{prefix}/"): array for name, array in golden.items() if name.startswith(f"{prefix}/")}


@pytest.fixture(scope="module")
def ours(golden):
    """What this project's own step does with PyTorch's weights and views, under PyTorch's names and in its order."""
    numbers = {name: value.item() for name, value in part(golden, "settings").items()}
    steps, names = numbers.pop("steps"), golden["parameters"].tolist()
    settings = Pretrain(backbone="small", stem="small", **numbers)
    model = build_simsiam(settings)
    for name, array in part(golden, "initial").items():
        variable(model, name).assign(in_our_layout(array))
    variables = model.encoder_variables + model.predictor_variables
    order = [next(i for i, ours in enumerate(variables) if ours is variable(model, name)) for name in names]
    assert sorted(order) == list(range(len(variables)))

    losses, gradients = [], []
    for step, views in enumerate(golden["views"]):
        loss, _, both = loss_and_gradients(model, *tf.unstack(tf.constant(views / 255, tf.float32)))
        update(model, both, tf.constant(step), steps=steps, settings=settings)
        losses.append(float(loss))
        flat = [gradient.numpy() for group in both for gradient in group]
        gradients.append([flat[index] for index in order])
    momentum = [accumulator.numpy() for accumulator in model.encoder_momentum + model.predictor_momentum]
    return {
        "losses": np.array(losses),
        "gradient": dict(zip(names, gradients[0], strict=True)),
        "gradient_norms": np.array([[np.linalg.norm(gradient) for gradient in one] for one in gradients]),
        "final": {name: variable(model, name).numpy() for name in part(golden, "final")},
        "momentum": {name: momentum[index] for name, index in zip(names, order, strict=True)},
    }


def assert_close(ours, theirs, name):
    error = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), SMALLEST_SCALE)
    assert error <= TOLERANCE, f"{name} differs by {error:.1e} of its largest value"


def test_the_loss_of_every_step_is_pytorchs(ours, golden):
    np.testing.assert_allclose(ours["losses"], golden["losses"], atol=TOLERANCE)


def test_the_gradient_of_every_weight_in_the_first_step_is_pytorchs(ours, golden):
    for name, theirs in part(golden, "gradient").items():
        assert_close(ours["gradient"][name], in_our_layout(theirs), name)


def test_the_norm_of_every_gradient_in_every_step_is_pytorchs(ours, golden):
    for column, name in enumerate(golden["parameters"]):
        assert_close(ours["gradient_norms"][:, column], golden["gradient_norms"][:, column], name)


def test_weights_and_running_statistics_after_20_steps_are_pytorchs(ours, golden):
    assert sum("running_var" in name for name in ours["final"]) == 13  # 9 in the backbone, 3 in the projector, 1 in the predictor
    for name, theirs in part(golden, "final").items():
        assert_close(ours["final"][name], in_our_layout(theirs), name)


def test_momentum_after_20_steps_is_pytorchs(ours, golden):
    for name, theirs in part(golden, "momentum").items():
        assert_close(ours["momentum"][name], in_our_layout(theirs), name)
