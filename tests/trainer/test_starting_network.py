"""A network of others as SimSiam's start: what trains, what is kept, what it is compared with, and what is refused."""

import contextlib
import dataclasses
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import trainer_arguments

from contracts.content_hash import content_hash
from pipeline_config import ConfigurationError, Embedding, LinearEval, WarmStart
from trainer import linear_eval, other_networks, starting_network
from trainer.embedding_network import antialiased_by_products
from trainer.export import (
    BackboneChanged,
    baseline_network,
    convertible,
    embedding_of,
    export_backbone,
    folded,
    load_backbone,
    take_weights,
)
from trainer.loop import pretrain
from trainer.pretrain import run_fn
from trainer.replicas import require_shared
from trainer.simsiam import build_simsiam, loss_and_gradients, update

# Keras' default, as written out here: the file's own normalisation, not the project's.
MOMENTUM = 0.99


def made(path, side=16, *, trainable=True, dtype="float32", after=()) -> str:
    """A network as a user may have one: a convolution, its normalisation with statistics of its own, a dropout; a feature map."""
    keras.utils.set_random_seed(7)
    pixels = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, dtype=dtype)(pixels)
    x = keras.layers.ReLU(dtype=dtype)(keras.layers.BatchNormalization(momentum=MOMENTUM, dtype=dtype)(x))
    x = keras.layers.Dropout(0.1, dtype=dtype)(x)
    for layer in after:
        x = layer(x)
    network = keras.Model(pixels, x)
    random = np.random.default_rng(3)
    network.set_weights([random.uniform(0.1, 0.5, weight.shape) for weight in network.weights])
    network.trainable = trainable
    network.save(path)
    return str(path)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return made(tmp_path_factory.mktemp("files") / "mine.keras")


@pytest.fixture(scope="module")
def start(file, tmp_path_factory):
    return starting_network.keep(file, 16, tmp_path_factory.mktemp("starts"))


@pytest.fixture(scope="module")
def started(settings, start):
    """The settings of a pre-training from it."""
    return dataclasses.replace(settings, warm_start=start)


@pytest.fixture(scope="module")
def trained(started, record_files, tmp_path_factory):
    """What TFX's entry point writes: the folder with `backbone` and `run`."""
    folder = tmp_path_factory.mktemp("trained")
    embedding = Embedding(resolution=24, photograph_side=32)
    run_fn(trainer_arguments.of_pretrain(folder, [record_files["train"]], started, embedding), lambda folder: contextlib.nullcontext())
    return folder


def views(side=16, count=8, seed=0):
    return tf.constant(np.random.default_rng(seed).random((count, side, side, 3), np.float32))


def test_the_backbone_has_the_file_s_weights_and_statistics_at_step_0(started, file):
    ours, theirs = build_simsiam(started).backbone, keras.models.load_model(file)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # The feature map is averaged over its places.
    np.testing.assert_allclose(ours(views(), training=False), np.mean(theirs(views(), training=False), axis=(1, 2)), rtol=1e-5)


def test_gradients_reach_every_weight_of_it_and_the_heads(started):
    model = build_simsiam(started)
    _, _, (encoder, predictor) = loss_and_gradients(model, views(seed=0), views(seed=1))
    assert len(encoder) == len(model.backbone.trainable_weights) + len(model.projector.trainable_weights)
    assert len(model.backbone.trainable_weights) == 3  # kernel, scale and offset
    for gradient in (*encoder, *predictor):
        assert float(tf.reduce_max(tf.abs(gradient))) > 0
    before = model.backbone.get_weights()
    update(model, (encoder, predictor), tf.constant(0), steps=10, settings=started)
    moved = [np.abs(one - other).max() > 0 for one, other in zip(model.backbone.get_weights(), before)]
    assert moved == [weight.trainable for weight in model.backbone.weights]


