"""Promises of a labels file: what it may look like, and that a mistake is named by row and column."""

import json
import os
import shutil

import pytest

from components.errors import DataRefused, SourceNotFound
from components.example_gen.folder import MISSING, open_folder
from components.example_gen.labels import Row, read_labels
from contracts.examples import UNLABELLED


@pytest.fixture
def table(tmp_path):
    """table(text) writes a CSV file and gives its path."""

    def write(text, name="labels.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


@pytest.mark.parametrize(("written", "split"), [("Training", "train"), ("validation_set", "eval"), ("DEV", "eval"), ("holdout", "eval")])
def test_splits_have_the_names_that_folders_may_have(table, written, split):
    assert read_labels(table(f"path,label,split\na.jpg,rose,{written}\n"))["a.jpg"].split == split


def test_paths_labels_and_splits_are_read_in_any_order_of_columns(table):
    found = read_labels(table("label,split,path\nrose,train,a/1.jpg\ndaisy,val,b.jpg\nrose,Test,c.jpg\n"))
    assert found == {
        "a/1.jpg": Row("a/1.jpg", "rose", "train"),
        "b.jpg": Row("b.jpg", "daisy", "eval"),
        "c.jpg": Row("c.jpg", "rose", "eval"),
    }


@pytest.mark.parametrize("text", [
    "path;label\na.jpg;rose\n", "\ufeffpath,label\r\na.jpg,rose\r\n", "PATH, Label\n./a.jpg , rose\n\n", 'path\tlabel\n"a.jpg"\trose',
])  # fmt: skip
def test_what_spreadsheets_write_is_read(table, text):
    assert read_labels(table(text)) == {"a.jpg": Row("a.jpg", "rose")}


def test_backslashes_separate_folders(table):
    assert list(read_labels(table("path,label\na\\b.jpg,rose\n"))) == ["a/b.jpg"]


def test_a_row_without_a_label_is_an_unlabelled_photograph(table):
    assert read_labels(table("path,label,split\na.jpg,,\nb.jpg,rose,train\n")) == {"b.jpg": Row("b.jpg", "rose", "train")}


@pytest.mark.parametrize(("text", "says"), [
    ("path,label,colour\na.jpg,rose,red\n", "row 1, column 'colour' is unknown; the columns are path, label and optionally split"),
    ("file,label\na.jpg,rose\n", "row 1, column 'file' is unknown"),
    ("path\na.jpg\n", "row 1, column 'label' is missing"),
    ("path,label,label\na.jpg,rose,rose\n", "row 1, column 'label' is there twice"),
    ("", "row 1, column 'path' is missing"),
    ("path,label\na.jpg,rose\n,rose\n", "row 3, column 'path' is empty; each row names a photograph"),
    ("path,label\na.jpg,rose\nb.jpg,lily\na.jpg,lily\n", "row 4, column 'path' 'a.jpg' was named in row 2 already"),
    ("path,label\na.jpg,rose\n./a.jpg,rose\n", "row 3, column 'path' 'a.jpg' was named in row 2 already"),
    ("path,label\na,b.jpg,rose\n", "row 2 has 3 columns, the first row has 2"),
    ("path,label,split\na.jpg,rose,held\n", "row 2, column 'split' must be train, eval (or val, test) or empty, got 'held'"),
    ("path,label,split\na.jpg,rose,train\nb.jpg,rose,\n", "row 3, column 'split' is empty, but other labelled rows have a split"),
    ('path,label\n"a.jpg,rose\n', "is not CSV"),
    ("path,label\n\x1b[2J.jpg,rose\n\x1b[2J.jpg,rose\n", "'\\\\x1b[2J.jpg' was named"),
])  # fmt: skip
def test_a_mistake_is_named_by_row_and_column(table, text, says):
    with pytest.raises(DataRefused) as caught:
        read_labels(table(text))
    assert says.replace("\\\\", "\\") in str(caught.value).replace("\\\\", "\\")
    assert str(caught.value).startswith("data.labels: ") and "\x1b" not in str(caught.value)


def test_text_in_another_encoding_is_refused_with_what_to_do(table):
    with pytest.raises(DataRefused, match="must be UTF-8 text, byte 17 is not; save it as UTF-8"):
        read_labels(table(b"path,label\na.jpg," + b"\xe9\n"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceNotFound, match="data.labels: .*none.csv cannot be read"):
        read_labels(str(tmp_path / "none.csv"))


# What a folder is with a labels file.


def by_path(folder):
    return {candidate.path: (candidate.class_name, candidate.split) for candidate in folder.candidates}


def test_the_labels_file_decides_and_what_it_does_not_name_is_unlabelled(flowers):
    (flowers / "labels.csv").write_text("its own file is no photograph")
    folder = open_folder(str(flowers), 0.15, {"rose/0.jpg": Row("rose/0.jpg", "red"), "daisy/1.jpg": Row("daisy/1.jpg", "white")})
    found = by_path(folder)
    assert folder.classes == ("red", "white") and not folder.given_splits
    assert found["rose/0.jpg"] == ("red", "") and found["daisy/1.jpg"] == ("white", "")
    assert found["rose/1.jpg"] == ("", UNLABELLED) and "labels.csv" not in found
    assert len(found) == sum(len(files) for _, _, files in os.walk(flowers)) - 1


def test_splits_of_the_labels_file_are_kept(flowers):
    rows = [Row("rose/0.jpg", "red", "train"), Row("rose/1.jpg", "red", "eval"), Row("daisy/0.jpg", "white", "train")]
    folder = open_folder(str(flowers), 0.15, {row.path: row for row in rows})
    assert folder.given_splits and folder.split_rule == "the column `split` of the labels file"
    assert by_path(folder)["rose/1.jpg"] == ("red", "eval")


def test_a_labelled_file_that_is_missing_is_listed_and_one_outside_is_not_opened(flowers):
    rows = {path: Row(path, "red") for path in ("rose/0.jpg", "rose/none.jpg", "../secret.jpg", "/etc/passwd")}
    shutil.copy(flowers / "rose" / "0.jpg", flowers.parent / "secret.jpg")
    folder = open_folder(str(flowers), 0.15, rows)
    reasons = {candidate.path: candidate.reason for candidate in folder.candidates if candidate.reason}
    assert reasons == {"rose/none.jpg": MISSING, "../secret.jpg": "link out of the folder", "/etc/passwd": "link out of the folder"}


def test_what_a_labels_file_names_is_read_even_if_its_name_is_that_of_junk_but_not_if_it_is_excluded(flowers):
    (flowers / "@eaDir").mkdir()
    shutil.copy(flowers / "rose" / "0.jpg", flowers / "@eaDir" / "a.jpg")
    (flowers / "rose" / "0.jpg.json").write_text("{}")
    rows = {path: Row(path, "red") for path in ("@eaDir/a.jpg", "rose/0.jpg", "daisy/0.jpg", "daisy/gone.jpg")}
    folder = open_folder(str(flowers), 0.15, rows, exclude=("daisy",))
    assert {path for path, (name, _) in by_path(folder).items() if name} == {"@eaDir/a.jpg", "rose/0.jpg"}
    assert not any(candidate.reason for candidate in folder.candidates)
    assert [part.split(" (")[0] for part in folder.unused] == [
        "excluded by data.exclude", "files about a photograph beside them", "hidden and system files and folders"]  # fmt: skip


def test_labelled_links_are_followed_out_of_the_folder_where_it_is_allowed(flowers, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a.jpg").symlink_to(flowers / "rose" / "0.jpg")
    (tmp_path / "linked" / ".b.jpg").symlink_to(flowers / "rose" / "1.jpg")  # hidden, so not listed
    rows = {path: Row(path, "red") for path in ("a.jpg", ".b.jpg")}
    reasons = {follow: {candidate.reason for candidate in open_folder(str(tmp_path / "linked"), 0.15, rows, (), follow).candidates}
               for follow in (False, True)}  # fmt: skip
    assert reasons == {False: {"link out of the folder"}, True: {""}}


def test_labels_that_differ_in_the_spelling_of_accents_are_one_class(table):
    found = read_labels(table("path,label\na.jpg,\u00e9t\u00e9\nb.jpg,e\u0301te\u0301\n"))
    assert {row.label for row in found.values()} == {"\u00e9t\u00e9"}


def test_names_match_however_their_accents_are_spelt(flowers):
    shutil.copy(flowers / "rose" / "0.jpg", flowers / "e\u0301te\u0301.jpg")  # as macOS spells them
    folder = open_folder(str(flowers), 0.15, {"\u00e9t\u00e9.jpg": Row("\u00e9t\u00e9.jpg", "red")})
    assert by_path(folder)["e\u0301te\u0301.jpg"] == ("red", "")
    assert not any(candidate.reason for candidate in folder.candidates)


def test_another_label_is_another_fingerprint_and_one_changed_photograph(flowers):
    one, other = (
        open_folder(str(flowers), 0.15, {"rose/0.jpg": Row("rose/0.jpg", label), "rose/1.jpg": Row("rose/1.jpg", "b")})
        for label in ("a", "c")
    )
    assert one.fingerprint() != other.fingerprint()
    before, now = one.photographs(), other.photographs()
    assert (before[:, 0] == now[:, 0]).all() and (before[:, 1] != now[:, 1]).sum() == 1


def test_what_people_chose_in_label_studio_is_a_label(table):
    def task(path, *chosen):
        result = [{"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [name]}} for name in chosen]
        return {"id": 1, "data": {"path": path}, "annotations": [{"result": result}]}

    assert read_labels(table(json.dumps([task("a.jpg", "rose"), task("b.jpg")]), "export.JSON")) == {"a.jpg": Row("a.jpg", "rose")}
    with pytest.raises(DataRefused, match="row 2, column 'path' 'a.jpg' was named in row 1 already"):
        read_labels(table(json.dumps([task("a.jpg", "rose"), task("a.jpg", "lily")]), "export.json"))
