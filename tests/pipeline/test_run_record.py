"""run.json from the parts that a run leaves; the table from run.json; the order in which it all becomes visible."""

import dataclasses
import datetime
import json
import os
import pathlib
import re

import pytest
import rich.console

from cli import summary
from cli.program import as_typed
from contracts.layout import Layout, new_run_id, point_latest_at
from pipeline import run_record
from pipeline.metadata import Execution
from pipeline.run_record import Outcome, Start
from pipeline.settings import configuration

START = Start("20260131-184502-3fa9", "2026-01-31T18:45:02+00:00", configuration("quick"))
POINT = {"mean": 0.5, "deviation": 0.05, "draws": [0.45, 0.55]}
CURVE = [{"fraction": 0.1, "labels": 8, "candidate": POINT, "random_init": POINT | {"mean": 0.4}, "champion": None},
         {"fraction": 1.0, "labels": 82, "candidate": {"mean": 0.8, "deviation": None, "draws": [0.8]},
          "random_init": {"mean": 0.5, "deviation": None, "draws": [0.5]}, "champion": None}]  # fmt: skip
CURVE_WITH_CHAMPION = [point | {"champion": point["random_init"]} for point in CURVE]
REPORTS = {
    "ingest": {
        "schema_version": 1, "source": "/photos", "kind": "folder", "fingerprint": "f", "images": 97,
        "classes": ["[rose]", "tulip"],
        "quarantined": {"total": 3, "by_reason": {"truncated": 2, "zero bytes": 1},
                        "files": [{"path": "a.jpg", "reason": "truncated", "detail": ""}]},
        "bad_fraction": 0.03, "splits": {"train": {"images": 82, "by_class": {"[rose]": 40, "tulip": 42}},
                                         "eval": {"images": 15, "by_class": {"[rose]": 7, "tulip": 8}}, "unlabelled": {"images": 0}},
        "sizes": {}, "appearance": {}, "profiles": {"converted": 4, "ignored": 1}, "split_rule": "by content", "unused": [],
        "near_duplicates": {"left_out_of_train": 0, "in_two_classes": [[]]},
    },
    "pretrain": {"epochs": 2, "steps": 4, "seconds": 8.0, "images_per_second": 20.5, "final_loss": -0.8, "output_std_ratio": 0.9,
                 "effective_rank": 30.0, "resumed_from_step": 3, "device": "CPU", "warm_start": None, "history": []},
    "linear_eval": {"top1": 0.8, "knn_top1": 0.7, "random_init_top1": 0.5, "random_init_knn_top1": 0.4,
                    "top1_at_10_percent_labels": 0.6, "label_curve": CURVE_WITH_CHAMPION, "calibration": {
                        "stated_precision": 0.95,
                        "candidate": {"temperature": 0.8, "threshold": 0.7, "calibration_error": 0.031, "uncalibrated_error": 0.09,
                                      "coverage": 0.62, "precision": 0.97},
                        "random_init": {"temperature": 0.9, "threshold": None, "calibration_error": 0.052,
                                        "uncalibrated_error": 0.1, "coverage": 0.0, "precision": None}}},
    "verdict": {"schema_version": 1, "blessed": True, "reasons": ["good enough"], "baseline_version": "1",
                "classes": ["[rose]", "tulip"], "per_class": {"[rose]": 0.9, "tulip": 0.7}, "metrics": {},
                "evidence": {"untrained": None, "champion": None}},
    "push": {"schema_version": 1, "pushed": True, "created": True, "name": "flowers-backbone", "version": "2",
             "alias": "champion", "reasons": ["better"]},
}  # fmt: skip


def executions(**states):
    return [Execution(node, state, {}) for node, state in states.items()]


def build(outcome=Outcome("finished", 12.34), reports=REPORTS, **states):
    states = states or {"ExampleGen": "CACHED", "Pretrain": "COMPLETE", "Pusher": "COMPLETE"}
    return run_record.build(START, outcome, executions(**states), reports, {"Pretrain": 9.876}, {"Pretrain": ["pretrain.epochs 1 → 2"]})


