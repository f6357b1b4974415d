"""`flowers select` on a small registry: what it chooses, writes, copies and refuses."""

import csv
import dataclasses
import hashlib
import html.parser
import json
import os
import pathlib
import re
import types
from urllib.parse import quote

import numpy as np
import pytest

from cli.main import main
from components.example_gen import label_studio
from inference import selection_files
from inference.select import Known, SelectionRefused, choose, select
from registry.backend import RegistryError

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "label_studio_1.23.2.json"


@pytest.fixture(scope="module")
def source(tmp_path_factory, encoded):
    """Four labelled photographs of two classes, ten without a label, of which one is a copy of a labelled one and two are alike."""
    folder = tmp_path_factory.mktemp("source") / "photographs"
    seeds = {"daisy/1.jpg": 1, "daisy/2.jpg": 2, "<b>rose/3.jpg": 3, "<b>rose/4.jpg": 4}
    seeds |= {f"unlabelled/more/{seed}.jpg": seed for seed in range(5, 12)} | {"unlabelled/copy.jpg": 1}
    for path, seed in seeds.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(encoded(seed))
    (folder / "unlabelled" / "twin.png").write_bytes(encoded(5, "PNG"))
    (folder / "unlabelled" / "notes.jpg").write_text("no photograph")
    (folder / "unlabelled" / "=cmd.jpg").write_bytes(encoded(13))
    return folder


@pytest.fixture(scope="module")
def selection(root, source):
    """Everything that can be chosen from the source."""
    return select(str(source), 50, root=root)


def run(root, source, *arguments):
    return main(["select", str(source), "--root", root, *map(str, arguments)])


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_has_a_label_is_never_chosen_and_pictures_are_chosen_once(selection, source):
    paths = [one.path for one in selection.photographs]
    assert all(path.startswith("unlabelled/") for path in paths) and "unlabelled/copy.jpg" not in paths
    # Seven, one of which has a twin, and the one with a name like a formula.
    assert len(paths) == len(set(paths)) == 8
    assert (selection.labelled, selection.unlabelled, selection.classes) == (4, 9, ("<b>rose", "daisy"))
    assert selection.unreadable == {"not an image": 1}
    for one in selection.photographs:
        assert one.content_hash == hashlib.sha256((source / one.path).read_bytes()).hexdigest() and one.source == str(source)
        assert one.guess in ("daisy", "<b>rose") and 0.5 <= one.probability <= 1 and 0 <= one.score <= 1
        assert re.search(r"(like no other photograph|typical of \d+ similar photographs, .*)", one.reason)
        assert one.guess in one.reason and "to the nearest labelled one" in one.reason


def test_one_command_writes_tells_shows_and_copies(root, source, selection, tmp_path, capfd):
    target, page = tmp_path / "labelled", tmp_path / "next.html"
    assert run(root, source, "--count", 8, "-o", tmp_path / "next.csv", "--page", page, "--copy-to", target) == 0
    out, err = capfd.readouterr()
    assert "8 of 9 photographs without a label, by version 2; 4 have one" in out
    assert "1 left out (1 not an image)" in out and "notes.jpg" in err and "8 copied to" in out
    assert [(row["path"], row["content_hash"], row["guess"]) for row in read(tmp_path / "next.csv")] == [
        (one.path, one.content_hash, one.guess) for one in selection.photographs]  # fmt: skip
    assert len(os.listdir(target / "unlabelled")) == 8 and page.exists()


def test_the_same_photographs_give_the_same_choice_in_any_order(source):
    random = np.random.default_rng(0)
    known = [Known(f"{row}.jpg", f"{row:064x}", ("a", "b")[row % 2] if row < 12 else "", "", random.bytes(768)) for row in range(60)]
    vectors = random.random((60, 8), np.float32)
    order = random.permutation(60)
    found = choose(known, vectors, 10, 0)
    assert len(found) == 10 and found == choose([known[row] for row in order], vectors[order], 10, 0)


