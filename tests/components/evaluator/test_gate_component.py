"""The component GateEvaluator: what it writes, what it refuses, and a run of it with the Pusher by TFX's own runner."""

import dataclasses
import json
import os
import shutil

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from google_server import server as faults
from run_artifacts import calibration
from tfx import v1 as tfx
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts import IngestReport
from components.evaluator.component import GateEvaluator, eval_split_hash
from components.evaluator.gate import EvaluationError
from components.pusher.component import PIPELINE_JOB_NAME, RegistryPusher
from contracts.content_hash import content_hash
from pipeline_config import LinearEval
from registry import publishing, reading
from registry.mlflow_backend import MlflowBackend
from registry.opening import open_registry
from vertex import GoogleCloudError

NAME = "flowers-backbone"
GOOD, POOR = np.eye(3) * 6, np.eye(3)[[1, 0, 2]] * 6
# Ten photographs, each of its class's colour but the last: GOOD is right on 9; POOR mixes up two classes.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 0])
COLOURS = np.eye(3)[[0, 0, 0, 0, 1, 1, 1, 2, 2, 2]] * 200 + 20
TRAIN = np.eye(3)[np.arange(12) % 3] * 190 + np.arange(12)[:, None] + 15
# What other nodes report, as far as the Pusher's model card reads it.
REPORTS = {
    "backbone": {
        "backbone": "small", "width": 8, "stem": "small", "resolution": 32, "photograph_side": 32, "embedding_size": 32,
        "embedding": {"stages": 1, "pooling": ["mean"]},
        "pretrain": {"batch_size": 8, "resolution": 32, "seed": 0, "warm_start": {"backbone": "", "content_hash": ""}},
    },
    "ingest_report": {
        "fingerprint": "f", "source": "synthetic", "kind": "synthetic", "classes": ["daisy", "rose", "tulip"], "images": 10,
        "quarantined": {"total": 0}, "near_duplicates": {"left_out_of_train": 0}, "split_rule": "by content",
        "splits": {split: {"images": 0, "by_class": {"daisy": 0, "rose": 0, "tulip": 0}} for split in ("train", "eval")}
        | {"unlabelled": {"images": 0}},
        "licence": {"text": "Apache-2.0", "citation": ""},
    },
    "pretrain": {"epochs": 2, "steps": 125, "seconds": 8.0, "images_per_second": None, "final_loss": -0.8, "output_std_ratio": 0.9,
                 "effective_rank": 30.0},
    "linear_eval": {"knn_top1": 0.5, "random_init_knn_top1": 0.4, "calibration": calibration(),
                    "label_curve": [{"fraction": 1.0, "labels": 50, "candidate": {"mean": 0.9}, "random_init": {"mean": 0.2},
                                     "champion": None}]},
}  # fmt: skip
LINEAR_EVAL = json.dumps(dataclasses.asdict(LinearEval(folds=2, label_fractions=(1.0,))))
GATE = json.dumps({"min_accuracy": 0.9, "min_gain_over_random": 0.03, "max_regression": 0.01})


@pytest.fixture
def artifacts(tmp_path, save_probe, write_split):
    """The inputs of the component, as ExampleGen and LinearEval leave them, and empty outputs."""
    write_split("examples/Split-train", TRAIN, np.arange(12) % 3)
    write_split("examples/Split-eval", COLOURS, LABELS)
    save_probe("probe/Format-Serving", GOOD)
    save_probe("probe_run/untrained_probe", POOR)
    (tmp_path / "probe_run" / "linear_eval.json").write_text(json.dumps(REPORTS["linear_eval"]))
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
    GateEvaluator.test_call(**artifacts, gate=GATE, linear_eval=LINEAR_EVAL, beam_pipeline=beam.Pipeline(), **parameters)
    with open(os.path.join(artifacts["evaluation"].uri, "verdict.json")) as file:
        return json.load(file)


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
    assert verdict["gate"] == json.loads(GATE) | {"metric": "top1", "min_gain_share": 0.1, "significance": 0.025, "power": 0.8}
    # GOOD alone is right about the three roses and four daisies: p = 1 / 2^7.
    against = verdict["evidence"]["untrained"]
    assert (against["only_candidate"], against["only_other"], against["p"], against["sure"]) == (7, 0, 0.0078125, True)
    assert verdict["evidence"]["champion"] is verdict["evidence"]["best"] is verdict["metrics"]["best"] is None
    assert (verdict["takes_alias"], verdict["best_version"], verdict["figure"]) == (True, None, 0.9)
    assert verdict["required_gain"] == 0.03  # a tenth of the 80 % that the baseline leaves is more
    assert (verdict["challenge"], verdict["alias_significance"]) == (None, None)
    assert verdict["label_curve"] == REPORTS["linear_eval"]["label_curve"]
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


