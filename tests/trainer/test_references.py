"""The champion's backbone and that of the best version so far in linear evaluation: the same probe, in one pass over the photographs."""

import dataclasses
import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
import trainer_arguments

from contracts import model_files
from contracts.content_hash import content_hash
from pipeline_config import Embedding, LinearEval
from trainer import export, label_curve, linear_eval, pretrained_on, references
from trainer.probe import fit_probe

SETTINGS = LinearEval(folds=2, label_fractions=(0.1, 1.0), label_draws=2)


def write_version(folder, seed, side, seen=()):
    """A version's files as far as linear evaluation reads them, and what names them in `champion`."""
    record = {"backbone": "small", "width": 4, "stem": "small", "seed": seed, "photograph_side": side,
              "embedding": dataclasses.asdict(Embedding(resolution=16, photograph_side=side))}  # fmt: skip
    (folder / "backbone").mkdir(parents=True)
    (folder / "probe").mkdir()
    export.untrained_network(record).save(folder / "backbone" / model_files.BACKBONE_KERAS)
    (folder / "backbone" / model_files.BACKBONE_RECORD).write_text(json.dumps(record))
    (folder / "probe" / "probe.json").write_text("{}")
    if seen is not None:
        pretrained_on.write(seen, "", str(folder / "backbone"))
    backbone, probe = str(folder / "backbone"), str(folder / "probe")
    return {"version": folder.name, "backbone": backbone, "content_hash": content_hash(backbone), "probe": probe,
            "probe_content_hash": content_hash(probe)}  # fmt: skip


@pytest.fixture(scope="module")
def versions(record_files, tmp_path_factory):
    """By name, a candidate, a champion, and a best version for photographs of another side, of which more is not known."""
    folder = tmp_path_factory.mktemp("versions")
    return {
        "candidate": write_version(folder / "0", 1, 24),
        "champion": write_version(folder / "4", 2, 24, seen=[record_files["train"], record_files["eval"]]),
        "best": write_version(folder / "2", 3, 20, seen=None),
    }


@pytest.fixture(scope="module")
def evaluated(versions, record_files, tmp_path_factory):
    """evaluated(champion) runs LinearEval on the candidate; its probes by directory, its reports, and what it decoded.

    Nothing is exported, which would take most of the time.
    """

    def run(champion=None, looked_up=None):
        found = types.SimpleNamespace(decoded=0, passes=0, probes={})
        views_at, read_records = linear_eval.evaluation_views_at, linear_eval.read_records

        def counted(encoded, sides):
            def count():
                found.decoded += 1

            with tf.control_dependencies([tf.py_function(count, [], [])]):
                return views_at(tf.identity(encoded), sides)

        def opened(files):
            found.passes += 1
            return read_records(files)

        def keep(network, max_side, probe, record, directory):
            found.probes[directory] = (network, probe, record)

        place = tmp_path_factory.mktemp("run")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(linear_eval, "evaluation_views_at", counted)
            patch.setattr(linear_eval, "read_records", opened)
            patch.setattr(linear_eval, "export_probe", keep)
            linear_eval.run_fn(
                trainer_arguments.of_linear_eval(
                    place, [record_files["train"]], [record_files["eval"]], versions["candidate"]["backbone"], SETTINGS, looked_up,
                    **({"champion": json.dumps(champion)} if champion else {})))  # fmt: skip
        found.candidate = found.probes.pop(str(place / "probe"))
        found.probes = {directory.removeprefix(f"{place}/run/"): one for directory, one in found.probes.items()}
        found.record, found.report = (json.loads((place / "run" / name).read_text())
                                      for name in (model_files.REFERENCES, model_files.LINEAR_EVAL_REPORT))  # fmt: skip
        return found

    return run


@pytest.fixture(scope="module")
def compared(evaluated, versions):
    """With both versions, which are handed over as a run does that looks them up."""
    return evaluated(looked_up=versions["champion"] | {"best": versions["best"]})


def bits(probe):
    return [np.asarray(getattr(probe, name)).tobytes() for name in ("mean", "scale", "weights", "bias")]


def test_photographs_are_read_and_decoded_once_for_all_backbones_and_the_candidate_s_probe_is_the_same(evaluated, compared):
    alone = evaluated()
    # 20 photographs to train on and 8 to evaluate, whatever the number of backbones and of their sides; a pass for each split.
    assert (alone.decoded, alone.passes) == (compared.decoded, compared.passes) == (28, 2)
    assert bits(alone.candidate[1]) == bits(compared.candidate[1])
    assert alone.candidate[2] == compared.candidate[2]
    assert bits(alone.probes["untrained_probe"][1]) == bits(compared.probes["untrained_probe"][1])
    assert alone.record == {} and set(compared.probes) == {"untrained_probe", "reference_probes/champion", "reference_probes/best"}
    figures = [{key: value for key, value in one.report.items() if key != "label_curve"} for one in (alone, compared)]
    assert figures[0] == figures[1]


