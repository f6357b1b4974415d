"""Promises of DataGate's verdict: what is refused, and in which words."""

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.data_gate import refusals, refusals_of_ingest

NONE = {"train": anomalies_pb2.Anomalies(), "eval": anomalies_pb2.Anomalies()}


def report(bad, good=98, by_class=None):
    by_class = by_class or {"train": {"daisy": 40, "rose": 43}, "eval": {"daisy": 7, "rose": 8}}
    return {
        "images": good,
        "bad_fraction": bad / (bad + good),
        "quarantined": {
            "total": bad,
            "by_reason": {"zero bytes": bad},
            "files": [{"path": f"daisy/{i}.jpg", "reason": "zero bytes", "detail": ""} for i in range(bad)],
        },
        "splits": {split: {"images": sum(counts.values()), "by_class": counts} for split, counts in by_class.items()}
        | {"unlabelled": {"images": 0}},
        "classes": sorted(by_class["train"]),
        "near_duplicates": {"large": [], "group_by": ""},
        "split_rule": "train/ and eval/ of the folder",
    }


def test_good_data_is_accepted_up_to_the_very_limit():
    assert refusals(report(0), NONE, 0.01, 2) == []
    assert refusals(report(1, good=99), NONE, 0.01, 2) == []
    assert refusals(report(0), NONE, 0.0, 2) == []


def test_two_percent_damaged_is_refused_with_count_reason_and_paths():
    (sentence,) = refusals(report(2), NONE, 0.01, 2)
    assert sentence == (
        "2 of 100 files (2.00 %) cannot be used, more than data.max_bad_fraction=0.01 allows: 2 zero bytes; "
        "'daisy/0.jpg', 'daisy/1.jpg'. Mend or remove them, or name what is no photograph in data.exclude")  # fmt: skip


def test_the_detail_of_the_first_file_of_a_reason_says_what_to_do():
    found = report(2)
    found["quarantined"]["files"][0]["detail"] = "only data.follow_links=true reads it"
    assert "2 zero bytes (for example only data.follow_links=true reads it); 'daisy/0.jpg'" in refusals(found, NONE, 0.01, 2)[0]


def test_only_the_first_paths_are_named():
    (sentence,) = refusals(report(20), NONE, 0.01, 2)
    assert "'daisy/3.jpg', 'daisy/4.jpg' and 15 more. " in sentence


@pytest.mark.parametrize(("unlabelled", "batch", "refused"), [(0, 83, False), (0, 84, True), (9, 92, False), (9, 93, True)])
def test_a_batch_of_more_than_there_is_to_learn_from_is_refused(unlabelled, batch, refused):
    found = report(0)
    found["splits"]["unlabelled"] = {"images": unlabelled}  # beside 83 of train
    sentences = refusals_of_ingest(found, 0.01, batch)
    assert bool(sentences) == refused and sentences == refusals(found, NONE, 0.01, batch)
    if refused:
        (sentence,) = sentences
        assert sentence.startswith(
            f"pretrain.batch_size is {batch}, but only {83 + unlabelled} photographs are to learn from, with 15 held out"
        )
        assert sentence.endswith(f"--set pretrain.batch_size={(83 + unlabelled) // 4}")


@pytest.mark.parametrize("split", ["train", "eval"])
def test_a_class_on_one_side_only_is_refused(split):
    by_class = {"train": {"daisy": 40, "rose": 43}, "eval": {"daisy": 7, "rose": 8}}
    by_class[split]["rose"] = 0
    (sentence,) = refusals(report(0, by_class=by_class), NONE, 0.01, 2)
    assert sentence.startswith(f"class 'rose' has no photograph in {split}")


def test_every_anomaly_is_a_reason():
    found = anomalies_pb2.Anomalies()
    found.anomaly_info["class_name"].short_description = "Unexpected string values"
    found.anomaly_info["class_name"].description = "Examples contain values missing from the schema: tulip (~3%)."
    found.data_missing = True
    found.dataset_anomaly_info.description = "The comparison size is low."
    assert refusals(report(0), NONE | {"eval": found}, 0.01, 2) == [
        "eval, feature 'class_name': Unexpected string values: Examples contain values missing from the schema: tulip (~3%)",
        "eval: The comparison size is low",
        "eval: the split holds no examples",
    ]


@pytest.mark.parametrize(("images", "refused"), [(0, []), (3, ["unlabelled: the split holds no examples"])])
def test_a_split_may_be_empty_only_if_the_source_has_nothing_for_it(images, refused):
    missing = anomalies_pb2.Anomalies(data_missing=True)
    found = report(0)
    found["splits"]["unlabelled"] = {"images": images}
    assert refusals(found, NONE | {"unlabelled": missing}, 0.01, 0) == refused


def test_without_any_label_train_and_eval_may_be_empty():
    missing = anomalies_pb2.Anomalies(data_missing=True)
    found = report(0, by_class={"train": {}, "eval": {}}) | {"classes": []}
    assert refusals(found, {"train": missing, "eval": missing}, 0.01, 0) == []