def poor(artifacts, save_probe):
    """The candidate is POOR, right about 2 of the 10 photographs."""
    shutil.rmtree(os.path.join(artifacts["probe"].uri, "Format-Serving"))
    save_probe("probe/Format-Serving", POOR)


def test_a_better_champion_refuses_the_blessing(artifacts, save_probe, register):
    poor(artifacts, save_probe)
    verdict = evaluate(artifacts, champion=json.dumps(register(4)))
    assert (verdict["blessed"], verdict["takes_alias"], verdict["baseline_version"]) == (False, False, "4")
    # By a probe of today; the registered one is right about none.
    assert verdict["metrics"]["champion"]["accuracy"] == 0.9
    # The champion alone is right about the seven daisies and roses that are not mislabelled: p = 1 / 2^7.
    assert verdict["reasons"][2].startswith("accuracy is 70.0 points below champion version 4 (90.0 %; 95 % interval of the difference ")
    assert verdict["reasons"][2].endswith("p = 0.0078): significantly worse at gate.significance 0.025, and farther below than "
                                          "gate.max_regression 1.0 points")  # fmt: skip
    assert verdict["evidence"]["champion"]["sure"] and verdict["evidence"]["best"] is None
    assert os.listdir(artifacts["blessing"].uri) == ["NOT_BLESSED"]
    assert artifacts["blessing"].get_int_custom_property("blessed") == 0
    assert artifacts["blessing"].get_int_custom_property("takes_alias") == 0
    assert artifacts["blessing"].get_string_custom_property("baseline_version") == "4"
    assert verdict["label_curve"][0]["champion"]["mean"] == 0.9


def test_a_champion_of_other_classes_and_another_side_is_judged_alike(artifacts, register):
    """Its backbone gets a probe for today's classes, and photographs of its own side: a new class is no reason to refuse."""
    verdict = evaluate(artifacts, champion=json.dumps(register(3, side=24, classes=("daisy", "orchid"))))
    assert verdict["metrics"]["champion"]["accuracy"] == 0.9 == verdict["metrics"]["candidate"]["accuracy"]
    assert verdict["blessed"] and not verdict["takes_alias"]
    assert artifacts["blessing"].get_int_custom_property("takes_alias") == 0
    assert "accuracy is equal to champion version 3 (90.0 %" in verdict["reasons"][2]
    assert verdict["reasons"][3].endswith("the alias champion stays with version 3")


# The candidate alone is right about seven photographs: p = 1 / 2^7 = 0.0078, at most 0.025 / (1 × 2), and not 0.025 / (2 × 3).
@pytest.mark.parametrize(("challenge", "allowed", "takes_alias"), [(1, 0.0125, True), (2, 0.025 / 6, False)])
def test_the_alias_moves_where_the_candidate_is_proven_to_be_better(artifacts, register, write_split, challenge, allowed, takes_alias):
    shutil.rmtree(os.path.join(artifacts["examples"].uri, "Split-train"))
    # Daisies and roses are exchanged, so that the champion's probe of today is right about the tulips alone.
    write_split("examples/Split-train", TRAIN, np.array([1, 0, 2])[np.arange(12) % 3])
    verdict = evaluate(artifacts, champion=json.dumps(register(3) | {"challenge": challenge}))
    assert verdict["metrics"]["champion"]["accuracy"] == 0.2 and verdict["blessed"]
    assert (verdict["challenge"], verdict["alias_significance"]) == (challenge, allowed)
    assert verdict["takes_alias"] is takes_alias
    assert artifacts["blessing"].get_int_custom_property("takes_alias") == int(takes_alias)
    assert f"challenge {challenge} of this champion takes the alias with p up to " in verdict["reasons"][3]


