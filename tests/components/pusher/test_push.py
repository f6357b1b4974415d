"""The Pusher on artifacts: what it registers, what it leaves alone and what it refuses."""

import hashlib
import json
import os
import re
import shutil

import pytest
import tensorflow as tf
from google_server import server as faults
from run_artifacts import calibration
from tfx.dsl.components.base import base_executor
from tfx.types import standard_artifacts

from components.artifacts import IngestReport
from components.pusher.chain import ChainBroken
from components.pusher.component import PIPELINE_JOB_NAME, RegistryPusherExecutor, push
from contracts.content_hash import content_hash
from registry import keys, reading, trust
from registry.mlflow_backend import MlflowBackend
from registry.opening import open_registry
from vertex import GoogleCloudError

NAME = "flowers-backbone"

# What the nodes before the Pusher report, as far as it is read.
RECORDS = {
    "backbone": {
        "backbone": "small", "width": 8, "stem": "small", "resolution": 32, "photograph_side": 32, "embedding_size": 32,
        "embedding": {"stages": 1, "pooling": ["mean"]},
        "pretrain": {"batch_size": 8, "resolution": 32, "seed": 0, "warm_start": {"backbone": "", "content_hash": ""}},
    },
    "ingest": {
        "fingerprint": "f" * 64, "source": "synthetic", "kind": "synthetic", "classes": ["daisy", "rose"], "images": 600,
        "quarantined": {"total": 0}, "near_duplicates": {"left_out_of_train": 0}, "split_rule": "by content",
        "splits": {"train": {"images": 500, "by_class": {"daisy": 250, "rose": 250}},
                   "eval": {"images": 100, "by_class": {"daisy": 50, "rose": 50}}, "unlabelled": {"images": 0}},
        "licence": {"text": "Apache-2.0", "citation": ""},
    },
    "pretrain": {"epochs": 2, "steps": 125, "seconds": 8.0, "images_per_second": None, "final_loss": -0.8,
                 "output_std_ratio": 0.9, "effective_rank": 30.0},
    "linear_eval": {"knn_top1": 0.5, "random_init_knn_top1": 0.4, "label_curve": [], "calibration": calibration()},
    "verdict": {
        "metrics": {"candidate": {"accuracy": 0.61, "macro_f1": 0.6, "cross_entropy": 1.0}, "champion": None,
                    "untrained": {"accuracy": 0.52, "macro_f1": 0.5, "cross_entropy": 1.2}},
        "per_class": {"daisy": 0.7, "rose": None}, "classes": ["daisy", "rose"], "eval_examples": 100,
    },
}  # fmt: skip


@pytest.fixture
def registry_dir(tmp_path, empty_registry):
    shutil.copytree(empty_registry, tmp_path / "registry")
    return str(tmp_path / "registry")


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def run(tmp_path, registry_dir):
    """run(id, …) writes what one pipeline run hands to the Pusher and gives push()'s arguments."""

    def make(number, blessed=True, baseline_version=None, recipe="recipe", below=""):
        root = tmp_path / f"run{number}"
        artifacts = {
            "backbone": standard_artifacts.Model(), "probe": standard_artifacts.Model(),
            "blessing": standard_artifacts.ModelBlessing(), "evaluation": standard_artifacts.ModelEvaluation(),
            "ingest_report": IngestReport(), "pretrain_run": standard_artifacts.ModelRun(),
            "probe_run": standard_artifacts.ModelRun(),
        }  # fmt: skip
        for index, (name, artifact) in enumerate(artifacts.items()):
            artifact.uri, artifact.id = str(root / name), 10 * number + index
            (root / name).mkdir(parents=True)

        serving = root / "backbone" / "Format-Serving"
        write_json(serving / "backbone.json", RECORDS["backbone"] | {"seed": number})
        (serving / "saved_model.pb").write_text(f"backbone {number}")
        probe = root / "probe" / "Format-Serving"
        (probe).mkdir()
        (probe / "saved_model.pb").write_text(f"probe {number}")
        write_json(probe / "probe.json", {
            "classes": ["daisy", "rose"], "backbone_uri": artifacts["backbone"].uri,
            "backbone_content_hash": content_hash(str(serving)),
        })  # fmt: skip
        write_json(root / "evaluation" / "verdict.json", RECORDS["verdict"] | {
            "blessed": blessed, "takes_alias": blessed and not below, "baseline_version": baseline_version, "best_version": None,
            "reasons": ["accuracy 0.61 is at least gate.min_accuracy 0.55", *([below] if below else [])], "figure": 0.61,
            "evidence": {}, "eval_split": "e" * 64,
            "gate": {"min_accuracy": 0.55},
            "probe": {"uri": artifacts["probe"].uri, "content_hash": content_hash(str(probe))},
        })  # fmt: skip
        write_json(root / "ingest_report" / "ingest_report.json", RECORDS["ingest"])
        write_json(root / "pretrain_run" / "pretrain.json", RECORDS["pretrain"])
        write_json(root / "probe_run" / "linear_eval.json", RECORDS["linear_eval"])
        blessing = artifacts["blessing"]
        blessing.set_int_custom_property("blessed", int(blessed))
        blessing.set_string_custom_property("current_model", artifacts["probe"].uri)
        blessing.set_string_custom_property("probe_id", str(artifacts["probe"].id))
        blessing.set_string_custom_property("probe_content_hash", content_hash(str(probe)))
        blessing.set_string_custom_property("baseline_version", baseline_version or "")
        blessing.set_int_custom_property("takes_alias", int(blessed and not below))
        return artifacts | {
            "registry_dir": registry_dir, "name": NAME, "recipe": recipe, "code": "Pretrain 0123456789ab", "run_id": f"run-{number}",
            "licence": "CC BY 4.0",
            "signing_key": "",
        }  # fmt: skip

    return make