def test_the_sections_come_from_the_reports():
    record = build()
    assert record["data"]["quarantined"] == 3 and record["data"]["quarantined_by_reason"] == {"truncated": 2, "zero bytes": 1}
    assert record["data"]["quarantined_files"][0]["path"] == "a.jpg"
    assert (record["data"]["train"], record["data"]["eval"], record["data"]["images"]) == (82, 15, 97)
    assert record["linear_eval"]["per_class"] == {"[rose]": 0.9, "tulip": 0.7}
    assert record["linear_eval"]["label_curve"] == CURVE_WITH_CHAMPION
    before_the_gate = build(reports={name: report for name, report in REPORTS.items() if name != "verdict"})
    assert before_the_gate["linear_eval"] == record["linear_eval"] | {"per_class": None}
    assert record["gate"] == {
        "blessed": True,
        "reasons": ["good enough"],
        "baseline_version": "1",
        "metrics": {},
        "classes": ["[rose]", "tulip"],
        "evidence": REPORTS["verdict"]["evidence"],
    }
    assert record["registry"] == {
        "pushed": True, "name": "flowers-backbone", "version": "2", "alias": "champion", "reasons": ["better"]}  # fmt: skip
    assert record["cached_nodes"] == ["ExampleGen"]
    assert record["nodes"] == {
        "ExampleGen": {"state": "cached", "seconds": None, "because": [], "code": None},
        "Pretrain": {"state": "complete", "seconds": 9.88, "because": ["pretrain.epochs 1 → 2"], "code": None},
        "Pusher": {"state": "complete", "seconds": None, "because": [], "code": None},
    }
    assert record["configuration"]["pretrain"]["epochs"] == START.config.pretrain.epochs


def test_a_cached_push_pushed_nothing_in_this_run():
    registry = build(Pusher="CACHED")["registry"]
    assert not registry["pushed"] and registry["version"] == "2"


def test_a_backbone_that_was_registered_before_is_not_pushed_again():
    # A re-judged backbone: the Pusher ran, and found its version there.
    registry = build(reports=REPORTS | {"push": REPORTS["push"] | {"created": False}})["registry"]
    assert not registry["pushed"] and registry["version"] == "2"


def test_a_run_that_ended_early_has_every_key_and_null_for_what_it_did_not_reach():
    failed = build(Outcome("failed", 1.0, "out of memory", "Pretrain"), {"ingest": REPORTS["ingest"]}, Pretrain="FAILED")
    assert failed.keys() == build().keys()
    assert (failed["status"], failed["error"], failed["failing_node"]) == ("failed", "out of memory", "Pretrain")
    assert all(failed[section] is None for section in ("pretrain", "linear_eval", "gate", "registry"))
    assert failed["data"]["images"] == 97 and failed["nodes"]["Pretrain"]["state"] == "failed"


def test_reports_are_read_from_the_outputs_of_their_nodes(tmp_path):
    (tmp_path / "push.json").write_text(json.dumps(REPORTS["push"]))
    found = run_record.read_reports([
        Execution("Pusher", "CACHED", {"pushed_model": str(tmp_path)}),
        Execution("Evaluator", "FAILED", {}),
    ])  # fmt: skip
    assert found == {"push": REPORTS["push"]}


def test_every_field_is_documented():
    text = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "run.json.md").read_text()
    documented = set(re.findall(r"^\| `([^`]+)`", text, re.MULTILINE))
    record = build()
    fields = set(record)
    for section in ("data", "pretrain", "linear_eval", "gate", "registry"):
        fields |= {f"{section}.{name}" for name in record[section]}
    assert fields <= documented, sorted(fields - documented)


def text_of(record):
    shown = rich.console.Console(width=120, record=True, file=open(os.devnull, "w"))
    shown.print(summary.table(record, {"Full log": "/x/[log].txt"}))
    return shown.export_text()