def test_the_best_version_so_far_is_measured_and_what_both_were_pretrained_on_is_counted(artifacts, save_probe, register, write_split):
    poor(artifacts, save_probe)
    known = write_split("known", COLOURS[4:8], LABELS[4:8])  # three roses, which are one picture, and a tulip, which is three
    champion = register(4, seen=known.files) | {"best": register(2, side=24, seen=None)}
    verdict = evaluate(artifacts, champion=json.dumps(champion))
    assert (verdict["baseline_version"], verdict["best_version"]) == ("4", "2")
    assert verdict["metrics"]["best"]["accuracy"] == 0.9
    assert verdict["pretrained_on"] == {"champion": 6, "best": None}
    assert verdict["reasons"][2].endswith("; it was pre-trained on 6 of these photographs")
    assert "70.0 points below the best version so far, version 2 (90.0 %" in verdict["reasons"][3]
    assert verdict["reasons"][3].endswith("; whether it was pre-trained on any of these photographs is not known")


def test_the_champion_is_measured_on_the_eval_split_of_now(artifacts, register, write_split):
    """What the champion reached where it was registered does not count once the eval split has changed."""
    champion = json.dumps(register(4))
    on_old = evaluate(artifacts, champion=champion)
    shutil.rmtree(os.path.join(artifacts["examples"].uri, "Split-eval"))
    # Two of these four have another class's colour.
    write_split("examples/Split-eval", np.eye(3)[[0, 1, 1, 2]] * 200 + 20, np.array([0, 1, 2, 1]))
    shutil.rmtree(artifacts["evaluation"].uri)
    shutil.rmtree(artifacts["blessing"].uri)
    on_new = evaluate(artifacts, champion=champion)
    assert (on_old["metrics"]["champion"]["accuracy"], on_new["metrics"]["champion"]["accuracy"]) == (0.9, 0.5)
    assert on_old["eval_split"] != on_new["eval_split"]


def test_the_eval_split_is_known_by_its_content_and_not_by_its_files(tmp_path, write_split):
    def hashed(folder, colours=COLOURS, labels=LABELS, **options):
        return eval_split_hash(write_split(folder, colours, labels, **options).files)

    assert hashed("a") == hashed("b", shards=3) == hashed("c", COLOURS[::-1], LABELS[::-1])
    others = [hashed("d", COLOURS[:-1], LABELS[:-1]), hashed("e", COLOURS + 9), hashed("f", labels=LABELS[::-1])]
    assert len({hashed("g"), *others}) == 4


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


@pytest.mark.parametrize("damaged", ["probe/probe.json", "backbone/backbone.json"])
def test_a_damaged_champion_is_an_error(artifacts, register, tmp_path, damaged):
    champion = json.dumps(register(1))
    with open(tmp_path / "version-1" / damaged, "a") as file:
        file.write(" ")
    with pytest.raises(EvaluationError, match="champion version 1 cannot be evaluated: .* registered was"):
        evaluate(artifacts, champion=champion)


def test_a_version_that_another_tool_registered_is_an_error(artifacts, save_probe):
    probe = save_probe("probe_alone", GOOD)
    with pytest.raises(EvaluationError, match="champion version 1 cannot be evaluated: .* does not say which backbone"):
        evaluate(artifacts, champion=json.dumps({"version": "1", "probe_uri": probe, "content_hash": content_hash(probe)}))


# On a disk it is what every whole run does; here it costs two more runs of TFMA.
@pytest.fixture(params=[pytest.param("on a disk", marks=pytest.mark.slow), "in Vertex AI"])
def registry(request, tmp_path, register):
    """The place of an empty registry, and a function that makes a version its champion."""
    place = request.getfixturevalue("new_place")() if request.param == "in Vertex AI" else str(tmp_path / "registry")

    def publish():
        made = register(9)
        backbone = str(tmp_path / "version-9" / "backbone")
        return publishing.publish(
            open_registry(place, NAME), backbone=backbone, probe=made["probe_uri"], backbone_hash=content_hash(backbone),
            probe_hash=made["content_hash"], tags={}, judged_against=None, card="",
        ).version  # fmt: skip

    return place, publish


