"""`flowers predict` on a small registry: what it predicts, writes, prints and refuses."""

import contextlib
import csv
import functools
import hashlib
import json
import os
import pathlib
import sys
import xml.etree.ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from scipy.special import softmax

from cli.main import main
from inference import open_index, predict, write_predictions
from inference.embed import embed
from inference.prediction_files import COLUMNS
from inference.registered import find
from registry.files import PROBE

CLASSES = ("=daisy", "rose", "tulip")
NAME = "flowers-backbone"


module = sys.modules["inference.predict"]  # which the function of the same name shadows


@pytest.fixture(scope="module", autouse=True)
def one_backbone():
    """A version's backbone is loaded once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Backbone", functools.cache(module.Backbone))
        yield


@pytest.fixture(scope="module")
def predictions(root, photographs):
    return {one.path: one for one in predict(str(photographs), root=root, on_unreadable=lambda one: None)}


@contextlib.contextmanager
def calibration(root, version="2", **changes):
    """For the block, the calibration of a version's probe with changes, which only --unverified uses."""
    probe = find(root, version, NAME, PROBE)
    path = pathlib.Path(probe.directory) / "probe.json"
    original = path.read_text()
    record = json.loads(original)
    record["calibration"]["candidate"] |= changes
    path.write_text(json.dumps(record))
    try:
        yield
    finally:
        path.write_text(original)


def test_predictions_are_the_probes_on_the_vectors_that_embed_writes(root, photographs, predictions, tmp_path):
    """Worked out from the index and the probe's arrays, with the temperature 0.5 and the threshold 0.8 of its record."""
    index = str(tmp_path / "i.parquet")
    embed(str(photographs), index, root=root, on_unreadable=lambda one: None)
    opened = open_index(index)
    ((_, vectors),) = opened.blocks()
    probe = np.load(pathlib.Path(find(root, "2", NAME, PROBE).directory) / "probe.npz")
    expected = softmax(((vectors - probe["mean"]) / probe["scale"] @ probe["weights"] + probe["bias"]) / 0.5, axis=1)
    entries = opened.entries(np.arange(len(vectors)))
    assert len(entries) == len(predictions) == 14
    for (path, content_hash), row in zip(entries, expected):
        found, order = predictions[path], np.argsort(-row)
        assert (found.label, found.second_label) == (CLASSES[order[0]], CLASSES[order[1]])
        assert found.content_hash == content_hash and found.probability == pytest.approx(row.max(), abs=1e-5)
        assert found.unsure == (row.max() < 0.8)
    assert 0 < sum(one.unsure for one in predictions.values()) < 14


