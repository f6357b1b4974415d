"""Both trainers on a file system that is not this machine's: everything goes through tf.io.gfile, and nothing lands beside it.

ram:// is TensorFlow's file system in memory. Like an object store it is reached by URI only; unlike one it can rename, so that
the order of publication is tested too: what says that a directory is complete is written last.
"""

import json
import types

import numpy as np
import pytest
import tensorflow as tf
import trainer_arguments

from contracts import examples, model_files
from contracts.content_hash import content_hash
from pipeline_config import LinearEval
from trainer import export, linear_eval, pretrain
from trainer.probe import Probe

ROOT = "ram://flowers"


@pytest.fixture(scope="module")
def remote(record_files, settings, embedding, tmp_path_factory):
    """Pretrain, Pretrain again and LinearEval, below ROOT, from an empty working directory."""
    workplace = tmp_path_factory.mktemp("workplace")
    for split, path in record_files.items():
        tf.io.gfile.makedirs(f"{ROOT}/examples/Split-{split}")
        tf.io.gfile.copy(path, f"{ROOT}/examples/Split-{split}/records.gz")
    with tf.io.gfile.GFile(f"{ROOT}/examples/{examples.ORIGIN_FILE}", "w") as file:
        file.write(examples.origin("d", {"max_side": 256}, "c"))
    files = {split: [f"{ROOT}/examples/Split-{split}/*"] for split in ("train", "eval")}
    first, again = (
        trainer_arguments.of_pretrain(f"{ROOT}/{name}", files["train"], settings, embedding, checkpoint_dir=f"{ROOT}/checkpoints")
        for name in ("first", "again")
    )
    probe = trainer_arguments.of_linear_eval(f"{ROOT}/probe", files["train"], files["eval"], first.serving_model_dir, LinearEval(folds=2))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        pretrain.run_fn(first)
        pretrain.run_fn(again)
        linear_eval.run_fn(probe)
    return types.SimpleNamespace(first=first, again=again, probe=probe, workplace=workplace)


def read_json(*parts):
    with tf.io.gfile.GFile("/".join(parts)) as file:
        return json.load(file)


def test_nothing_is_taken_for_a_local_path(remote):
    # A library that knows no schemes would make a folder `ram:` where it stands.
    assert list(remote.workplace.iterdir()) == []


def test_a_second_start_continues_from_the_remote_checkpoint(remote):
    report = read_json(remote.again.model_run_dir, model_files.PRETRAIN_REPORT)
    # Two epochs of two batches of 8 from 20 photographs: all four steps were done by the first start.
    assert report["resumed_from_step"] == report["steps"] == 4
    assert read_json(remote.first.model_run_dir, model_files.PRETRAIN_REPORT)["resumed_from_step"] == 0


def test_the_remote_models_are_whole_and_belong_together(remote):
    assert tf.saved_model.contains_saved_model(remote.first.serving_model_dir)
    assert tf.saved_model.contains_saved_model(remote.probe.serving_model_dir)
    record = read_json(remote.probe.serving_model_dir, model_files.PROBE_RECORD)
    assert record["backbone_uri"] == f"{ROOT}/first"
    assert record["backbone_content_hash"] == content_hash(remote.first.serving_model_dir)
    network, record = export.load_backbone(remote.first.serving_model_dir)
    assert network.output_shape == (None, record["embedding_size"])


def test_a_backbone_that_breaks_off_is_not_complete(remote, monkeypatch):
    network, record = export.load_backbone(remote.first.serving_model_dir)
    monkeypatch.setattr(export, "save_keras", interrupted)
    with pytest.raises(OSError, match="connection"):
        export.export_backbone(network, record, f"{ROOT}/broken/backbone")
    assert tf.saved_model.contains_saved_model(f"{ROOT}/broken/backbone")  # it was well on its way
    assert not tf.io.gfile.exists(f"{ROOT}/broken/backbone/{model_files.BACKBONE_RECORD}")


def test_a_probe_that_breaks_off_is_not_complete(remote, monkeypatch):
    network, record = export.load_backbone(remote.first.serving_model_dir)
    size = record["embedding_size"]
    nothing = Probe(np.zeros(size), np.ones(size), np.zeros((size, 2)), np.zeros(2), regularisation=1.0, cross_validated=None)
    monkeypatch.setattr(tf.saved_model, "save", interrupted)
    with pytest.raises(OSError, match="connection"):
        export.export_probe(network, 64, nothing, {}, f"{ROOT}/broken/probe")
    assert not tf.io.gfile.exists(f"{ROOT}/broken/probe/{model_files.PROBE_RECORD}")


def interrupted(*arguments, **options):
    raise OSError("the connection is gone")
