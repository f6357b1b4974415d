"""The champion's accuracy over labels: of its registered backbone, on the candidate's draws, and never of changed files."""

import dataclasses
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.evaluator.champion import label_curve_of, load_baseline
from components.evaluator.gate import EvaluationError
from contracts.content_hash import content_hash
from pipeline_config import Embedding, LinearEval
from trainer import label_curve
from trainer.backbones import build_backbone
from trainer.export import export_backbone, load_backbone

SETTINGS = LinearEval(folds=2, label_fractions=(0.1, 1.0), label_draws=2)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """The directory of a tiny exported backbone."""
    keras.utils.set_random_seed(1)
    directory = tmp_path_factory.mktemp("version") / "backbone"
    network = build_backbone("small", width=4, stem="small", resolution=16, seed=5)
    record = {"backbone": "small", "width": 4, "stem": "small", "seed": 5,
              "embedding": dataclasses.asdict(Embedding(resolution=16))}  # fmt: skip
    export_backbone(network, record, str(directory))
    return directory


@pytest.fixture
def version(backbone, tmp_path, save_probe):
    """A registered version: `backbone` beside a probe that names it; and the `champion` parameter for it."""
    tf.io.gfile.makedirs(str(tmp_path / "version"))
    (tmp_path / "version" / "backbone").symlink_to(backbone)
    probe = save_probe("version/probe", np.eye(3), backbone_content_hash=content_hash(str(backbone)))
    return json.dumps({"version": "7", "probe_uri": probe, "content_hash": content_hash(probe)})


@pytest.fixture
def splits(write_split):
    """Train and eval: photographs of three colours, with noise."""
    random = np.random.default_rng(0)

    def drawn(name, count):
        labels = np.arange(count) % 3
        return write_split(name, np.eye(3)[labels] * 60 + random.integers(40, 160, (count, 3)), labels, shards=2)

    return drawn("train", 30), drawn("eval", 18)


def test_it_is_what_probes_on_the_registered_backbone_reach(version, backbone, splits):
    train, held_out = splits
    found = label_curve_of(load_baseline(version), train.files, held_out.files, SETTINGS)
    network, _ = load_backbone(str(backbone))

    def embedded(files):
        # Record by record by TensorFlow's own reader, and by the exported network rather than the folded one.
        spec = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
        parsed = [tf.io.parse_single_example(one, spec) for one in tf.data.TFRecordDataset(files, "GZIP")]
        pixels = [tf.image.resize(tf.io.decode_jpeg(one["image"]), (16, 16), antialias=True) / 255 for one in parsed]
        return network(tf.stack(pixels), training=False).numpy(), np.array([int(one["label"]) for one in parsed])

    expected = label_curve.accuracies(*embedded(train.files), *embedded(held_out.files), SETTINGS)
    assert [point["draws"] for point in found] == [pytest.approx(reached, abs=1.1 / 18) for reached in expected]
    assert [len(point["draws"]) for point in found] == [2, 1] and found[1]["mean"] > 0.5


def test_a_probe_that_names_no_backbone_has_no_curve(tmp_path, save_probe, splits):
    probe = save_probe("probe", np.eye(3))
    champion = json.dumps({"version": "1", "probe_uri": probe, "content_hash": content_hash(probe)})
    assert label_curve_of(load_baseline(champion), splits[0].files, splits[1].files, SETTINGS) is None


def test_a_backbone_that_is_missing_or_another_is_an_error_that_says_what_to_do(version, tmp_path, splits):
    baseline = load_baseline(version)
    folder = pathlib.Path(tmp_path / "version" / "backbone")
    folder.unlink()
    files = splits[0].files, splits[1].files, SETTINGS
    with pytest.raises(EvaluationError, match="champion version 7 cannot be evaluated: there are no files .*registry verify"):
        label_curve_of(baseline, *files)
    folder.mkdir()
    (folder / "backbone.json").write_text("{}")
    with pytest.raises(EvaluationError, match="champion version 7 cannot be evaluated: .* registered was"):
        label_curve_of(baseline, *files)