def test_csv_has_the_documented_columns_in_the_order_of_the_source(root, photographs, predictions, tmp_path, capfd):
    output = tmp_path / "predictions.csv"
    assert main(["predict", str(photographs), "-o", str(output), "--root", root]) == 0
    with open(output, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS == ("path", "content_hash", "label", "probability", "second_label", "unsure")
    assert [row["path"] for row in rows] == list(predictions)
    for row in rows:
        one = predictions[row["path"]]
        assert row["content_hash"] == hashlib.sha256((photographs / row["path"]).read_bytes()).hexdigest()
        assert row["label"].removeprefix("'") == one.label and row["unsure"] == str(one.unsure).lower()
        assert float(row["probability"]) == pytest.approx(one.probability, abs=1e-6)
    out, err = capfd.readouterr()
    unsure = sum(one.unsure for one in predictions.values())
    assert f"14 images predicted by version 2, {unsure} unsure: {output}" in out and "images/s" in out
    assert "Calibration error on the eval split 3.1 % (random-init baseline: 5.2 %)" in out
    assert ("Unsure: below 80.0 %, chosen for a precision of 95 %; on the eval split 62.0 % were sure (random-init baseline: 24.0 %), and "
            "97.0 % of those right (random-init baseline: 93.0 %)") in out  # fmt: skip
    assert "3 left out (1 not an image, 1 over the pixel limit, 1 truncated or damaged), listed above" in out
    assert [line.split(":")[1] for line in err.splitlines()] == [" bomb.png", " cut.jpg", " notes.jpg"]


def test_no_name_in_csv_is_a_formula_or_a_control_character(root, encoded, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    names = [
        "=1+1.jpg",
        "+1.jpg",
        "-1.jpg",
        "@1.jpg",
        "\uff1d1.jpg",
        "\t=1.jpg",
        "a;=1.jpg",
        'a",=1.jpg',
        "a\n=1.jpg",
        "a\x1b[2J\u202e.jpg",
    ]
    for seed, name in enumerate(names):
        (source / name).write_bytes(encoded(seed))
    with open(os.fsencode(source) + b"/\xff.jpg", "wb") as file:  # not UTF-8
        file.write(encoded(20))
    output = tmp_path / "p.csv"
    assert write_predictions(str(source), str(output), root=root).images == len(names) + 1
    text = output.read_text(encoding="utf-8")
    assert len(text.splitlines()) == len(names) + 2 and "\x1b" not in text and "\u202e" not in text
    rows = list(csv.DictReader(text.splitlines()))
    assert {row["path"] for row in rows} == {
        "'=1+1.jpg", "'+1.jpg", "'-1.jpg", "'@1.jpg", "'\uff1d1.jpg", "\\t=1.jpg", "a;=1.jpg", 'a",=1.jpg', "a\\n=1.jpg",
        "a\\x1b[2J\\u202e.jpg", "\\xff.jpg"}  # fmt: skip
    assert all(row["label"] in ("'=daisy", "rose", "tulip") for row in rows)
    # Every text is in quotes, so that a spreadsheet that divides at semicolons finds none outside.
    assert '"a;=1.jpg"' in text


def test_parquet_has_names_as_they_are_and_says_what_made_it(root, photographs, predictions, tmp_path):
    output = str(tmp_path / "p.parquet")
    write_predictions(str(photographs), output, root=root)
    table = pq.read_table(output)
    assert tuple(table.column_names) == COLUMNS
    assert [str(one.type) for one in table.schema] == ["string", "string", "string", "float", "string", "bool"]
    for row in table.to_pylist():
        one = predictions[row["path"]]
        assert (row["label"], row["second_label"], row["unsure"]) == (one.label, one.second_label, one.unsure)
    made_by = json.loads(table.schema.metadata[b"flowers"])
    assert (made_by["version"], made_by["temperature"], made_by["threshold"]) == ("2", 0.5, 0.8)
    assert made_by["classes"] == list(CLASSES) and made_by["source"] == os.path.realpath(photographs)
    assert made_by["probe_content_hash"] == find(root, "2", NAME, PROBE).content_hash


def test_label_studio_gets_a_task_with_the_champions_guess_for_each_photograph(root, photographs, predictions, tmp_path):
    output = tmp_path / "tasks.json"
    write_predictions(str(photographs), str(output), root=root)
    tasks = json.loads(output.read_text())
    assert [task["data"]["path"] for task in tasks] == list(predictions)
    task = next(task for task in tasks if task["data"]["path"] == "deep/er/1.jpg")
    one = predictions["deep/er/1.jpg"]
    assert task["data"]["image"] == f"/data/local-files/?d={photographs.name}/deep/er/1.jpg"
    (guess,) = task["predictions"]
    assert guess["model_version"] == "flowers-backbone 2" and guess["score"] == pytest.approx(one.probability, abs=1e-6)
    (result,) = guess["result"]
    assert (result["to_name"], result["type"], result["value"]) == ("image", "choices", {"choices": [one.label]})
    choices = xml.etree.ElementTree.parse(tmp_path / "tasks.xml").find("Choices")
    assert choices.get("name") == result["from_name"] and [one.get("value") for one in choices] == list(CLASSES)


def test_another_threshold_changes_only_what_is_unsure(root, photographs, predictions, capfd, tmp_path):
    found = {one.path: one for one in predict(str(photographs), root=root, threshold=0.99, on_unreadable=lambda one: None)}
    assert {path: (one.label, one.unsure) for path, one in found.items()} == {
        path: (one.label, one.probability < 0.99) for path, one in predictions.items()}  # fmt: skip
    assert main(["predict", str(photographs), "-o", str(tmp_path / "p.csv"), "--root", root, "--threshold", "0.99"]) == 0
    assert "Unsure: below 99.0 %, as asked" in capfd.readouterr().out


@pytest.mark.parametrize(("changes", "said"), [
    ({"temperature": None, "threshold": None, "calibration_error": None, "coverage": 0.0, "precision": None},
     ["The probabilities are not calibrated: fewer than two classes had two labelled photographs for cross-validation.",
      "Every prediction is unsure; --threshold sets one."]),
    ({"threshold": None, "coverage": 0.0, "precision": None},
     ["Every prediction is unsure: no threshold reached a precision of 95 % in cross-validation; --threshold sets one."]),
])  # fmt: skip
def test_without_calibration_or_threshold_all_are_unsure_and_the_reason_is_told(root, photographs, tmp_path, capfd, changes, said):
    with calibration(root, **changes):
        command = ["predict", str(photographs / "0.jpg"), "-o", str(tmp_path / "p.parquet"), "--root", root]
        assert main([*command, "--unverified"]) == 0
    out = capfd.readouterr().out
    assert "1 images predicted by version 2, 1 unsure" in out and all(line in out for line in said)
    assert pq.read_table(tmp_path / "p.parquet")["unsure"].to_pylist() == [True]


def test_the_page_shows_each_class_with_the_least_probable_first(root, photographs, predictions, tmp_path):
    page = tmp_path / "page.html"
    write_predictions(str(photographs), str(tmp_path / "p.csv"), page=str(page), root=root)
    content = page.read_text()
    assert content.count("<img ") == 14 and "<script" not in content and "<img src=x" not in content
    sections = content.split("<section>")[1:]
    by_class = {label: [one for one in predictions.values() if one.label == label] for label in CLASSES}
    assert len(sections) == sum(bool(found) for found in by_class.values())
    for section in sections:
        label = next(label for label in CLASSES if f"<h2>{label}</h2>" in section)
        ordered = sorted(by_class[label], key=lambda one: one.probability)
        assert f"{len(ordered)} photographs, {sum(one.unsure for one in ordered)} unsure" in section
        shown = [section.index(f"</span> {one.path}</p>") for one in ordered if "<" not in one.path]
        assert shown == sorted(shown)


def test_a_page_holds_only_the_least_probable_of_a_class(root, photographs, predictions, tmp_path, monkeypatch):
    monkeypatch.setattr("inference.prediction_files.PICTURES", 6)  # 2 of each of the three classes
    page = tmp_path / "page.html"
    write_predictions(str(photographs), str(tmp_path / "p.csv"), page=str(page), root=root)
    content = page.read_text()
    for label in CLASSES:
        ordered = sorted((one for one in predictions.values() if one.label == label), key=lambda one: one.probability)
        for position, one in enumerate(ordered):
            assert "<" in one.path or (f"</span> {one.path}</p>" in content) == (position < 2)
    assert "the 2 least probable are shown" in content


def test_predictions_into_the_source_itself_do_not_meet_themselves(root, encoded, tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(0))
    assert write_predictions(str(tmp_path), str(tmp_path / "p.csv"), root=root).unreadable == {}


def test_a_source_without_an_image_is_refused_and_the_former_file_stays(root, tmp_path, capfd):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "notes.jpg").write_text("no photograph")
    (tmp_path / "p.json").write_text("former")
    assert main(["predict", str(tmp_path / "source"), "-o", str(tmp_path / "p.json"), "--root", root]) == 3
    assert "has no image that can be used (1 not an image); nothing was written" in capfd.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["p.json", "source"] and (tmp_path / "p.json").read_text() == "former"


@pytest.mark.parametrize(("arguments", "message"), [
    (["nowhere", "-o", "p.csv"], "there is no folder or file 'nowhere'"),
    ([".", "-o", "p.txt"], "must end in .csv, .parquet or .json, got 'p.txt'"),
    ([".", "-o", "none/p.csv"], "to write 'p.csv' into; make it first"),
    (["synthetic", "-o", "p.json"], "Label Studio shows files, and 'synthetic' is no folder"),
    ([".", "-o", "p.csv", "--version", "7"], "no version or alias '7'; versions: 1, 2"),
    ([".", "-o", "p.csv", "--version", "1"], "registered by a release without calibrated probabilities; register a new version with"),
])  # fmt: skip
def test_mistakes_end_with_exit_status_2_and_say_what_would_do(root, tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", *arguments, "--root", root]) == 2
    assert message in capfd.readouterr().err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("threshold", ["1.5", "nan", "x"])
def test_a_threshold_that_is_no_probability_is_refused(threshold, capfd):
    with pytest.raises(SystemExit) as end:
        main(["predict", ".", "-o", "p.csv", "--threshold", threshold])
    assert end.value.code == 2 and "--threshold" in capfd.readouterr().err


def test_a_changed_probe_is_not_used(root, photographs, tmp_path, capfd):
    with open(pathlib.Path(find(root, "2", NAME, PROBE).directory) / "probe.json", "r+") as file:
        original = file.read()
        file.write(" ")
    try:
        assert main(["predict", str(photographs), "-o", str(tmp_path / "p.csv"), "--root", root]) == 2
    finally:
        pathlib.Path(file.name).write_text(original)
    assert "is not as it was registered" in (error := capfd.readouterr().err) and "flowers registry verify" in error


def test_the_champion_of_a_run_predicts_what_its_served_probe_says_at_another_temperature(finished_run):
    """Probabilities of the SavedModel, raised to 1 / temperature and divided by their sum."""
    root, (photograph,) = str(finished_run.root), list(finished_run.folder.glob("*/7.jpg"))
    (found,) = predict(str(photograph), root=root)
    probe = pathlib.Path(find(root, "champion", NAME, PROBE).directory)
    record = json.loads((probe / "probe.json").read_text())
    serving = tf.saved_model.load(str(probe)).signatures["encoded_images"]
    served = serving(image_bytes=tf.constant([photograph.read_bytes()]))["probabilities"].numpy()[0]
    powered = served ** (1 / record["calibration"]["candidate"]["temperature"])
    assert found.label == record["classes"][int(served.argmax())]
    assert found.probability == pytest.approx(float((powered / powered.sum()).max()), abs=1e-3)
    assert record["calibration"] == finished_run.record(1)["linear_eval"]["calibration"]