def test_the_champion_of_the_moment_is_found_when_the_gate_runs(artifacts, save_probe, registry):
    place, publish = registry
    assert evaluate(artifacts, registry=place, name=NAME)["baseline_version"] is None  # a first run: the floors alone decide
    publish()
    poor(artifacts, save_probe)
    verdict = evaluate(artifacts, registry=place, name=NAME)
    assert (verdict["blessed"], verdict["baseline_version"]) == (False, "1")
    assert verdict["metrics"]["champion"]["accuracy"] == 0.9
    assert artifacts["blessing"].get_string_custom_property("baseline_version") == "1"


def test_a_champion_whose_files_changed_since_it_was_registered_is_not_compared_with(artifacts, registry):
    place, publish = registry
    version = publish()
    with tf.io.gfile.GFile(f"{version.path}/probe/probe.json", "a") as file:
        file.write(" ")
    with pytest.raises(EvaluationError, match="champion version 1 cannot be evaluated: .* registered was"):
        evaluate(artifacts, registry=place, name=NAME)


def test_a_registry_that_does_not_answer_is_not_one_without_a_champion(artifacts, new_place, model_server):
    model_server.fault("ListModelVersions", faults.permission_denied("aiplatform.models.list"))
    with pytest.raises(GoogleCloudError, match="permission aiplatform.models.list is missing"):
        evaluate(artifacts, registry=new_place(), name=NAME)
    assert not os.path.exists(artifacts["blessing"].uri)


def test_a_missing_untrained_probe_is_an_error(artifacts):
    shutil.rmtree(artifacts["probe_run"].uri)
    with pytest.raises(EvaluationError, match="untrained_probe must be a probe's SavedModel"):
        evaluate(artifacts)


def test_an_eval_split_without_files_is_an_error(artifacts):
    shutil.rmtree(artifacts["examples"].uri)
    with pytest.raises(EvaluationError, match="the eval split must have a photograph, got no file"):
        evaluate(artifacts)


def test_evaluator_and_pusher_run_in_a_pipeline_and_an_unchanged_second_run_is_cached(tmp_path, save_probe, write_split):
    """The two components as the DAG has them, upstream nodes replaced by importers: one version, the second run cached."""
    write_split("examples/Split-eval", COLOURS, LABELS)
    backbone = tmp_path / "backbone" / "Format-Serving"
    backbone.mkdir(parents=True)
    (backbone / "backbone.json").write_text(json.dumps(REPORTS["backbone"]))
    inside = {"backbone_uri": str(tmp_path / "backbone"), "backbone_content_hash": content_hash(str(backbone))}
    save_probe("probe/Format-Serving", GOOD, **inside)
    save_probe("probe_run/untrained_probe", POOR)
    for folder, name in (("report", "ingest_report"), ("pretrain_run", "pretrain"), ("probe_run", "linear_eval")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.json").write_text(json.dumps(REPORTS[name]))
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
    pretrain_run = importer("PretrainRun", "pretrain_run", standard_artifacts.ModelRun)
    evaluator = GateEvaluator(
        examples=examples.outputs["result"], probe=probe.outputs["result"], probe_run=probe_run.outputs["result"], gate=GATE,
        champion="", code_version="1",
    ).with_id("Evaluator")  # fmt: skip
    pusher = RegistryPusher(
        backbone=backbone.outputs["result"], probe=probe.outputs["result"], blessing=evaluator.outputs["blessing"],
        evaluation=evaluator.outputs["evaluation"], ingest_report=report.outputs["result"],
        pretrain_run=pretrain_run.outputs["result"], probe_run=probe_run.outputs["result"], licence="",
        registry_dir=registry_dir, name="flowers-backbone", recipe="recipe", run_id=PIPELINE_JOB_NAME, code="c 1", code_version="{}",
    ).with_id("Pusher")  # fmt: skip
    return tfx.dsl.Pipeline(
        pipeline_name="gate", pipeline_root=str(root / "artifacts"), enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite")),
        components=[examples, backbone, probe, probe_run, report, pretrain_run, evaluator, pusher],
    )  # fmt: skip
