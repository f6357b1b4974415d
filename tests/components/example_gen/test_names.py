"""Promises of what names mean: every usual name of a split is one, and a class is not taken for one."""

import pytest

from components.example_gen import names


@pytest.mark.parametrize(("name", "split"), [
    *((name, "train") for name in ("train", "Train", "TRAINING", "train_set", "training-data", "Training Images", "TrainSet", "train2017")),
    *((name, "eval") for name in ("eval", "Evaluation", "val", "VAL", "valid", "validation_set", "Validation", "ValData", "dev", "dev-set",
                                  "holdout", "Hold-Out", "held_out", "test", "Test", "testing", "test set", "test1", "test_images")),
    *((name, "") for name in ("", "trainer", "trains", "steam train", "evaluated", "valley", "value", "device", "testudo", "contest", "rose")),
])  # fmt: skip
def test_usual_names_of_splits_are_known_in_any_case_and_with_usual_endings(name, split):
    assert names.split_of(name) == split


def test_of_held_out_folders_evaluation_comes_before_validation_before_development_before_test():
    assert sorted(["Testing", "dev_set", "valid", "holdout", "eval"], key=names.preference) == [
        "eval", "valid", "dev_set", "holdout", "Testing"]  # fmt: skip


@pytest.mark.parametrize(("classes", "splits"), [
    (["valid", "testing"], True), (["train"], True), (["seg_train", "seg_test"], True), (["1 Training", "2 Validation"], True),
    ([], False), (["steam train", "bullet train"], False), (["train", "bus"], False), (["crash test", "dev tools"], False),
])  # fmt: skip
def test_classes_that_can_only_be_splits_are_recognised(classes, splits):
    assert names.look_like_splits(classes) is splits


def test_a_class_has_one_spelling_of_its_accents():
    assert names.class_called("e\u0301te\u0301") == names.class_called("\u00e9t\u00e9") == "\u00e9t\u00e9"
