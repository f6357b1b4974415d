"""`flowers export`: each format computes what the version computes, in its own runtime, or nothing appears."""

import dataclasses
import json
import os
import pathlib
import sys

import numpy as np
import pytest

from cli.export import FORMATS as OFFERED
from cli.export import INT8
from cli.main import main
from inference import export_formats, predict
from inference.export import EQUAL, ExportDiffers, ExportRefused, difference_of, export
from inference.export_formats import FORMATS

module = sys.modules["inference.export"]
CLASSES = ["=daisy", "rose", "tulip"]
SLOW = ("saved_model", "litert")  # whose writers take seconds
EACH = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FORMATS]


def require_packages(name):
    for package in FORMATS[name].packages:
        pytest.importorskip(package, reason=f"the format {name} needs {package}, which is not installed here")


@pytest.fixture
def path(tmp_path):
    return lambda name: str(tmp_path / f"champion{FORMATS[name].ending}")


@pytest.mark.parametrize("name", EACH)
def test_each_format_gives_the_probabilities_of_predict_in_its_own_runtime(name, root, photographs, path, encoded):
    require_packages(name)
    done = export(name, path(name), root=root, probe=True, photographs=str(photographs), on_unreadable=lambda one: None)
    assert done.difference <= EQUAL and done.photographs == 14 and done.version == "2"
    about = json.loads(pathlib.Path(f"{path(name)}.json").read_text())
    assert about["classes"] == CLASSES and about["temperature"] == 0.5 and about["threshold"] == 0.8
    # Read anew, and compared with another way to the same numbers.
    (one,) = predict(str(photographs / "0.jpg"), root=root)
    shown = export_formats.Photograph((photographs / "0.jpg").read_bytes(), views(root, photographs / "0.jpg"))
    (found,) = FORMATS[name].run(path(name))([shown])
    assert found.shape == (3,) and found.sum() == pytest.approx(1, abs=1e-5)
    assert CLASSES[found.argmax()] == one.label and found.max() == pytest.approx(one.probability, abs=EQUAL)
    written = os.path.basename(path(name))
    assert sorted(os.listdir(os.path.dirname(path(name)))) == [written, f"{written}.json"]


def views(root, file):
    from components.example_gen import photograph
    from inference.embed import Backbone
    from inference.registered import find

    backbone = Backbone(find(root, "2", "flowers-backbone"))
    return backbone.view(photograph.prepare(file.read_bytes(), backbone.max_side, 1_000_000))


@pytest.mark.slow
def test_without_a_probe_it_is_the_vector_and_without_photographs_they_are_drawn(root, path):
    done = export("keras", path("keras"), root=root)
    assert done.difference <= EQUAL and done.photographs == 100
    about = json.loads(pathlib.Path(f"{path('keras')}.json").read_text())
    assert about["output"] == {"name": "embedding", "shape": ["batch", 16]} and about["classes"] is None


def test_what_computes_something_else_does_not_appear(root, photographs, path, monkeypatch):
    keras_format = FORMATS["keras"]

    def slightly_wrong(file):
        run = keras_format.run(file)
        return lambda shown: run(shown) + np.float32(3 * EQUAL)

    monkeypatch.setitem(FORMATS, "keras", dataclasses.replace(keras_format, run=slightly_wrong))
    monkeypatch.setattr(module, "log_unreadable", lambda one: None)
    with pytest.raises(ExportDiffers, match="keras: a number differs by 0.0003 .* on 14 photographs; at most 0.0001 is allowed"):
        export("keras", path("keras"), root=root, photographs=str(photographs), on_unreadable=lambda one: None)
    assert os.listdir(os.path.dirname(path("keras"))) == []


def test_differences_are_shares_of_numbers_above_1_and_nan_never_passes():
    assert difference_of(np.array([0.5, 1000.05]), np.array([0.4999, 1000.0])) == pytest.approx(1e-4)
    assert difference_of(np.array([np.nan]), np.array([0.0])) == np.inf


@pytest.mark.parametrize(("arguments", "says"), [
    (["keras", "-o", "x.h5"], "the name of a file in the format keras must end in .keras, got 'x.h5'"),
    (["saved_model", "-o", "there"], "there is there already, and saved_model is a folder: name a new one"),
    (["keras", "-o", "folder.keras"], "folder.keras is a folder; keras is a file, such as folder.keras/champion.keras"),
    (["keras", "-o", "no/x.keras"], "to write 'x.keras' into; make it first"),
    (["keras", "-o", "x.keras", "--quantize", "int8"], "--quantize int8 is for litert alone, got keras"),
    (["litert", "-o", "x.tflite", "--quantize", "int8"], "--quantize needs --photographs SOURCE"),
    (["keras", "-o", "x.keras", "--photographs", "nowhere"], "there is no folder or file 'nowhere'"),
    (["keras", "-o", "x.keras", "--version", "9"], "no version or alias '9'"),
])  # fmt: skip
def test_what_cannot_be_exported_is_refused_before_anything_is_written(arguments, says, root, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "folder.keras").mkdir()
    assert main(["export", *arguments, "--root", root]) == 2
    assert says in capfd.readouterr().err
    assert sorted(os.listdir()) == ["folder.keras", "there"]


def test_missing_packages_are_named_with_what_to_do(monkeypatch, path):
    monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(FORMATS["onnx"], packages=("onnx", "no_such_package")))
    with pytest.raises(ExportRefused, match="onnx needs the packages .*no_such_package, which are not installed"):
        module.check("onnx", path("onnx"))


def test_the_command_line_offers_the_formats_that_there_are(root, photographs, path, capfd):
    assert OFFERED == tuple(FORMATS) and INT8 == module.INT8
    assert main(["export", "keras", "-o", path("keras"), "--photographs", str(photographs), "--root", root]) == 0
    said = capfd.readouterr()
    assert "Version 2 for Keras, " in said.out and "Proven on 14 photographs: the largest difference is " in said.out
    assert "left out: notes.jpg: not an image" in said.err


@pytest.mark.slow
def test_8_bit_numbers_say_what_they_cost(root, small_folder, path, tmp_path, capfd):
    for index, one in enumerate(sorted(small_folder.rglob("*.jpg"))):
        target = tmp_path / "labelled" / CLASSES[1 + index % 2] / one.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(one.read_bytes())
    arguments = ["--quantize", "int8", "--photographs", str(tmp_path / "labelled"), "--root", root]
    assert main(["export", "litert", "-o", path("litert"), *arguments]) == 0
    said = capfd.readouterr().out
    assert "Of 30 other photographs " in said and "Accuracy on the 30 whose class is known: " in said
    about = json.loads(pathlib.Path(f"{path('litert')}.json").read_text())
    cost = about["cost"]
    assert about["quantize"] == "int8" and cost["photographs"] == cost["labelled"] == 30 and cost["same_class"] > 0.5
    assert -1 <= cost["low"] <= cost["accuracy"] <= cost["high"] <= 1
