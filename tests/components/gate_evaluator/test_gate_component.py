"""The component GateEvaluator: what it writes, what it refuses, and a run of it with the Pusher by TFX's own runner."""

import json
import os
import shutil

import apache_beam as beam
import numpy as np
import pytest
from tfx import v1 as tfx
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts import IngestReport
from components.gate_evaluator.component import GateEvaluator
from components.gate_evaluator.measured import EvaluationError
from components.registry import reading
from components.registry.mlflow_backend import MlflowBackend
from components.registry_pusher.component import PIPELINE_JOB_NAME, RegistryPusher
from contracts.content_hash import content_hash

GOOD, POOR = np.eye(3) * 6, np.eye(3)[[1, 0, 2]] * 6
# Ten photographs, each of its class's colour but the last: GOOD is right on 9; POOR mixes up two classes.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 0])
COLOURS = np.eye(3)[[0, 0, 0, 0, 1, 1, 1, 2, 2, 2]] * 200 + 20
GATE = json.dumps({"min_accuracy": 0.9, "min_gain_over_random": 0.03, "max_regression": 0.01})


@pytest.fixture
def artifacts(tmp_path, save_probe, write_split):
    """The inputs of the component, as ExampleGen and LinearEval leave them, and empty outputs."""
    write_split("examples/Split-eval", COLOURS, LABELS)
    save_probe("probe/Format-Serving", GOOD)
    save_probe("probe_run/untrained_probe", POOR)
    types = {
        "examples": standard_artifacts.Examples, "probe": standard_artifacts.Model, "probe_run": standard_artifacts.ModelRun,
        "evaluation": standard_artifacts.ModelEvaluation, "blessing": standard_artifacts.ModelBlessing,
    }  # fmt: skip
    made = {}
    for number, (name, artifact_type) in enumerate(types.items(), start=1):
        made[name] = artifact_type()
        made[name].uri, made[name].id = str(tmp_path / name), number
    made["examples"].split_names = artifact_utils.encode_split_names(["train", "eval"])
    return made


def evaluate(artifacts, **parameters):
    GateEvaluator.test_call(**artifacts, gate=GATE, beam_pipeline=beam.Pipeline(), **parameters)
    with open(os.path.join(artifacts["evaluation"].uri, "verdict.json")) as file:
        return json.load(file)


def champion_of(directory, version="1", **changes):
    return json.dumps({"version": version, "probe_uri": directory, "content_hash": content_hash(directory)} | changes)


def test_a_good_probe_is_blessed_and_the_blessing_names_it(artifacts):
    verdict = evaluate(artifacts)
    assert verdict["blessed"] is True
    assert verdict["baseline_version"] is None
    assert verdict["metrics"]["candidate"]["accuracy"] == 0.9
    assert verdict["metrics"]["untrained"]["accuracy"] == 0.2  # POOR: the two tulips
    assert verdict["metrics"]["champion"] is None
    assert verdict["per_class"] == {"daisy": 0.8, "rose": 1.0, "tulip": 1.0}
    assert verdict["confusion_matrix"] == [[4, 0, 1], [0, 3, 0], [0, 0, 2]]
    assert (verdict["classes"], verdict["eval_examples"]) == (["daisy", "rose", "tulip"], 10)
    assert verdict["gate"] == json.loads(GATE)
    assert len(verdict["reasons"]) == 3

    blessing, probe = artifacts["blessing"], artifacts["probe"]
    assert os.listdir(blessing.uri) == ["BLESSED"]
    probe_hash = content_hash(os.path.join(probe.uri, "Format-Serving"))
    assert verdict["probe"] == {"uri": probe.uri, "content_hash": probe_hash}
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_string_custom_property("current_model") == probe.uri
    assert blessing.get_int_custom_property("current_model_id") == probe.id
    assert blessing.get_string_custom_property("probe_id") == str(probe.id)
    assert blessing.get_string_custom_property("probe_content_hash") == probe_hash
    assert blessing.get_string_custom_property("baseline_version") == ""


def test_a_better_champion_refuses_the_blessing(artifacts, save_probe):
    champion = save_probe("champion", GOOD)
    shutil.rmtree(os.path.join(artifacts["probe"].uri, "Format-Serving"))
    save_probe("probe/Format-Serving", POOR)
    verdict = evaluate(artifacts, champion=champion_of(champion, version="4"))
    assert verdict["blessed"] is False
    assert verdict["baseline_version"] == "4"
    assert verdict["metrics"]["champion"]["accuracy"] == 0.9
    assert verdict["reasons"][2] == (
        "accuracy 0.2 is 0.7 below champion version 4 (0.9), more than gate.max_regression 0.01 below"
    )
    assert os.listdir(artifacts["blessing"].uri) == ["NOT_BLESSED"]
    assert artifacts["blessing"].get_int_custom_property("blessed") == 0
    assert artifacts["blessing"].get_string_custom_property("baseline_version") == "4"


def test_a_champion_of_other_classes_is_not_compared_with(artifacts, save_probe):
    champion = save_probe("champion", GOOD, classes=("daisy", "orchid", "tulip"))
    verdict = evaluate(artifacts, champion=champion_of(champion))
    assert verdict["blessed"] is False
    assert verdict["metrics"]["champion"] is None
    assert "not comparable with champion version 1: it tells apart daisy, orchid, tulip" in verdict["reasons"][2]


