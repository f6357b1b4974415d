"""A probe of today on a registered backbone: what it reaches is what the exported network reaches, and its curve the candidate's draws."""

import json

import numpy as np
import pytest
import tensorflow as tf

from components.evaluator.champion import fit, references
from pipeline_config import LinearEval
from trainer import label_curve
from trainer.export import load_backbone
from trainer.probe import fit_probe

SETTINGS = LinearEval(folds=2, label_fractions=(0.1, 1.0), label_draws=2)


@pytest.fixture
def splits(write_split):
    """Train and eval: photographs of three colours, with noise."""
    random = np.random.default_rng(0)

    def drawn(name, count):
        labels = np.arange(count) % 3
        return write_split(name, np.eye(3)[labels] * 60 + random.integers(40, 160, (count, 3)), labels, shards=2)

    return drawn("train", 30), drawn("eval", 18)


def test_it_is_what_a_probe_on_the_registered_backbone_reaches(register, backbones, splits, tmp_path):
    side = 24
    train, held_out = splits
    reference = references(json.dumps(register(7, side=side, seen=train.files)))["champion"]
    found = fit(reference, train.files, held_out.files, SETTINGS, str(tmp_path / "fitted"))
    network, _ = load_backbone(str(backbones[side]))

    def embedded(files):
        # Record by record by TensorFlow's own reader, and by the exported network rather than the folded one.
        spec = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
        parsed = [tf.io.parse_single_example(one, spec) for one in tf.data.TFRecordDataset(files, "GZIP")]
        pixels = [tf.image.resize(tf.io.decode_jpeg(one["image"]), (side, side), antialias=True) / 255 for one in parsed]
        return network(tf.stack(pixels), training=False).numpy(), np.array([int(one["label"]) for one in parsed])

    expected = label_curve.accuracies(*embedded(train.files), *embedded(held_out.files), SETTINGS)
    assert [point["draws"] for point in found.label_curve] == [pytest.approx(reached, abs=1.1 / 18) for reached in expected]
    assert [len(point["draws"]) for point in found.label_curve] == [2, 1] and found.label_curve[1]["mean"] > 0.5
    assert (found.version, found.seen) == ("7", 0)

    features, labels = embedded(train.files)
    by_hand = fit_probe(features, labels, regularisation=SETTINGS.regularisation, folds=2, seed=0)
    records = list(tf.data.TFRecordDataset(held_out.files, "GZIP").as_numpy_iterator())
    served = tf.saved_model.load(found.probe).signatures["serving_default"](tf.constant(records))["probabilities"].numpy()
    assert served.argmax(axis=1).tolist() == by_hand.predict(embedded(held_out.files)[0]).tolist()


def test_without_a_champion_there_is_nothing_to_compare_with():
    assert references("") == {}
