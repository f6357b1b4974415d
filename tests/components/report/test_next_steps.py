"""What to do next: the setting, and the value worked out by hand from the figures beside each case."""

import pytest

from components.report.next_steps import next_steps

# `quick`: 2,040 photographs in batches of 32 are 63 steps an epoch; 7 epochs of them are 441 steps; 2, after a warm start, are 126.
PRETRAIN = {"epochs": 4, "steps": 40, "steps_an_epoch": 10, "warm_start": None, "history": []}
NOT_BLESSED = {"classes": ["rose"], "blessed": False, "baseline_version": None, "metrics": {"champion": None}}


def record(status="finished", **sections):
    return {"status": status, "configuration": {"preset": "cpu", "data": {"source": "/photographs"}}, **sections}


def said(*arguments, **sections):
    return " ".join(next_steps(record(*arguments, **sections)))


def history(*measured):
    """Epochs 1, 2, …, of which None were not measured."""
    return [{"epoch": epoch, "knn_train_top1": share} for epoch, share in enumerate(measured, 1)]


@pytest.mark.parametrize("gate", [None, NOT_BLESSED | {"blessed": True}, NOT_BLESSED | {"classes": []}])
def test_after_a_run_that_was_blessed_or_not_judged_there_is_nothing_to_do(gate):
    assert next_steps(record(gate=gate, pretrain=PRETRAIN)) == []


@pytest.mark.parametrize(
    ("changes", "raised"),
    [
        ({}, "Few steps were made: 40, in 4 epochs of 10."),
        ({}, "Raise pretrain.epochs from 4 to 45: `--set pretrain.epochs=45`."),  # 441 / 10 = 44.1
        ({"steps": 44, "steps_an_epoch": 11}, "`--set pretrain.epochs=41`."),  # 441 / 11 = 40.1
        ({"steps_an_epoch": None}, "in 4 epochs of 10"),  # records of earlier releases
        ({"warm_start": {"version": "3"}}, "Raise pretrain.warm_start_epochs from 4 to 13: `--set pretrain.warm_start_epochs=13`."),
    ],
)
def test_too_few_steps_name_the_setting_and_the_value_that_is_known_to_be_enough(changes, raised):
    assert raised in said(gate=NOT_BLESSED, pretrain=PRETRAIN | changes)


def test_as_many_steps_as_are_known_to_be_enough_are_not_called_few():
    enough = PRETRAIN | {"epochs": 7, "steps": 441, "steps_an_epoch": 63}
    assert "Pre-training was not cut short" in said(gate=NOT_BLESSED, pretrain=enough)
    assert "Few steps were made" in said(gate=NOT_BLESSED, pretrain=enough | {"steps": 440})
    warm = PRETRAIN | {"epochs": 2, "steps": 126, "steps_an_epoch": 63, "warm_start": {"version": "3"}}
    assert "Pre-training was not cut short" in said(gate=NOT_BLESSED, pretrain=warm)


@pytest.mark.parametrize(
    ("curve", "rising"),
    [
        ((0.40, None, 0.52, 0.55), True),
        ((0.52, None, 0.55, None), True),
        ((0.5, 0.505), False),
        ((0.6, 0.5), False),
        ((0.5,), False),
        ((), False),
    ],
)
def test_accuracy_that_still_rose_asks_for_twice_the_epochs(curve, rising):
    pretrain = PRETRAIN | {"epochs": 24, "steps": 1512, "steps_an_epoch": 63, "history": history(*curve)}
    text = said(gate=NOT_BLESSED, pretrain=pretrain)
    assert ("`--set pretrain.epochs=48`" in text) == rising == ("still learning" in text)
    assert not rising or "rose from 52.0 % after epoch" in text and "to 55.0 % after epoch" in text


def test_the_champion_that_stays_is_named():
    gate = NOT_BLESSED | {"baseline_version": "7", "metrics": {"champion": {"accuracy": 0.8}}}
    assert "Until then version 7 stays the champion." in said(gate=gate, pretrain=PRETRAIN)
    assert "stays the champion" not in said(gate=NOT_BLESSED, pretrain=PRETRAIN)


@pytest.mark.parametrize(
    ("preset", "source", "wrong"), [("quick", "/my photographs", True), ("quick", "synthetic", False), ("cpu", "/a", False)]
)
def test_photographs_learned_with_the_preset_for_drawn_flowers_are_told_of_the_other(preset, source, wrong):
    known = {"status": "finished", "configuration": {"preset": preset, "data": {"source": source}}, "gate": NOT_BLESSED}
    text = " ".join(next_steps(known))
    assert ("`flowers run --preset cpu --data '/my photographs'`" in text) == wrong


def refused(settings=None, **data):
    known = {
        "status": "refused",
        "data": {"quarantined": 3, "train_by_class": {"rose": 2}, "eval_by_class": {"rose": 1}, **data},
        "configuration": {"preset": "cpu", "data": {"source": "/photographs", "max_bad_fraction": 0.01, **(settings or {})}},
    }
    return " ".join(next_steps(known))


def test_too_many_bad_files_name_the_share_that_would_admit_them():
    # 3 of 97 are 3.09 %: the next whole per cent above is 0.04.
    text = refused(bad_fraction=3 / 97)
    assert "Mend or remove the 3 files" in text and "`--set data.max_bad_fraction=0.04`" in text
    assert "`--set data.max_bad_fraction=0.03`" in refused(bad_fraction=0.03)
    assert "max_bad_fraction" not in refused(bad_fraction=0.01)


def test_classes_without_photographs_are_named_with_how_to_leave_them_out():
    text = refused({"exclude": ["*.txt"]}, eval_by_class={"rose": 0, "tulip": 4})
    assert "Add photographs of rose: eval has none. Or run without: `--set data.exclude='*.txt,rose'`." in text
    many = refused(train_by_class={f"class {number}": 0 for number in range(8)})
    assert "class 0, class 1, class 2, class 3, class 4 and 3 more: train has none." in many


@pytest.mark.parametrize(("source", "name"), [("tfds:flowers", "rose"), ("/photographs", "rose [red]"), ("/photographs", "a,b")])
def test_a_class_that_no_pattern_names_alone_is_to_be_taken_out_of_the_source(source, name):
    text = refused({"source": source}, eval_by_class={name: 0})
    assert "Or take that class out of the source." in text and "data.exclude=" not in text


def test_names_cannot_write_to_the_terminal():
    assert "\x1b" not in refused(eval_by_class={"\x1b[2Jrose": 0}) + refused({"source": "/\x1b]0;title\x07"})


def test_a_run_that_did_not_end_is_to_be_started_again():
    assert "the same command again" in said("failed") and "log.txt" in said("failed")
    for status in ("interrupted", "killed", "started"):
        assert next_steps(record(status)) == ["Start the same command again: it continues from what had been finished."]
