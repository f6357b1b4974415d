"""Pre-training that starts from a backbone registered earlier."""

import contextlib
import dataclasses
import json
import shutil

import numpy as np
import pytest
import trainer_arguments

from contracts.content_hash import content_hash
from pipeline_config import ConfigurationError, WarmStart
from trainer.export import BackboneChanged, export_backbone, take_weights
from trainer.loop import pretrain
from trainer.pretrain import run_fn, settings_from_json, started_from
from trainer.simsiam import build_simsiam


@pytest.fixture(scope="module")
def registered(settings, embedding, tmp_path_factory):
    """A backbone whose weights and statistics are unlike any initial ones, exported; its weights, and where it is."""
    backbone = build_simsiam(settings).backbone
    random = np.random.default_rng(5)
    backbone.set_weights([random.uniform(0.1, 0.5, weight.shape) for weight in backbone.weights])
    directory = str(tmp_path_factory.mktemp("registered") / "backbone")
    record = {name: getattr(settings, name) for name in ("backbone", "width", "stem", "resolution", "seed")}
    record["embedding"] = dataclasses.asdict(embedding)
    export_backbone(backbone, record, directory)
    return backbone.get_weights(), WarmStart("4", directory, content_hash(directory))


def test_every_weight_and_statistic_is_taken_exactly(settings, registered):
    backbone = build_simsiam(settings).backbone
    take_weights(backbone, registered[1])
    for ours, theirs in zip(backbone.get_weights(), registered[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_training_begins_at_the_registered_weights_and_the_heads_anew(settings, photographs, registered, tmp_path):
    """At a rate of next to nothing every trained weight stays what it was at step 0."""
    still = dataclasses.replace(settings, epochs=1, base_learning_rate=1e-12, warm_start=registered[1])
    result = pretrain(photographs, still, checkpoint_dir=str(tmp_path / "c"), log_dir=str(tmp_path), neighbours=3)
    trained = [weight for weight in result.model.backbone.weights if weight.trainable]
    given = [value for value, weight in zip(registered[0], result.model.backbone.weights) if weight.trainable]
    for weight, value in zip(trained, given, strict=True):
        np.testing.assert_allclose(weight.numpy(), value, atol=1e-7)
    fresh = build_simsiam(settings)
    for ours, theirs in zip(result.model.projector.trainable_weights, fresh.projector.trainable_weights):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-7)
    assert result.report["warm_start"] == dataclasses.asdict(registered[1])


def test_a_resumed_run_keeps_what_it_learned_since(settings, photographs, registered, tmp_path):
    start = dataclasses.replace(settings, epochs=1, warm_start=registered[1])
    arguments = {"checkpoint_dir": str(tmp_path / "c"), "log_dir": str(tmp_path), "neighbours": 3}
    first = pretrain(photographs, start, **arguments).model.backbone.get_weights()
    again = pretrain(photographs, start, **arguments)
    assert again.report["resumed_from_step"] == 3
    for ours, theirs in zip(again.model.backbone.get_weights(), first):
        np.testing.assert_array_equal(ours, theirs)
    assert any(np.abs(ours - theirs).max() > 1e-4 for ours, theirs in zip(first, registered[0]))


def test_another_backbone_than_the_chosen_one_is_refused(settings, registered):
    with pytest.raises(BackboneChanged, match="version 4 at .* expected 000"):
        take_weights(build_simsiam(settings).backbone, dataclasses.replace(registered[1], content_hash="000"))


def test_a_directory_without_its_hash_is_refused():
    with pytest.raises(ConfigurationError, match="pretrain.warm_start.content_hash"):
        WarmStart("1", "/some/where")


def test_a_copy_of_the_chosen_backbone_is_trained_on_by_the_schedule_of_a_warm_start(settings, tmp_path):
    chosen = WarmStart("4", "gs://bucket/registry/versions/abc/backbone", "abc")
    (tmp_path / "warm_start.json").write_text(json.dumps(dataclasses.asdict(chosen)))
    copy = str(tmp_path / "Format-Serving")
    started = started_from(copy, settings, {"epochs": 7, "base_learning_rate": 0.01})
    assert (started.epochs, started.base_learning_rate, started.warm_start) == (7, 0.01, WarmStart("4", copy, "abc"))
    assert dataclasses.replace(started, epochs=settings.epochs, base_learning_rate=settings.base_learning_rate,
                               warm_start=WarmStart()) == settings  # fmt: skip


def test_tfx_s_entry_point_trains_on_the_copy_alone_in_the_folder_of_its_checkpoints(
    settings, embedding, record_files, registered, tmp_path
):
    copy, alone_in = tmp_path / "model/Format-Serving", []
    shutil.copytree(registered[1].backbone, copy)
    (tmp_path / "model/warm_start.json").write_text(json.dumps(dataclasses.asdict(registered[1])))
    schedule = json.dumps({"epochs": 1, "base_learning_rate": 1e-12})
    run_fn(
        trainer_arguments.of_pretrain(tmp_path, [record_files["train"]], settings, embedding, str(copy), warm_start=schedule),
        lambda folder: contextlib.nullcontext(alone_in.append(folder)),
    )
    report, record = (json.loads((tmp_path / path).read_text()) for path in ("run/pretrain.json", "backbone/backbone.json"))
    start = dataclasses.asdict(dataclasses.replace(registered[1], backbone=str(copy)))
    assert report["epochs"] == 1 and report["warm_start"] == record["pretrain"]["warm_start"] == start
    assert alone_in == [str(folder) for folder in (tmp_path / "checkpoints").iterdir()]


def test_without_a_chosen_backbone_the_settings_stay(settings, tmp_path):
    (tmp_path / "warm_start.json").write_text(json.dumps(dataclasses.asdict(WarmStart())))
    assert started_from(str(tmp_path / "Format-Serving"), settings, {"epochs": 7}) == settings


def test_the_choice_survives_the_way_to_the_trainer(settings, registered):
    import pipeline_config
    from pipeline.dag import as_json

    chosen = dataclasses.replace(settings, warm_start=registered[1])
    assert settings_from_json(as_json(chosen), pipeline_config.running(chosen)) == chosen