def test_a_blessed_backbone_is_registered_with_its_whole_lineage(run, registry_dir):
    record = push(**run(1))
    assert record == {
        "schema_version": 1, "pushed": True, "created": True, "name": NAME, "version": "1", "alias": "champion",
        "reasons": ["the first champion"],
    }  # fmt: skip
    version = reading.champion(MlflowBackend(registry_dir, NAME))
    backbone_dir, probe_dir = (run_dir(registry_dir, 1, name) for name in ("backbone", "probe"))
    with open(os.path.join(version.path, "MODEL_CARD.md")) as file:
        card = file.read()
    (key,) = keys.trusted(os.path.join(os.path.dirname(registry_dir), "keys"))
    assert "CC BY 4.0" in card and content_hash(backbone_dir) in card
    # tests/registry/test_mlflow_model.py has what it covers.
    assert re.fullmatch("[0-9a-f]{64}", version.tags["mlmodel_sha256"])
    assert version.tags == {
        "mlmodel_sha256": version.tags["mlmodel_sha256"],
        "accuracy": "0.61",
        "figure": "0.61",
        "best_version": "",
        "baseline": "random-init",
        "floor": "0.52",
        "gate": '{"min_accuracy": 0.55}',
        "reasons": '["accuracy 0.61 is at least gate.min_accuracy 0.55"]',
        "eval_split": "e" * 64,
        "baseline_version": "",
        "data_fingerprint": "f" * 64,
        "data_source": "synthetic",
        "code_version": "Pretrain 0123456789ab",
        "run_id": "run-1",
        # SHA-256 of "recipe", a zero byte and the report's fingerprint, by sha256sum.
        "recipe": "590b0b326178f15becb978f36a894d3dc796f9cec0f457269dae439c6fc4b019",
        "content_hash": content_hash(backbone_dir),
        "probe_content_hash": content_hash(probe_dir),
        "card_sha256": hashlib.sha256(card.encode()).hexdigest(),
        "signed_by_key": key,
        "knn": "0.5",
        "knn_floor": "0.4",
        "eval_examples": "100",
        "mlmd_backbone_id": "10",
        "mlmd_probe_id": "11",
        "mlmd_blessing_id": "12",
        "mlmd_evaluation_id": "13",
        "champion_withheld": "",
    }
    assert content_hash(os.path.join(version.path, "backbone")) == content_hash(backbone_dir)
    assert reading.verify(*MlflowBackend(registry_dir, NAME).versions()) == []