def test_a_probe_that_answers_nan_is_not_blessed_and_the_record_is_still_json(artifacts, save_probe):
    shutil.rmtree(os.path.join(artifacts["probe"].uri, "Format-Serving"))
    save_probe("probe/Format-Serving", GOOD * np.nan)
    verdict = evaluate(artifacts)
    assert verdict["blessed"] is False
    assert verdict["metrics"]["candidate"]["cross_entropy"] is None


def test_a_deleted_champion_is_an_error_that_says_what_to_do(artifacts, tmp_path):
    champion = json.dumps({"version": "2", "probe_uri": str(tmp_path / "gone"), "content_hash": "0" * 64})
    with pytest.raises(EvaluationError, match=r"champion version 2 cannot be evaluated: there are no files .*registry verify"):
        evaluate(artifacts, champion=champion)


def test_a_damaged_champion_is_an_error(artifacts, save_probe):
    champion = champion_of(directory := save_probe("champion", GOOD))
    with open(os.path.join(directory, "probe.json"), "a") as file:
        file.write(" ")
    with pytest.raises(EvaluationError, match="champion version 1 cannot be evaluated: .* registered was"):
        evaluate(artifacts, champion=champion)


def test_a_missing_untrained_probe_is_an_error(artifacts):
    shutil.rmtree(artifacts["probe_run"].uri)
    with pytest.raises(EvaluationError, match="untrained_probe should be a probe's SavedModel"):
        evaluate(artifacts)


def test_an_eval_split_without_files_is_an_error(artifacts):
    shutil.rmtree(artifacts["examples"].uri)
    with pytest.raises(EvaluationError, match="the eval split holds no file"):
        evaluate(artifacts)


def test_evaluator_and_pusher_run_in_a_pipeline_and_an_unchanged_second_run_is_cached(tmp_path, save_probe, write_split):
    """The two components as the DAG has them, upstream nodes replaced by importers: one version, the second run cached."""
    write_split("examples/Split-eval", COLOURS, LABELS)
    backbone = tmp_path / "backbone" / "Format-Serving"
    backbone.mkdir(parents=True)
    (backbone / "backbone.json").write_text("{}")
    inside = {"backbone_uri": str(tmp_path / "backbone"), "backbone_content_hash": content_hash(str(backbone))}
    save_probe("probe/Format-Serving", GOOD, **inside)
    save_probe("probe_run/untrained_probe", POOR)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "ingest_report.json").write_text(json.dumps({"fingerprint": "f", "source": "synthetic"}))
    registry = MlflowBackend(str(tmp_path / "registry"), "flowers-backbone")
    runner = tfx.orchestration.LocalDagRunner()

    runner.run(_pipeline(tmp_path, registry.directory))
    (version,) = registry.versions()
    assert version.aliases == ("champion",)
    assert version.tags["run_id"]
    assert reading.verify(version) == []
    pushed = tmp_path / "artifacts" / "Pusher" / "pushed_model"
    (record,) = [json.loads((folder / "push.json").read_text()) for folder in pushed.iterdir()]
    assert (record["pushed"], record["version"], record["alias"]) == (True, "1", "champion")

    runner.run(_pipeline(tmp_path, registry.directory))
    assert len(list(pushed.iterdir())) == 1  # cached: no second output
    assert len(list((tmp_path / "artifacts" / "Evaluator" / "evaluation").iterdir())) == 1
    assert len(registry.versions()) == 1


def _pipeline(root, registry_dir):
    def importer(node, folder, artifact_type, **properties):
        return tfx.dsl.Importer(source_uri=str(root / folder), artifact_type=artifact_type, properties=properties).with_id(node)

    splits = artifact_utils.encode_split_names(["train", "eval"])
    examples = importer("Examples", "examples", standard_artifacts.Examples, split_names=splits)
    backbone = importer("Backbone", "backbone", standard_artifacts.Model)
    probe = importer("Probe", "probe", standard_artifacts.Model)
    probe_run = importer("ProbeRun", "probe_run", standard_artifacts.ModelRun)
    report = importer("Report", "report", IngestReport)
    evaluator = GateEvaluator(
        examples=examples.outputs["result"], probe=probe.outputs["result"], probe_run=probe_run.outputs["result"], gate=GATE,
        champion="", code_version="1",
    ).with_id("Evaluator")  # fmt: skip
    pusher = RegistryPusher(
        backbone=backbone.outputs["result"], probe=probe.outputs["result"], blessing=evaluator.outputs["blessing"],
        evaluation=evaluator.outputs["evaluation"], ingest_report=report.outputs["result"],
        registry_dir=registry_dir, name="flowers-backbone", recipe="recipe", run_id=PIPELINE_JOB_NAME, code_version="1",
    ).with_id("Pusher")  # fmt: skip
    return tfx.dsl.Pipeline(
        pipeline_name="gate", pipeline_root=str(root / "artifacts"), enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite")),
        components=[examples, backbone, probe, probe_run, report, evaluator, pusher],
    )  # fmt: skip