def test_the_table_shows_accuracy_with_its_random_init_baseline_and_the_verdict_with_its_reasons():
    text = text_of(build())
    for part in ("80.0 %; random-init baseline (the same network untrained): 50.0 %", "70.0 %; random-init baseline: 40.0 %",
                 "calibration error 3.1 %; random-init baseline: 5.2 %", "sure: 62.0 %, 97.0 % of them right; random-init baseline: 0.0 %",
                 "continued from step 3", "2 truncated, 1 zero bytes", "1 picture is in more than one class",
                  "blessed, judged against champion version 1", "good enough",
                 "8 labels: 50.0 % ± 5.0 %; random-init baseline: 40.0 % ± 5.0 %; champion: 40.0 % ± 5.0 %",
                 "82 labels: 80.0 %; random-init baseline: 50.0 %; champion: 50.0 %",
                 "flowers-backbone version 2, alias champion", "1 of 3 nodes cached", "/x/[log].txt"):  # fmt: skip
        assert part in text, part


def test_the_table_s_result_is_the_page_s_headline_with_by_how_much_accuracy_fell():
    def result(**changes):
        return dict(summary.rows(build(reports=REPORTS | {"verdict": REPORTS["verdict"] | changes})))["Result"]

    assert result() == "Registered as version 2, the champion"
    fallen = result(metrics={"candidate": {"accuracy": 0.6}, "champion": {"accuracy": 0.612}},
                    evidence={"untrained": None, "champion": {"low": -0.05, "high": 0.026, "sure": False}})  # fmt: skip
    assert fallen == ("Registered as version 2, but worse than version 1\n- Accuracy fell from 61.2 %, of version 1, to 60.0 % on the same "
                      "photographs: by 1.2 points (95 % interval of the change −5.0 to +2.6; not sure that it is worse).")  # fmt: skip


def test_the_table_ends_in_what_to_do_next_as_it_is_typed_here():
    assert "Next" not in dict(summary.rows(build()))
    refused = dict(summary.rows(build(Outcome("refused", 3.0, "too many", "DataGate"), {"ingest": REPORTS["ingest"]})))["Next"]
    # 3 % of the files are bad, and 1 % is allowed.
    assert "--set data.max_bad_fraction=0.03" in refused and as_typed("`flowers doctor --data") in refused


def test_the_table_says_where_the_alias_stays():
    below = "1.2 points below champion version 1 on these photographs: the alias champion stays with version 1"
    verdict = REPORTS["verdict"] | {"reasons": ["good enough", below]}
    push = REPORTS["push"] | {"alias": None, "reasons": [below]}
    text = " ".join(text_of(build(reports=REPORTS | {"verdict": verdict, "push": push})).split())
    assert "flowers-backbone version 2, registered without the alias" in text and text.count("1.2 points below champion version 1") == 1


def test_the_table_says_that_nothing_is_calibrated_where_a_class_has_one_photograph():
    linear = REPORTS["linear_eval"]
    nothing = linear["calibration"] | {"candidate": linear["calibration"]["candidate"] | {"temperature": None}}
    text = text_of(build(reports=REPORTS | {"linear_eval": linear | {"calibration": nothing}}))
    assert "not calibrated, all unsure: fewer than two classes have two labelled photographs" in text


def test_the_table_says_once_why_nothing_was_pushed():
    verdict = REPORTS["verdict"] | {"blessed": False, "reasons": ["accuracy 0.2 is too low"]}
    push = {"pushed": False, "created": False, "name": "flowers-backbone", "version": None, "alias": None,
            "reasons": ["not blessed, so not pushed", "accuracy 0.2 is too low"]}  # fmt: skip
    text = text_of(build(reports=REPORTS | {"verdict": verdict, "push": push}))
    assert text.count("accuracy 0.2 is too low") == 1 and "- not blessed, so not pushed" in text


def test_the_table_of_a_failed_run_shows_the_error_and_only_what_was_reached():
    text = text_of(build(Outcome("refused", 3.0, "class [b]x[/b] has no photographs", "DataGate"), {"ingest": REPORTS["ingest"]}))
    assert "DataGate: class [b]x[/b] has no photographs" in text and "97 photographs" in text
    assert "Linear" not in text and "Registry" not in text