def embedded_by_hand(version, file):
    """Features record by record by TensorFlow's own reader, and by the exported network rather than the folded one; and labels."""
    network = keras.models.load_model(f"{version['backbone']}/{model_files.BACKBONE_KERAS}")
    side = network.input_shape[1]
    spec = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    parsed = [tf.io.parse_single_example(one, spec) for one in tf.data.TFRecordDataset(file, "GZIP")]
    pixels = [tf.image.resize(tf.io.decode_jpeg(one["image"]), (side, side), antialias=True) / 255 for one in parsed]
    return network(tf.stack(pixels), training=False).numpy(), np.array([int(one["label"]) for one in parsed])


def test_each_gets_the_probe_and_the_curve_that_fit_its_backbone(compared, versions, record_files):
    for name, side in (("champion", 24), ("best", 20)):
        train, held_out = (embedded_by_hand(versions[name], record_files[split]) for split in ("train", "eval"))
        by_hand = fit_probe(*train, regularisation=SETTINGS.regularisation, folds=2, seed=0)
        network, probe, record = compared.probes[f"reference_probes/{name}"]
        assert network.input_shape[1] == side == record["photograph_side"]
        assert record["classes"] == ["across", "down"] and record["version"] == versions[name]["version"]
        assert probe.predict(held_out[0]).tolist() == by_hand.predict(held_out[0]).tolist()
        np.testing.assert_allclose(probe.mean, by_hand.mean, atol=1e-4)
    train, held_out = (embedded_by_hand(versions["champion"], record_files[split]) for split in ("train", "eval"))
    expected = label_curve.accuracies(*train, *held_out, SETTINGS)
    assert [point["champion"]["draws"] for point in compared.report["label_curve"]] == [pytest.approx(one, abs=1.1 / 8) for one in expected]
    assert compared.record == {
        "champion": {"version": "4", "content_hash": versions["champion"]["content_hash"], "probe": "reference_probes/champion",
                     "pretrained_on": 8},
        "best": {"version": "2", "content_hash": versions["best"]["content_hash"], "probe": "reference_probes/best",
                 "pretrained_on": None}}  # fmt: skip


def test_a_champion_that_is_the_candidate_s_own_backbone_is_not_fitted_twice(evaluated, versions, monkeypatch):
    monkeypatch.setattr(references, "fit", None)
    found = evaluated(versions["candidate"] | {"version": "7"})
    assert set(found.probes) == {"untrained_probe"}
    assert found.record["champion"] == {"version": "7", "content_hash": versions["candidate"]["content_hash"], "probe": "",
                                        "pretrained_on": 0}  # fmt: skip
    assert all(point["champion"] == point["candidate"] for point in found.report["label_curve"])


def test_without_a_champion_there_is_nothing_to_compare_with():
    assert references.named({}) == {}


def test_a_deleted_champion_is_an_error_that_says_what_to_do(versions, tmp_path):
    gone = references.named(versions["champion"] | {"probe": str(tmp_path / "gone")})
    with pytest.raises(references.ReferenceUnusable, match=r"champion version 4 cannot be evaluated: there are no files .*registry verify"):
        references.require_undamaged(gone)


@pytest.mark.parametrize("damaged", ["probe/probe.json", "backbone/backbone.json"])
@pytest.mark.parametrize(("name", "title"), [("champion", "champion version 9"), ("best", "the best version so far, version 9")])
def test_a_damaged_version_is_an_error(versions, tmp_path, damaged, name, title):
    version = write_version(tmp_path / "9", 2, 24)
    with open(tmp_path / "9" / damaged, "a") as file:
        file.write(" ")
    found = version if name == "champion" else versions["champion"] | {"best": version}
    with pytest.raises(references.ReferenceUnusable, match=f"{title} cannot be evaluated: .* registered was"):
        references.require_undamaged(references.named(found))


def test_a_version_that_another_tool_registered_is_an_error(versions):
    with pytest.raises(
        references.ReferenceUnusable, match="champion version 4 cannot be evaluated: the registry has no hash of .*backbone"
    ):
        references.require_undamaged(references.named(versions["champion"] | {"content_hash": ""}))
