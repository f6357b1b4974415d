"""Promises of what names mean: every usual name of a split is one, and a class is not taken for one."""

import pytest

from components.example_gen import names


@pytest.mark.parametrize(("name", "split"), [
    *((name, "train") for name in ("train", "Train", "TRAINING", "train_set", "training-data",
                                   "Training Images", "TrainSet", "train2017", "trainval")),
    *((name, "eval") for name in ("eval", "Evaluation", "val", "VAL", "valid", "validation_set", "Validation", "ValData", "dev", "dev-set",
                                  "holdout", "Hold-Out", "held_out", "test", "Test", "testing", "test set", "test1", "test_images")),
    *((name, "") for name in ("", "trainer", "trains", "steam train", "evaluated", "valley", "value", "device", "testudo", "contest",
                                 "rose")),
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


@pytest.mark.parametrize("name", ["Thumbs.db", "THUMBS.DB", "desktop.ini", ".DS_Store", "._a.jpg", "a.jpg:Zone.Identifier", "$RECYCLE.BIN",
                                  "System Volume Information", "found.000", "__MACOSX", "lost+found", "@eaDir", "#recycle", "Icon\r",
                                  "Catalogue Previews.lrdata", ".ipynb_checkpoints"])  # fmt: skip
def test_what_systems_leave_in_folders_is_known(name):
    assert names.passed_over([name, "a.jpg"], "rose") == {name: names.SYSTEM}


@pytest.mark.parametrize("name", ["a.json", "A.JPG.json", "a.jpg.supplemental-metadata.json", "a.jpg(1).json", "a.xml", "a.txt", "a.xmp",
                                  "a.jpg.xmp", "A.AAE", "a.THM", "a.mov", "a.NEF", "a.jpg.md5"])  # fmt: skip
def test_a_file_about_a_photograph_is_known_by_the_photograph_beside_it(name):
    assert names.passed_over([name, "a.jpg"], "") == {name: names.SIDECAR}
    alone = {name: names.TEXT} if name.endswith((".json", ".xml", ".txt", ".md5")) else {}
    assert names.passed_over([name, "b.jpg"], "") == alone
    assert names.passed_over([name], "") == alone


def test_no_photograph_and_no_class_is_passed_over():
    listed = ["a.jpg", "a.png", "a", "rose", "Thumbs", "database.db.jpg", "json.jpg", "txt", "recycled", "@home", "lost", "train"]
    assert names.passed_over(listed, "") == {}


@pytest.mark.parametrize(("pattern", "path", "matches"), [
    ("*.psd", "rose/a.PSD", True), ("*.psd", "a.psd", True), ("*.psd", "a.psd.jpg", False), ("drafts", "rose/Drafts", True),
    ("drafts/", "drafts", True), ("drafts", "drafts2", False), ("rose/old*", "rose/old 1", True), ("rose/old*", "lily/rose/old", False),
    ("/rose/*.png", "rose/2019/a.png", True), ("\u00e9t\u00e9", "e\u0301te\u0301", True), ("img_[0-9].jpg", "img_7.jpg", True),
])  # fmt: skip
def test_patterns_are_compared_with_names_or_with_slashes_with_paths(pattern, path, matches):
    assert names.excluded(path, [pattern]) is matches
    assert not names.excluded(path, [])


def test_what_is_not_read_is_counted_by_kind_and_the_first_are_named():
    paths = {f"rose/{i}.json": names.SIDECAR for i in range(1200)} | {"lily/": names.EMPTY}
    assert names.not_read(paths) == [
        "files about a photograph beside them (1,200): rose/0.json, rose/1.json, rose/10.json and 1,197 more",
        "folders without photographs (1): lily/"]  # fmt: skip
    assert names.not_read({}) == []