def test_run_ids_sort_by_time_and_differ_within_a_second():
    evening = datetime.datetime(2026, 1, 31, 23, 59, 59, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    assert new_run_id(evening).startswith("20260131-225959-")  # UTC
    assert new_run_id(evening) < new_run_id(evening + datetime.timedelta(seconds=1))
    assert len({new_run_id(evening) for _ in range(20)}) > 1


def started(tmp_path, run_id="20260131-184502-3fa9"):
    layout, start = Layout(tmp_path), dataclasses.replace(START, run_id=run_id)
    layout.run(run_id).mkdir(parents=True)
    return layout, start, run_record.begin(start, layout)


def test_a_run_that_starts_is_the_latest_with_every_key_and_says_in_which_node_it_is(tmp_path):
    layout, start, former = started(tmp_path)
    assert former is None and run_record.newest(layout).keys() == build().keys()
    assert (run_record.newest(layout)["status"], run_record.newest(layout)["failing_node"]) == ("started", None)
    run_record.write_started(start, layout, "Pretrain", 12.34)
    record = run_record.newest(layout)
    assert (record["status"], record["failing_node"], record["seconds"]) == ("started", "Pretrain", 12.3)


def test_a_run_whose_process_has_gone_was_killed_and_the_next_one_records_that(tmp_path):
    layout, start, _ = started(tmp_path)
    run_record.write_started(start, layout, "Pretrain")
    record = run_record.newest(layout)
    assert run_record.as_it_ended(record, active=True) == record
    _, _, former = started(tmp_path, "20260201-184502-0000")
    assert former == run_record.as_it_ended(record, active=False)
    assert former["status"] == "killed" and former["error"].startswith("killed in Pretrain: ")
    assert json.loads((layout.run(start.run_id) / "run.json").read_text()) == former
    assert run_record.newest(layout)["run_id"] == "20260201-184502-0000"
    assert started(tmp_path, "20260202-184502-0000")[2]["error"].startswith("killed before its first node: ")


def test_a_run_that_ended_is_not_told_as_killed(tmp_path):
    layout, start, _ = started(tmp_path)
    for status in ("finished", "failed", "refused", "interrupted"):
        (layout.run(start.run_id) / "run.json").write_text(json.dumps(build(Outcome(status, 1.0))))
        assert run_record.begin(start, layout) is None


@pytest.mark.parametrize("damaged", ["", "{", "[]", "{}", '{"status": 3}', "\0"])
def test_a_damaged_record_of_the_run_before_keeps_no_run_from_starting(tmp_path, damaged):
    layout, start, _ = started(tmp_path)
    (layout.run(start.run_id) / "run.json").write_text(damaged)
    assert run_record.newest(layout) is None
    assert started(tmp_path, "20260201-184502-0000")[2] is None
    assert run_record.newest(layout)["run_id"] == "20260201-184502-0000"


def test_a_record_cannot_name_another_folder(tmp_path):
    layout, start, _ = started(tmp_path)
    path = layout.run(start.run_id) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"run_id": "../../elsewhere"}))
    assert started(tmp_path, "20260201-184502-0000")[2]["run_id"] == start.run_id
    assert json.loads(path.read_text())["status"] == "killed" and not (tmp_path.parent / "elsewhere").exists()


def test_latest_moves_from_run_to_run(tmp_path):
    layout = Layout(tmp_path)
    for run_id in ("a", "b"):
        layout.run(run_id).mkdir(parents=True)
        point_latest_at(layout, run_id)
        assert os.readlink(layout.latest) == f"runs/{run_id}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "runs"]


def test_identity_without_origin_has_no_code_and_no_recipe():
    record = run_record.build(dataclasses.replace(START, origin=None), Outcome("failed", 1.0, "no such folder"), [], {}, {}, {})
    assert record["code"] is None and record["recipe"] is None and record["nodes"] == {}