def test_without_labels_nothing_is_guessed_and_the_reason_says_why():
    random = np.random.default_rng(0)
    known = [Known(f"{row}.jpg", f"{row:064x}", "", "", random.bytes(768)) for row in range(40)]
    vectors = np.concatenate([random.normal(0, 0.1, (30, 4)) + 1, random.normal(0, 0.1, (10, 4)) * [1, 1, 1, -1] - 1]).astype(np.float32)
    found = choose(known, vectors, 2, 0)
    assert [one.reason for one in found] == ["typical of 30 similar photographs, none of them labelled",
                                             "typical of 10 similar photographs, none of them labelled"]  # fmt: skip
    assert [(one.score, one.guess, one.probability) for one in found] == [(0.75, "", None), (0.25, "", None)]


def test_where_labels_are_too_few_the_champion_s_own_probe_guesses_and_changes_no_choice():
    random = np.random.default_rng(0)
    known = [Known(f"{row}.jpg", f"{row:064x}", "", "", random.bytes(768)) for row in range(30)]
    vectors = random.random((30, 4), np.float32)
    champion = types.SimpleNamespace(classes=("a", "b", "c"), probabilities=lambda rows: np.tile([0.1, 0.1, 0.8], (len(rows), 1)))
    alone, guessed = choose(known, vectors, 3, 0), choose(known, vectors, 3, 0, lambda: champion)
    assert [one.path for one in guessed] == [one.path for one in alone]
    assert [(one.guess, one.probability) for one in guessed] == [("c", pytest.approx(0.8))] * 3
    assert guessed[0].reason == f"probably c (80 %); {alone[0].reason}"

    def early():
        raise RegistryError("its probe has no calibration")

    assert choose(known, vectors, 3, 0, early) == alone


