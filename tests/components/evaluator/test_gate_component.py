"""The component GateEvaluator: what it writes, what it refuses, and a run of it with the Pusher by TFX's own runner."""

import json
import os
import shutil

import apache_beam as beam
import numpy as np
import pytest
from google_server import server as faults
from run_artifacts import calibration
from tfx import v1 as tfx
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts import IngestReport
from components.evaluator.champion import changed_meanwhile
from components.evaluator.component import GateEvaluator, eval_split_hash
from components.evaluator.gate import EvaluationError
from components.pusher.component import PIPELINE_JOB_NAME, RegistryPusher
from contracts.content_hash import content_hash
from registry import publishing, reading
from registry.backend import RECIPE
from registry.mlflow_backend import MlflowBackend
from registry.opening import open_registry
from vertex import GoogleCloudError

NAME = "flowers-backbone"
GOOD, POOR = np.eye(3) * 6, np.eye(3)[[1, 0, 2]] * 6
# Ten photographs, each of its class's colour but the last: GOOD is right on 9; POOR mixes up two classes.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 0])
COLOURS = np.eye(3)[[0, 0, 0, 0, 1, 1, 1, 2, 2, 2]] * 200 + 20
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
GATE = json.dumps({"min_accuracy": 0.9, "min_gain_over_random": 0.03, "max_regression": 0.01})


@pytest.fixture
def artifacts(tmp_path, save_probe, write_split):
    """The inputs of the component, as ExampleGen and LinearEval leave them, and empty outputs."""
    write_split("examples/Split-eval", COLOURS, LABELS)
    save_probe("probe/Format-Serving", GOOD)
    save_probe("probe_run/untrained_probe", POOR)
    (tmp_path / "probe_run" / "references.json").write_text("{}")
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


def version(number, weights=GOOD, seen=0):
    """A registered version; the probe that LinearEval fitted on it has `weights`, None where it is the candidate's own backbone."""
    named = {"version": str(number), "content_hash": f"hash {number}", "backbone": "/b", "probe": "/p", "probe_content_hash": "p"}
    return named | {"weights": weights, "seen": seen}


def champion_of(champion, best=None, challenge=1):
    """The parameter `champion`."""
    named = [{key: value for key, value in one.items() if key not in ("weights", "seen")} if one else {} for one in (champion, best)]
    return json.dumps(named[0] | {"challenge": challenge} | ({"best": named[1]} if best else {}))


@pytest.fixture
def fitted(tmp_path, save_probe):
    """fitted(champion=…, best=…, challenge=…) is what LinearEval hands over of them; the parameter `champion`."""

    def write(challenge=1, **versions):
        record = {}
        for name, one in versions.items():
            directory = f"reference_probes/{name}" if one["weights"] is not None else ""
            if directory:
                save_probe(f"probe_run/{directory}", one["weights"])
            record[name] = {"version": one["version"], "content_hash": one["content_hash"], "probe": directory,
                            "pretrained_on": one["seen"]}  # fmt: skip
        (tmp_path / "probe_run" / "references.json").write_text(json.dumps(record))
        return champion_of(challenge=challenge, **versions)

    return write


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


def test_a_better_champion_refuses_the_blessing(artifacts, save_probe, fitted):
    poor(artifacts, save_probe)
    verdict = evaluate(artifacts, champion=fitted(champion=version(4)))
    assert (verdict["blessed"], verdict["takes_alias"], verdict["baseline_version"]) == (False, False, "4")
    # By the probe that LinearEval fitted.
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


def test_a_champion_that_is_the_candidate_s_own_backbone_is_measured_by_the_candidate_s_probe(artifacts, fitted):
    verdict = evaluate(artifacts, champion=fitted(champion=version(3) | {"weights": None}))
    assert verdict["metrics"]["champion"] == verdict["metrics"]["candidate"]
    assert verdict["blessed"] and not verdict["takes_alias"]
    assert artifacts["blessing"].get_int_custom_property("takes_alias") == 0
    assert "accuracy is equal to champion version 3 (90.0 %" in verdict["reasons"][2]
    assert verdict["reasons"][3].endswith("the alias champion stays with version 3")


# The candidate alone is right about seven photographs: p = 1 / 2^7 = 0.0078, at most 0.025 / (1 × 2), and not 0.025 / (2 × 3).
@pytest.mark.parametrize(("challenge", "allowed", "takes_alias"), [(1, 0.0125, True), (2, 0.025 / 6, False)])
def test_the_alias_moves_where_the_candidate_is_proven_to_be_better(artifacts, fitted, challenge, allowed, takes_alias):
    verdict = evaluate(artifacts, champion=fitted(champion=version(3, POOR), challenge=challenge))
    assert verdict["metrics"]["champion"]["accuracy"] == 0.2 and verdict["blessed"]
    assert (verdict["challenge"], verdict["alias_significance"]) == (challenge, allowed)
    assert verdict["takes_alias"] is takes_alias
    assert artifacts["blessing"].get_int_custom_property("takes_alias") == int(takes_alias)
    assert f"challenge {challenge} of this champion takes the alias with p up to " in verdict["reasons"][3]