def test_its_own_normalisation_takes_in_the_statistics_of_each_view_once(started, file):
    model = build_simsiam(started)
    kernel, _, _, mean, variance = keras.models.load_model(file).get_weights()
    loss_and_gradients(model, views(seed=0), views(seed=1))
    for seed in (0, 1):  # an exponential average by hand, of convolutions by another implementation
        outputs = tf.nn.conv2d(views(seed=seed), kernel, 2, "SAME").numpy()
        mean = MOMENTUM * mean + (1 - MOMENTUM) * outputs.mean(axis=(0, 1, 2))
        variance = MOMENTUM * variance + (1 - MOMENTUM) * outputs.var(axis=(0, 1, 2))
    *_, running_mean, running_variance = model.backbone.get_weights()
    np.testing.assert_allclose(running_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(running_variance, variance, rtol=1e-5)


def test_dropout_is_determined_by_the_seed(started):
    """Two processes draw alike, and another seed draws otherwise."""

    def losses(settings):
        model = build_simsiam(settings)
        return [float(loss_and_gradients(model, views(seed=0), views(seed=1))[0]) for _ in range(2)]

    first = losses(started)
    assert losses(started) == first and first[0] != first[1]
    state = [variable.numpy().tolist() for variable in build_simsiam(started).backbone.variables if "seed" in variable.name]
    assert state == [[started.seed, 0]]


def test_a_run_that_was_killed_continues_to_the_same_weights(started, photographs, tmp_path, monkeypatch):
    arguments = {"log_dir": str(tmp_path / "log"), "neighbours": 3}
    whole = pretrain(photographs, started, checkpoint_dir=str(tmp_path / "whole"), **arguments)

    class Killed(BaseException):
        pass

    from trainer import loop

    original, steps = loop.Clock.save, []

    def save_and_die(clock, force=False):
        original(clock, force)
        steps.append(clock.checkpoints.step)
        if len(steps) == 2:
            raise Killed

    monkeypatch.setattr(loop.Clock, "save", save_and_die)
    with pytest.raises(Killed):
        pretrain(photographs, started, checkpoint_dir=str(tmp_path / "parts"), **arguments)
    monkeypatch.setattr(loop.Clock, "save", original)
    resumed = pretrain(photographs, started, checkpoint_dir=str(tmp_path / "parts"), **arguments)
    assert resumed.report["resumed_from_step"] == 2
    for one, other in zip(resumed.model.backbone.get_weights(), whole.model.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_copy_that_changed_since_the_run_began_is_refused(started, photographs, file, tmp_path):
    start = starting_network.keep(file, 16, tmp_path)
    made(pathlib.Path(start.backbone, "start.keras"), after=[keras.layers.ReLU()])
    with pytest.raises(BackboneChanged, match="the copy of mine.keras at .* it changed since the run began; start the run again"):
        pretrain(photographs, dataclasses.replace(started, warm_start=start), checkpoint_dir=str(tmp_path / "c"),
                 log_dir=str(tmp_path), neighbours=3)  # fmt: skip


def test_the_same_file_is_the_same_start_and_a_changed_one_another(file, tmp_path):
    first = starting_network.keep(file, 16, tmp_path / "starts")
    assert first == WarmStart("", first.backbone, content_hash(first.backbone), "mine.keras")
    kept = pathlib.Path(first.backbone, "start.keras")
    assert kept.read_bytes() == pathlib.Path(file).read_bytes()
    at = kept.stat().st_mtime_ns
    assert starting_network.keep(file, 16, tmp_path / "starts") == first and kept.stat().st_mtime_ns == at
    changed = starting_network.keep(made(tmp_path / "mine.keras", after=[keras.layers.ReLU()]), 16, tmp_path / "starts")
    assert changed.content_hash != first.content_hash and changed.backbone != first.backbone


def test_an_application_is_built_for_the_side_and_downloaded_once(monkeypatch, tmp_path):
    build = keras.applications.MobileNetV2

    def without_network(*, weights, **options):
        asked.append(weights)
        return build(weights=None, alpha=0.35, **options)

    asked = []
    without_network.__module__ = build.__module__
    monkeypatch.setattr(keras.applications, "MobileNetV2", without_network)
    first = starting_network.keep("keras:MobileNetV2", 32, tmp_path)
    assert starting_network.keep("keras:MobileNetV2", 32, tmp_path) == first and asked == ["imagenet"]
    network = starting_network.build(first.backbone, 64, 0)
    assert network.input_shape == (None, 64, 64, 3) and network.output_shape == (None, 1280)
    assert len(network.trainable_weights) == 156  # of a network that is not frozen
    # Its own preprocessing is inside: pixels of [0, 1] become [-1, 1] (Keras' documentation of MobileNetV2's).
    first_convolution = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
    before = keras.Model(network.input, first_convolution.input)
    np.testing.assert_allclose(before(tf.fill([1, 64, 64, 3], 0.25)), np.full((1, 64, 64, 3), -0.5), atol=1e-6)


def test_its_weights_are_kept_when_it_is_built_for_another_side(file):
    network = other_networks.read(file)
    larger = starting_network.at_side(network, 40)
    assert starting_network.at_side(network, 16) is network and larger.input_shape == (None, 40, 40, 3)
    for one, other in zip(larger.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("options", "said"), [
    ({"trainable": False}, r"pretrain.start=bad.keras: the network has no weight to train; set `trainable = True`"),
    ({"dtype": "mixed_bfloat16"}, "bad.keras: the network computes in bfloat16; build it with the policy float32"),
    ({"after": [keras.layers.Lambda(lambda x: x)]}, "cannot be loaded as a Keras model"),
])  # fmt: skip
def test_what_cannot_be_trained_is_refused_and_nothing_is_kept(options, said, tmp_path):
    with pytest.raises(ConfigurationError, match=said):
        starting_network.keep(made(tmp_path / "bad.keras", **options), 16, tmp_path / "starts")
    assert not (tmp_path / "starts").exists()


def test_a_network_of_one_size_alone_is_refused_for_another(tmp_path):
    fixed = other_networks.read(made(tmp_path / "fixed.keras", after=[keras.layers.Flatten(), keras.layers.Dense(4)]))
    with pytest.raises(ConfigurationError, match="squares of 16 pixels and cannot be built for 24: set pretrain.resolution=16"):
        starting_network.at_side(fixed, 24)


def test_several_devices_are_refused(started):
    require_shared(started, 1)
    with pytest.raises(ConfigurationError, match="pretrain.start=mine.keras trains on one device.* there are 2"):
        require_shared(started, 2)


def test_another_precision_is_refused(started):
    with pytest.raises(ConfigurationError, match="pretrain.precision must be float32, in which mine.keras was built, got 'auto'"):
        dataclasses.replace(started, precision="auto")


def test_the_embedding_is_the_mean_of_its_features_of_all_views(file, start):
    record = {"embedding": dataclasses.asdict(Embedding(resolution=16, photograph_side=24)),
              "pretrain": {"warm_start": dataclasses.asdict(start)}}  # fmt: skip
    network, alone = embedding_of(other_networks.read(file), record), keras.models.load_model(file)
    photograph = views(24, 1)
    seen = [tf.image.resize(photograph, (16, 16), antialias=True), photograph[:, :16, :16], photograph[:, :16, 8:],
            photograph[:, 8:, :16], photograph[:, 8:, 8:], photograph[:, 4:20, 4:20]]  # fmt: skip
    expected = np.mean([np.mean(alone(view, training=False), axis=(1, 2)) for view in seen], axis=0)
    np.testing.assert_allclose(network(photograph), expected, rtol=1e-4)
    by_products = embedding_of(other_networks.read(file), record, antialiased_by_products)
    np.testing.assert_allclose(by_products(photograph), expected, rtol=1e-4)


def test_the_exported_backbone_is_the_trained_one_and_has_its_start_beside_it(trained, file, started):
    network, record = load_backbone(str(trained / "backbone"))
    assert (record["backbone"], record["width"], record["stem"]) == ("mine.keras", None, None)
    assert record["pretrain"]["warm_start"]["network"] == "mine.keras"
    assert (record["photograph_side"], record["embedding_size"]) == (32, 6)
    photographs = views(32, 3)
    served = tf.saved_model.load(str(trained / "backbone")).signatures["pixels"](pixels=photographs)["embedding"]
    np.testing.assert_allclose(served, network(photographs), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(convertible(network, record)(photographs), network(photographs), rtol=1e-4, atol=1e-5)
    assert folded(network, record) is network
    # The baseline is the file's network, and the trained one is not.
    baseline = baseline_network(str(trained / "backbone"), record)
    np.testing.assert_allclose(baseline(photographs), embedding_of(other_networks.read(file), record)(photographs), rtol=1e-5)
    assert np.abs(baseline(photographs) - network(photographs)).max() > 1e-3
    # Which photographs its makers trained it on, nobody knows.
    assert not (trained / "backbone/pretrained_on.npy").exists()
    report = json.loads((trained / "run/pretrain.json").read_text())
    assert report["warm_start"]["network"] == "mine.keras" and report["precision"] == "float32"


def test_a_version_of_it_can_be_started_from_and_keeps_the_first_start(trained, started, file, tmp_path):
    version = WarmStart("3", str(trained / "backbone"), content_hash(str(trained / "backbone")), "mine.keras")
    again = dataclasses.replace(started, warm_start=version)
    backbone = build_simsiam(again).backbone
    take_weights(backbone, version)
    network, record = load_backbone(version.backbone)
    for one, other in zip(backbone.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    export_backbone(backbone, record | {"pretrain": dataclasses.asdict(again)}, str(tmp_path / "next"))
    assert (tmp_path / "next/start.keras").read_bytes() == pathlib.Path(file).read_bytes()


def test_linear_evaluation_compares_it_with_its_start(trained, record_files, tmp_path):
    wanted = LinearEval(regularisation=(0.1, 1.0), folds=2, neighbours=3, label_fractions=(1.0,), label_draws=1)
    linear_eval.run_fn(
        trainer_arguments.of_linear_eval(tmp_path, [record_files["train"]], [record_files["eval"]], f"{trained}/backbone", wanted)
    )
    paths = ("run/linear_eval.json", "probe/probe.json", "run/untrained_probe/probe.json")
    report, probe, baseline = (json.loads((tmp_path / path).read_text()) for path in paths)
    assert report["baseline"] == probe["baseline"] == baseline["baseline"] == "start"
    # The baseline's kNN, of the start's own features.
    views, labels, _ = linear_eval.read_views([record_files["train"]], 32)
    network, record = load_backbone(str(trained / "backbone"))
    start = baseline_network(str(trained / "backbone"), record)
    from trainer.features import knn_accuracy

    held_out, truth, _ = linear_eval.read_views([record_files["eval"]], 32)
    features = [np.concatenate([start(batch, training=False) for batch in split]) for split in (views, held_out)]
    assert report["random_init_knn_top1"] == pytest.approx(knn_accuracy(features[0], labels, 3, (features[1], truth)))
