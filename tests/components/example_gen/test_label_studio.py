"""Label Studio's JSON: what a task says, what becomes a label, which photograph it is of, and what is refused."""

import json
import pathlib
import xml.etree.ElementTree

import pytest

from components.errors import DataRefused, SourceNotFound
from components.example_gen.label_studio import labelling_interface, read_labels
from components.example_gen.label_studio import task as written

EXPORTS = sorted((pathlib.Path(__file__).parents[2] / "golden").glob("label_studio_*.json"))


def annotation(*classes, **more):
    return {"id": 1, "was_cancelled": False, "ground_truth": False, "result": [
        {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": list(classes)}}]} | more  # fmt: skip


def task(*annotations, **data):
    return {"id": 7, "data": data or {"image": "/data/local-files/?d=flowers/1.jpg", "path": "a/1.jpg"},
            "annotations": list(annotations)}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    """What the reader makes of these tasks."""

    def read_tasks(*tasks):
        path = tmp_path / "export.json"
        path.write_text(json.dumps(tasks), encoding="utf-8")
        return read_labels(str(path))

    return read_tasks


@pytest.mark.parametrize("export", EXPORTS, ids=lambda path: path.stem)
def test_labels_of_a_real_export(export):
    """Five photographs: three labelled (one against the guess), one skipped, one not looked at."""
    assert read_labels(str(export)) == [
        ("unlabelled/1.jpg", "daisy"), ("unlabelled/more/2 of 3.jpg", "rose"), ("unlabelled/blüte.jpg", "rose")]  # fmt: skip


def test_only_what_a_person_has_said_is_a_label(read):
    guess = {"predictions": [{"model_version": "x", "result": annotation("rose")["result"]}]}
    assert read(task() | guess, task(annotation("daisy", was_cancelled=True)), task(annotation(result=[])),
                task(annotation("tulip")) | guess) == [("a/1.jpg", "tulip")]  # fmt: skip


def test_people_must_agree_unless_one_annotation_is_ground_truth(read):
    assert read(task(annotation("daisy"), annotation("daisy"))) == [("a/1.jpg", "daisy")]
    assert read(task(annotation("daisy"), annotation("rose", ground_truth=True))) == [("a/1.jpg", "rose")]
    with pytest.raises(DataRefused, match=r"task 2 \(id 7\): its annotations disagree, 'daisy' and 'rose'; mark one as ground"):
        read(task(), task(annotation("rose"), annotation("daisy")))


@pytest.mark.parametrize("image, path", [
    ("/data/local-files/?d=flowers/a%20b/1.jpg", "flowers/a b/1.jpg"),
    ("/data/upload/3/0f1e2d3c-rose%20one.jpg", "rose one.jpg"),
    ("/data/upload/0f1e2d3c-rose.jpg", "rose.jpg"),
    ("gs://bucket/flowers/1.jpg", "gs://bucket/flowers/1.jpg"),
    ("flowers/1.jpg", "flowers/1.jpg"),
])  # fmt: skip
def test_a_task_of_another_tool_names_its_photograph_by_its_image(read, image, path):
    assert read(task(annotation("rose"), image=image)) == [(path, "rose")]


@pytest.mark.parametrize("wrong, message", [
    ({"image": "1.jpg", "label": "rose"}, "a task must have `data`; export as JSON, not as JSON-MIN"),
    ([], "a task must have `data`"),
    (task(annotation("rose", "daisy")), "it has 2 classes, 'rose', 'daisy'; a photograph has one"),
    (task(annotation("rose"), text="x"), "`data` has neither 'path' nor 'image', only 'text'"),
    (task(annotation(" ")), "`value.choices` must be a list of names"),
    (task() | {"annotations": [5]}, "`annotations` must be a list of annotations"),
    (task(annotation(result=3)), "`result` of an annotation must be a list"),
])  # fmt: skip
def test_what_is_no_labelled_task_is_refused_with_its_number(read, wrong, message):
    with pytest.raises(DataRefused) as refused:
        read(task(annotation("rose")), wrong)
    assert "export.json: task 2" in str(refused.value) and message in str(refused.value)


def test_what_is_no_export_is_refused(tmp_path):
    with pytest.raises(SourceNotFound, match="there is no labels file"):
        read_labels(str(tmp_path / "none.json"))
    for text, message in (("path,label\n", "is not JSON"), ("{}", "must be a list of tasks, got dict"), ("\xff", "is not JSON")):
        (tmp_path / "export.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(DataRefused, match=message):
            read_labels(str(tmp_path / "export.json"))


def test_a_task_comes_back_as_the_photograph_that_it_was(read, tmp_path):
    (tmp_path / "photographs").mkdir()
    path = "unlabelled/100 % ?.jpg"
    made = written(str(tmp_path / "photographs"), path, {"content_hash": "ab"}, "flowers-backbone 3", "rose", 0.75)
    assert made == {
        "data": {"image": "/data/local-files/?d=photographs/unlabelled/100%20%25%20%3F.jpg", "path": path, "content_hash": "ab"},
        "predictions": [{"model_version": "flowers-backbone 3", "score": 0.75, "result": [
            {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["rose"]}}]}]}  # fmt: skip
    assert read(made) == [] and read(made | {"annotations": [annotation("daisy")]}) == [(path, "daisy")]
    del made["data"]["path"]
    assert read(made | {"annotations": [annotation("daisy")]}) == [(f"photographs/{path}", "daisy")]


def test_a_task_without_a_guess_has_no_prediction(tmp_path):
    assert written("gs://bucket/flowers/", "a/1.jpg", {}, "", "", None) == {
        "data": {"image": "gs://bucket/flowers/a/1.jpg", "path": "a/1.jpg"}}  # fmt: skip
    with pytest.raises(SourceNotFound, match="Label Studio shows files, and 'synthetic' is no folder"):
        written("synthetic", "1", {}, "", "", None)


def test_the_interface_offers_every_class_and_escapes_its_name():
    root = xml.etree.ElementTree.fromstring(labelling_interface(["rose", "<\"&'>"]))
    choices = root.find("Choices")
    assert [one.get("value") for one in choices] == ["rose", "<\"&'>"] and choices.get("toName") == root.find("Image").get("name")