def test_the_best_version_so_far_is_measured_and_what_both_were_pretrained_on_is_counted(artifacts, save_probe, fitted):
    poor(artifacts, save_probe)
    verdict = evaluate(artifacts, champion=fitted(champion=version(4, seen=6), best=version(2, seen=None)))
    assert (verdict["baseline_version"], verdict["best_version"]) == ("4", "2")
    assert verdict["metrics"]["best"]["accuracy"] == 0.9
    assert verdict["pretrained_on"] == {"champion": 6, "best": None}
    assert verdict["reasons"][2].endswith("; it was pre-trained on 6 of these photographs")
    assert "70.0 points below the best version so far, version 2 (90.0 %" in verdict["reasons"][3]
    assert verdict["reasons"][3].endswith("; whether it was pre-trained on any of these photographs is not known")


def test_the_champion_is_measured_on_the_eval_split_of_now(artifacts, fitted, write_split):
    """What the champion reached where it was registered does not count once the eval split has changed."""
    champion = fitted(champion=version(4))
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


def test_a_version_that_linear_eval_fitted_no_probe_on_is_not_passed_over(artifacts, fitted):
    fitted(champion=version(4))
    for wanted, has in ((version(5), "has one on version 4"), (version(4) | {"content_hash": "another"}, "has one on version 4")):
        with pytest.raises(EvaluationError, match=f"champion version {wanted['version']} .* needs a probe of LinearEval, and .* {has}"):
            evaluate(artifacts, champion=champion_of(champion=wanted))
    with pytest.raises(EvaluationError, match="the best version so far, version 2 .*has none: run LinearEval again"):
        evaluate(artifacts, champion=champion_of(champion=version(4), best=version(2)))


# On a disk it is what every whole run does; here it costs two more runs of TFMA.
@pytest.fixture(params=[pytest.param("on a disk", marks=pytest.mark.slow), "in Vertex AI"])
def registry(request, tmp_path):
    """The place of an empty registry, and a function that makes a version its champion."""
    place = request.getfixturevalue("new_place")() if request.param == "in Vertex AI" else str(tmp_path / "registry")

    def publish():
        backbone, probe = (tmp_path / "version-9" / kind for kind in ("backbone", "probe"))
        for folder in (backbone, probe):
            folder.mkdir(parents=True)
            (folder / "model").write_text(folder.name)
        publishing.publish(
            open_registry(place, NAME), backbone=str(backbone), probe=str(probe), backbone_hash=content_hash(str(backbone)),
            probe_hash=content_hash(str(probe)), tags={RECIPE: "recipe of 9"}, judged_against=None, card="")  # fmt: skip

    return place, publish


def test_a_champion_that_came_meanwhile_is_told_and_the_version_that_was_fitted_is_judged_against(artifacts, registry):
    place, publish = registry
    assert changed_meanwhile({}, place, NAME, "r") == ""
    publish()
    verdict = evaluate(artifacts, registry=place, name=NAME, recipe="r")
    assert verdict["reasons"][0] == ("judged against no champion, for which LinearEval fitted its probes; meanwhile the registry has "
                                     "version 1, against which a run that starts now is judged")  # fmt: skip
    assert len(verdict["reasons"]) == 4 and verdict["baseline_version"] is None
    assert artifacts["blessing"].get_string_custom_property("baseline_version") == ""
    assert changed_meanwhile(version(1), place, NAME, "r") == ""
    assert "against version 2, for which" in changed_meanwhile(version(2), place, NAME, "r")
    # A candidate of the champion's own recipe is compared with what that was judged against.
    assert changed_meanwhile({}, place, NAME, "recipe of 9") == ""


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
    (tmp_path / "probe_run" / "references.json").write_text("{}")
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
        pretrain_run=pretrain_run.outputs["result"], probe_run=probe_run.outputs["result"], licence="", signing_key="",
        registry_dir=registry_dir, name="flowers-backbone", recipe="recipe", run_id=PIPELINE_JOB_NAME, code="c 1", code_version="{}",
    ).with_id("Pusher")  # fmt: skip
    return tfx.dsl.Pipeline(
        pipeline_name="gate", pipeline_root=str(root / "artifacts"), enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite")),
        components=[examples, backbone, probe, probe_run, report, pretrain_run, evaluator, pusher],
    )  # fmt: skip
