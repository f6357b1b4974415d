"""The loop with the real Label Studio: our tasks are imported and shown, labels are given and exported, and a choice knows them."""

import json
import pathlib

import label_studio_server
import pytest
from label_studio_server import Unavailable

from cli.main import main
from components.example_gen.label_studio import read_labels


@pytest.mark.slow
def test_what_is_labelled_in_label_studio_comes_back_and_is_not_chosen_again(root, encoded, tmp_path, capfd):
    try:
        executable = label_studio_server.installed(tmp_path)
    except Unavailable as reason:
        pytest.skip(f"label-studio {label_studio_server.VERSION} cannot be installed here: {reason}")
    photographs = tmp_path / "photographs"
    for path, seed in {"daisy/1.jpg": 1, "daisy/2.jpg": 2, "rose/3.jpg": 3, "rose/4.jpg": 4, "unlabelled/a b.jpg": 5,
                       "unlabelled/blüte.jpg": 6, "unlabelled/100%.jpg": 7, "unlabelled/deep/8.jpg": 8}.items():  # fmt: skip
        (photographs / path).parent.mkdir(parents=True, exist_ok=True)
        (photographs / path).write_bytes(encoded(seed))
    select = ["select", str(photographs), "--root", root, "--count", "4", "-o"]
    assert main([*select, str(tmp_path / "next.json")]) == 0
    ours = json.loads((tmp_path / "next.json").read_text())
    with label_studio_server.running(executable, tmp_path / "data", tmp_path) as studio:
        project = studio.project((tmp_path / "next.xml").read_text(), ours, photographs)
        theirs = studio.tasks(project)
        assert [task["data"] for task in theirs] == [task["data"] for task in ours]
        for task, sent in zip(theirs, ours, strict=True):
            # It shows the photograph and the guess.
            assert studio.call(task["data"]["image"]) == (photographs / task["data"]["path"]).read_bytes()
            guess, expected = task["predictions"][0], sent["predictions"][0]
            assert [guess[key] for key in ("model_version", "result", "score")] == [
                expected[key] for key in ("model_version", "result", "score")]  # fmt: skip
        said = {theirs[0]["id"]: "rose", theirs[1]["id"]: "daisy", theirs[2]["id"]: None}
        for task, label in said.items():
            studio.annotate(task, label)
        (tmp_path / "labels.json").write_bytes(studio.export(project))
    labels = read_labels(str(tmp_path / "labels.json"))
    assert labels == [(ours[0]["data"]["path"], "rose"), (ours[1]["data"]["path"], "daisy")]
    capfd.readouterr()
    assert main([*select, str(tmp_path / "again.csv"), "--labels", str(tmp_path / "labels.json")]) == 0
    assert not any(pathlib.Path(path).name in (tmp_path / "again.csv").read_text() for path, _ in labels)