def test_no_guess_is_fitted_on_what_the_source_holds_out():
    """All that is known of the second class is held out."""
    random = np.random.default_rng(0)
    known = [Known(f"{row}.jpg", f"{row:064x}", ("a", "b", "")[row // 10], ("train", "eval", "")[row // 10], random.bytes(768))
             for row in range(30)]  # fmt: skip
    assert choose(known, random.random((30, 4), np.float32), 1, 0)[0].guess == ""
    divided = [one._replace(split="train") for one in known]
    assert choose(divided, random.random((30, 4), np.float32), 1, 0)[0].guess in ("a", "b")


def test_in_csv_no_name_is_a_formula(selection, tmp_path):
    odd = dataclasses.replace(selection.photographs[0], path="=cmd.jpg", guess="@x", probability=0.1234567)
    selection_files.write(dataclasses.replace(selection, photographs=(odd,)), str(tmp_path / "next.csv"))
    (row,) = read(tmp_path / "next.csv")
    assert list(row) == ["path", "content_hash", "reason", "score", "guess", "probability"]
    assert (row["path"], row["guess"], row["probability"]) == ("'=cmd.jpg", "'@x", "0.123457")


def test_label_studio_gets_tasks_with_a_guess_and_an_interface_with_every_class(selection, tmp_path):
    interface = selection_files.write(selection, str(tmp_path / "next.json"))
    tasks = json.loads((tmp_path / "next.json").read_text())
    for task, one in zip(tasks, selection.photographs, strict=True):
        (guess,) = task["predictions"]
        assert guess["model_version"] == "flowers-backbone 2" and guess["score"] == pytest.approx(one.probability, abs=1e-6)
        assert task["data"] == {"image": f"/data/local-files/?d=photographs/{quote(one.path)}", "path": one.path,
                                "content_hash": one.content_hash, "reason": one.reason, "score": round(one.score, 6)}  # fmt: skip
    assert interface == str(tmp_path / "next.xml")
    assert (tmp_path / "next.xml").read_text() == label_studio.labelling_interface(["<b>rose", "daisy"])


def test_copies_make_a_source_and_nothing_is_ever_overwritten(root, source, selection, tmp_path):
    target = tmp_path / "labelled"
    assert selection_files.copy(selection, str(target), root) == (8, 0)
    assert sorted(os.listdir(target)) == ["<b>rose", "daisy", "unlabelled"]
    copies = {copy.name: copy.read_bytes() for copy in (target / "unlabelled").iterdir()}
    assert set(copies.values()) == {(source / one.path).read_bytes() for one in selection.photographs}
    assert all(re.fullmatch(r"[\w-]+-[0-9a-f]{8}\.(jpg|png)", name) for name in copies)
    # One is labelled, another was changed by hand: neither comes back.
    one, other = sorted(copies)[:2]
    os.rename(target / "unlabelled" / one, target / "daisy" / one)
    (target / "unlabelled" / other).write_bytes(b"changed")
    assert selection_files.copy(selection, str(target), root) == (0, 8)
    assert sorted(os.listdir(target / "unlabelled")) == sorted(set(copies) - {one})
    assert (target / "unlabelled" / other).read_bytes() == b"changed"


def test_no_copy_leaves_the_folder_through_a_link_or_a_name(root, selection, tmp_path):
    target, elsewhere = tmp_path / "labelled", tmp_path / "elsewhere"
    target.mkdir()
    elsewhere.mkdir()
    (target / "unlabelled").symlink_to(elsewhere)
    with pytest.raises(OSError, match="unlabelled"):
        selection_files.copy(selection, str(target), root)
    assert os.listdir(elsewhere) == []
    named = dataclasses.replace(selection, classes=("../elsewhere/rose", "..", ".hidden", "a/b", "rose"))
    selection_files.copy(named, str(tmp_path / "other"), root)
    assert sorted(os.listdir(tmp_path / "other")) == ["rose", "unlabelled"] and os.listdir(elsewhere) == []


def test_a_photograph_that_changed_since_is_not_copied(root, selection, tmp_path):
    changed = dataclasses.replace(selection.photographs[0], content_hash="0" * 64)
    gone = dataclasses.replace(selection.photographs[1], path="unlabelled/none.jpg")
    photographs = (changed, gone, selection.photographs[2])
    assert selection_files.copy(dataclasses.replace(selection, photographs=photographs), str(tmp_path), root) == (1, 2)


def test_the_page_shows_every_choice_and_no_name_is_markup(root, selection, tmp_path):
    page = tmp_path / "next.html"
    selection_files.write_page(selection, str(page), root)
    text, tags = page.read_text(), []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    parser.feed(text)
    shown = [attributes["src"] for tag, attributes in tags if tag == "img"]
    assert len(shown) == 8 and all(uri.startswith("data:image/jpeg;base64,") for uri in shown)
    assert "b" not in [tag for tag, _ in tags] and "script" not in [tag for tag, _ in tags]
    assert ">8.</span>" in text and text.count("to the nearest labelled one") == 8


def test_a_backbone_of_a_run_is_taken_where_none_is_registered(finished_run, source, tmp_path, capfd):
    root = str(finished_run.root)
    assert run(root, source, "--count", 1, "-o", tmp_path / "next.csv", "--run", "latest") == 0
    assert f"by the backbone of run {finished_run.run_ids[1]}" in capfd.readouterr().out
    assert run(root, source, "--count", 1, "-o", tmp_path / "next.csv", "--run", "../latest") == 2
    assert "there is no recorded run '../latest'" in capfd.readouterr().err


def test_without_a_champion_the_error_says_what_to_do(source, tmp_path, capfd):
    assert run(str(tmp_path / "DIR"), source, "--count", 1, "-o", tmp_path / "next.csv") == 2
    assert "there is no registry at" in (error := capfd.readouterr().err)
    assert "`flowers run` registers a first version" in error and "--run latest" in error
    (tmp_path / "DIR" / "registry").mkdir(parents=True)  # as a run leaves it that was not registered
    assert run(str(tmp_path / "DIR"), source, "--count", 1, "-o", tmp_path / "next.csv") == 2
    assert "no version or alias 'champion'" in (error := capfd.readouterr().err)
    assert "`flowers run` registers a backbone" in error and "--run latest" in error


@pytest.mark.parametrize("arguments, message", [
    (("--count", 0, "-o", "next.csv"), "the number of photographs must be at least 1, got 0"),
    (("--count", 1, "-o", "next.txt"), "must end in .csv, or in .json for Label Studio, got 'next.txt'"),
    (("--count", 1, "-o", "none/next.csv"), "to write 'next.csv' into; make it first"),
    (("--count", 1, "-o", "next.csv", "--page", "none/next.html"), "to write 'next.html' into; make it first"),
    (("--count", 1, "-o", "next.csv", "--copy-to", "file"), "--copy-to must be a folder, or a new name, got the file 'file'"),
])  # fmt: skip
def test_mistakes_end_with_exit_status_2_and_say_what_would_do(root, source, tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert run(root, source, *arguments) == 2
    assert message in capfd.readouterr().err and os.listdir(tmp_path) == ["file"]


def test_label_studio_needs_files(root, tmp_path, capfd):
    assert main(["select", "synthetic", "--root", root, "--count", "1", "-o", str(tmp_path / "next.json")]) == 2
    assert "Label Studio shows files, and 'synthetic' is no folder of files; write a CSV file instead" in capfd.readouterr().err


def test_a_source_with_nothing_left_to_label_is_refused(root, source, tmp_path, encoded):
    for path, seed in (("a/1.jpg", 1), ("b/2.jpg", 2), ("unlabelled/1.jpg", 1)):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(encoded(seed))
    with pytest.raises(SelectionRefused, match="every photograph of .* has a label, or shows the same picture as one that has"):
        select(str(tmp_path), 1, root=root)


def fill(folder, paths, encoded):
    for seed, path in enumerate(paths, start=20):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(encoded(seed))
    return str(folder)


def test_the_labels_of_a_labels_file_are_labels(root, tmp_path, encoded):
    paths = ("unlabelled/1.jpg", "unlabelled/more/2 of 3.jpg", "unlabelled/blüte.jpg", "unlabelled/4.jpg", "unlabelled/5.jpg")
    found = select(fill(tmp_path / "photographs", paths, encoded), 5, labels=str(GOLDEN), root=root)
    assert {one.path for one in found.photographs} == {"unlabelled/4.jpg", "unlabelled/5.jpg"}
    assert (found.labelled, found.unlabelled, found.classes) == (3, 2, ("daisy", "rose"))


def test_photographs_of_a_second_source_are_read_from_there_even_under_the_same_path(root, tmp_path, encoded):
    labelled = fill(tmp_path / "labelled", ("a/1.jpg", "b/2.jpg", "unlabelled/x.jpg"), encoded)
    other = tmp_path / "photographs"
    for seed, path in ((20, "1.jpg"), (30, "unlabelled/x.jpg"), (31, "3.jpg")):  # the first is a copy of a labelled one
        (other / path).parent.mkdir(parents=True, exist_ok=True)
        (other / path).write_bytes(encoded(seed))
    found = select(labelled, 9, unlabelled=str(other), root=root)
    assert {(one.source, one.path) for one in found.photographs} == {
        (labelled, "unlabelled/x.jpg"), (str(other), "unlabelled/x.jpg"), (str(other), "3.jpg")}  # fmt: skip
    assert selection_files.copy(found, str(tmp_path / "copies"), root) == (3, 0)
    assert {copy.read_bytes() for copy in (tmp_path / "copies" / "unlabelled").iterdir()} == {
        encoded(22),
        encoded(30),
        encoded(31),
    }
