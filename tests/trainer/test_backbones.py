import numpy as np
import pytest

from trainer import normalization
from trainer.backbones import build_backbone


def build(name="small", **changes):
    return build_backbone(name, **{"width": 4, "stem": "small", "resolution": 16, "seed": 0} | changes)


# Torchvision documents 11,689,512 and 25,557,032 parameters with a classifier of 1,000 classes, which has
# 513,000 and 2,049,000; the rest is the backbone.
@pytest.mark.parametrize("name, features, parameters", [("resnet18", 512, 11_176_512), ("resnet50", 2048, 23_508_032)])
def test_published_networks_have_the_published_size(name, features, parameters):
    model = build(name, width=64, stem="imagenet", resolution=64)
    assert model.output_shape == (None, features)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == parameters


def test_imagenet_stem_reduces_to_a_thirty_second():
    model = build("resnet18", stem="imagenet", resolution=224, width=8)
    assert model.get_layer("pool").input.shape[1:3] == (7, 7)


def test_every_residual_branch_starts_as_nothing():
    model = build()
    for layer in model.layers:
        if layer.name.endswith("_last_norm"):
            assert np.all(layer.get_weights()[0] == 0)


def test_same_seed_same_weights_other_seed_others():
    first, second, other = (build(seed=seed).get_weights() for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, second))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other))


def test_no_two_convolutions_start_alike():
    kernels = [layer.get_weights()[0].ravel()[:16] for layer in build().layers if layer.name.endswith("_conv")]
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


def test_stock_and_fused_network_agree_in_inference():
    trained = build()
    views = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype(np.float32)
    trained(views, training=True)
    stock = build(normalization_layer=normalization.stock)
    stock.set_weights(trained.get_weights())
    np.testing.assert_allclose(trained(views, training=False), stock(views, training=False), atol=1e-5)


def test_a_backbone_for_another_resolution_shares_the_weights():
    first = build()
    second = build(resolution=32, layers_of=first)
    assert second.input_shape == (None, 32, 32, 3)
    assert [id(weight) for weight in second.weights] == [id(weight) for weight in first.weights]


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="resnet18.*got 'resnet19'"):
        build("resnet19")
    with pytest.raises(ValueError, match="'imagenet' or 'small', got 'tiny'"):
        build(stem="tiny")
