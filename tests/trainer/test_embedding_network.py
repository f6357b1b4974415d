"""The embedding of a photograph, against the same worked out map by map in NumPy."""

import dataclasses

import keras
import numpy as np
import pytest

from pipeline_config import ConfigurationError, Embedding
from trainer import normalization
from trainer.backbones import build_backbone, stage_outputs
from trainer.embedding_network import build_embedding_network, copy_weights

ARCHITECTURE = {"width": 4, "stem": "small", "seed": 2}


def build(embedding, **changes):
    options = ARCHITECTURE | {"normalization_layer": normalization.stock} | changes
    return build_embedding_network("small", **options, embedding=embedding)


@pytest.fixture(scope="module")
def trained():
    """A training network whose weights and running statistics are no initial ones."""
    backbone = build_backbone("small", resolution=16, **ARCHITECTURE)
    random = np.random.default_rng(0)
    backbone.set_weights([weight + random.uniform(-0.1, 0.1, weight.shape) for weight in backbone.get_weights()])
    return backbone


@pytest.fixture(scope="module")
def photographs():
    return np.random.default_rng(1).uniform(size=(3, 32, 32, 3)).astype(np.float32)


def stage_maps(backbone, resolution, views):
    """The last map of each stage, by the backbone rebuilt for `resolution`."""
    same = build_backbone("small", resolution=resolution, **ARCHITECTURE)
    same.set_weights(backbone.get_weights())
    return [np.asarray(each) for each in keras.Model(same.input, stage_outputs(same))(views, training=False)]


def test_the_default_is_the_papers_average_of_the_last_map(trained, photographs):
    network = build(Embedding(resolution=16))
    copy_weights(trained, network)
    views = photographs[:, :16, :16]
    np.testing.assert_allclose(network(views), trained(views, training=False), atol=1e-5)


def test_stages_are_pooled_by_mean_deviation_and_maximum(trained, photographs):
    network = build(Embedding(resolution=32, stages=3, pooling=("mean", "deviation", "maximum")))
    copy_weights(trained, network)
    maps = stage_maps(trained, 32, photographs)
    pooled = [function(each, axis=(1, 2)) for each in maps for function in (np.mean, np.std, np.max)]
    np.testing.assert_allclose(network(photographs), np.concatenate(pooled, axis=1), atol=1e-4)
    assert network.output_shape == (None, 3 * (4 + 8 + 16))


def test_views_are_the_whole_the_corners_the_centre_and_their_mirror_images(trained, photographs):
    network = build(Embedding(resolution=24, photograph_side=32, mirrored=True))
    copy_weights(trained, network)
    places = [slice(0, 24), slice(8, 32), slice(4, 28)]
    crops = [photographs[:, places[y], places[x]] for y, x in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)]]
    crops.append(np.asarray(keras.ops.image.resize(photographs, (24, 24), antialias=True)))
    views = crops + [crop[:, :, ::-1] for crop in crops]
    expected = np.mean([stage_maps(trained, 24, view)[-1].mean(axis=(1, 2)) for view in views], axis=0)
    np.testing.assert_allclose(network(photographs), expected, atol=1e-4)


def test_a_photograph_and_its_mirror_image_have_one_embedding(trained, photographs):
    network = build(Embedding(resolution=24, photograph_side=32, mirrored=True, stages=2, pooling=("deviation",)))
    copy_weights(trained, network)
    np.testing.assert_allclose(network(photographs), network(photographs[:, :, ::-1]), atol=1e-4)


def test_the_deviation_of_an_even_map_is_nothing_and_never_undefined(trained):
    network = build(Embedding(resolution=16, stages=3, pooling=("deviation",)))
    embedding = np.asarray(network(np.zeros((1, 16, 16, 3), np.float32)))
    assert np.all(np.isfinite(embedding)) and np.all(embedding >= 0)


def test_weights_are_not_copied_between_networks_that_differ(trained):
    with pytest.raises(ValueError, match="stage4"):
        copy_weights(trained, build_embedding_network(
            "resnet18", **ARCHITECTURE, embedding=Embedding(resolution=16), normalization_layer=normalization.stock))  # fmt: skip
    with pytest.raises(ValueError):
        copy_weights(trained, build(Embedding(resolution=16), width=8))


@pytest.mark.parametrize("changes, named", [
    ({"photograph_side": 16}, "embedding.photograph_side"), ({"pooling": ("median",)}, "embedding.pooling"),
    ({"pooling": ()}, "embedding.pooling"),
    ({"stages": 0}, "embedding.stages"), ({"resolution": 20}, "embedding.resolution"),
])  # fmt: skip
def test_settings_that_cannot_work_are_refused_by_name(changes, named):
    with pytest.raises(ConfigurationError, match=named):
        dataclasses.replace(Embedding(resolution=24), **changes)