def test_a_backbone_that_was_not_blessed_is_left_alone_and_the_record_says_why(run, registry_dir):
    record = push(**run(1, blessed=False))
    assert (record["pushed"], record["version"], record["alias"]) == (False, None, None)
    assert record["reasons"] == ["not blessed, so not pushed", "accuracy 0.61 is at least gate.min_accuracy 0.55"]
    assert MlflowBackend(registry_dir, NAME).versions() == []


def test_pushing_twice_makes_one_version(run, registry_dir):
    arguments = run(1)
    push(**arguments)
    again = push(**arguments)
    assert (again["pushed"], again["created"], again["version"], again["alias"]) == (True, False, "1", "champion")
    assert len(MlflowBackend(registry_dir, NAME).versions()) == 1


def test_a_champion_that_came_meanwhile_stays_and_the_record_says_so(run, registry_dir):
    push(**run(1))
    late = push(**run(2, baseline_version=None))
    assert (late["pushed"], late["version"], late["alias"]) == (True, "2", None)
    # Both have 0.61 on the same eval split: neither is better, so that the first one stays.
    assert "judged against no champion, but the champion is now version 1" in late["reasons"][0]
    assert "accuracy 61.0 % is not above the champion" in late["reasons"][0]
    assert reading.champion(MlflowBackend(registry_dir, NAME)).version == "1"


def test_a_blessed_backbone_below_the_champion_is_registered_without_the_alias(run, registry_dir):
    push(**run(1))
    below = "1.2 points below champion version 1 on these photographs: the alias champion stays with version 1"
    record = push(**run(2, baseline_version="1", below=below))
    assert (record["pushed"], record["created"], record["version"], record["alias"]) == (True, True, "2", None)
    assert record["reasons"] == [below]
    assert reading.champion(MlflowBackend(registry_dir, NAME)).version == "1"


def test_the_champion_that_was_compared_with_is_replaced(run, registry_dir):
    push(**run(1))
    assert push(**run(2, baseline_version="1"))["alias"] == "champion"
    assert reading.champion(MlflowBackend(registry_dir, NAME)).tags["baseline_version"] == "1"


def test_a_version_in_vertex_ai_has_the_tags_that_one_on_a_disk_has(run, new_place, models):
    arguments = run(1)
    local, remote = push(**arguments), push(**arguments | {"registry_dir": new_place()})
    assert remote == local
    (uploaded,) = models.models[f"projects/123456789012/locations/europe-west4/models/{NAME}"].values()
    assert "signed_by_key" not in uploaded.labels  # no key is made in a bucket
    assert uploaded.labels["run_id"] == "run-1" and uploaded.labels["data_source"] == "synthetic"
    assert uploaded.version_description.startswith("Flower backbone, linear top-1 61.0 %, random-init 52.0 %. judged without a ")


def test_a_remote_run_is_pushed_from_bucket_to_bucket_and_nothing_lands_on_this_machine(run, new_place, tmp_path, monkeypatch):
    arguments, root = run(1), "ram://a-bucket/run1"
    artifacts = {name: value for name, value in arguments.items() if hasattr(value, "uri")}
    for name, artifact in artifacts.items():
        for folder, _, files in os.walk(artifact.uri):
            for file in files:
                target = f"{root}/{name}/{os.path.relpath(os.path.join(folder, file), artifact.uri)}"
                tf.io.gfile.makedirs(os.path.dirname(target))
                tf.io.gfile.copy(os.path.join(folder, file), target, overwrite=True)
        artifact.uri = f"{root}/{name}"
    # What names a place names the new one; so the probe's hash is another, and with it verdict and blessing.
    rewrite(f"{root}/probe/Format-Serving/probe.json", backbone_uri=f"{root}/backbone")
    probe = {"uri": f"{root}/probe", "content_hash": content_hash(f"{root}/probe/Format-Serving")}
    rewrite(f"{root}/evaluation/verdict.json", probe=probe)
    artifacts["blessing"].set_string_custom_property("current_model", probe["uri"])
    artifacts["blessing"].set_string_custom_property("probe_content_hash", probe["content_hash"])

    workplace = tmp_path / "workplace"
    workplace.mkdir()
    monkeypatch.chdir(workplace)
    place = new_place()
    arguments["signing_key"] = keys.signing_key(str(tmp_path / "mine"), "").path
    assert push(**arguments | {"registry_dir": place})["alias"] == "champion"
    assert list(workplace.iterdir()) == []
    registry = open_registry(place, NAME)
    version = reading.champion(registry)
    assert version.path.startswith("ram://")
    assert trust.standing(registry, version).standing is trust.Standing.VERIFIED


def rewrite(path, **changes):
    with tf.io.gfile.GFile(path) as file:
        record = json.load(file)
    tf.io.gfile.remove(path)  # ram:// would keep the end of a longer file
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(json.dumps(record | changes))


def test_pushing_to_vertex_ai_again_after_a_lost_answer_makes_one_version(run, new_place, models, model_server):
    arguments = run(1) | {"registry_dir": new_place()}
    model_server.fault("MergeVersionAliases", faults.permission_denied("aiplatform.models.update"))
    with pytest.raises(GoogleCloudError, match="permission aiplatform.models.update is missing"):
        push(**arguments)
    again = push(**arguments)  # as Vertex AI's retry of the task would
    assert (again["pushed"], again["version"], again["alias"]) == (True, "1", "champion")
    assert len(models.models[f"projects/123456789012/locations/europe-west4/models/{NAME}"]) == 1


@pytest.mark.parametrize("mixed", ["backbone", "probe", "blessing", "evaluation"])
def test_artifacts_of_two_runs_are_refused(run, registry_dir, mixed):
    first, second = run(1), run(2)
    with pytest.raises(ChainBroken):
        push(**first | {mixed: second[mixed]})
    assert MlflowBackend(registry_dir, NAME).versions() == []


@pytest.mark.parametrize("blessed", [True, False])
@pytest.mark.parametrize("model", ["backbone", "probe"])
def test_a_byte_changed_after_the_blessing_is_refused(run, registry_dir, model, blessed):
    arguments = run(1, blessed=blessed)
    with open(os.path.join(arguments[model].uri, "Format-Serving", "saved_model.pb"), "ab") as file:
        file.write(b"x")
    with pytest.raises(ChainBroken, match=f"the {model} at .* (changed after|is not the one)"):
        push(**arguments)
    assert MlflowBackend(registry_dir, NAME).versions() == []


PARAMETERS = ("registry_dir", "name", "recipe", "run_id", "code", "code_version", "licence", "signing_key")


@pytest.mark.parametrize(("given", "expected"), [(PIPELINE_JOB_NAME, "the run"), ("job-1", "job-1")])
def test_the_executor_takes_the_run_id_from_its_runner_and_writes_the_record(run, registry_dir, tmp_path, given, expected):
    # LocalDagRunner leaves the placeholder and tells the executor the id; Vertex AI puts the job's name in its place.
    arguments = run(1) | {"run_id": given}
    parameters = {name: arguments.pop(name, "{}") for name in PARAMETERS}
    pushed_model = standard_artifacts.PushedModel()
    pushed_model.uri = str(tmp_path / "pushed_model")
    executor = RegistryPusherExecutor(base_executor.BaseExecutor.Context(pipeline_run_id="the run"))
    executor.Do({name: [artifact] for name, artifact in arguments.items()}, {"pushed_model": [pushed_model]}, parameters)
    assert reading.champion(MlflowBackend(registry_dir, NAME)).tags["run_id"] == expected
    with open(os.path.join(pushed_model.uri, "push.json")) as file:
        assert json.load(file)["version"] == "1"
    assert pushed_model.get_int_custom_property("pushed") == 1
    assert pushed_model.get_string_custom_property("pushed_version") == "1"
    assert pushed_model.get_string_custom_property("pushed_alias") == "champion"


def test_a_runner_that_gives_no_run_id_is_an_error(run, registry_dir):
    arguments = run(1) | {"run_id": PIPELINE_JOB_NAME}
    parameters = {name: arguments.pop(name, "{}") for name in PARAMETERS}
    with pytest.raises(RuntimeError, match="must give RegistryPusher a pipeline run id, got none"):
        inputs = {name: [artifact] for name, artifact in arguments.items()}
        RegistryPusherExecutor().Do(inputs, {"pushed_model": [standard_artifacts.PushedModel()]}, parameters)
    assert MlflowBackend(registry_dir, NAME).versions() == []


def run_dir(registry_dir, number, name):
    return os.path.join(os.path.dirname(registry_dir), f"run{number}", name, "Format-Serving")
