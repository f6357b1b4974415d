"""Promises of a folder as a source: layouts, what is never opened, and what the fingerprint follows."""

import os
import shutil
import time

import pytest

from components.errors import DataRefused, SourceNotFound
from components.example_gen.folder import files_in_two_classes, open_folder, unlabelled_folder
from components.example_gen.listing import candidate_at, list_any, read
from contracts.examples import UNLABELLED


def opened(root):
    return open_folder(str(root), 0.15)


def reasons(folder):
    return {candidate.path: candidate.reason for candidate in folder.candidates if candidate.reason}


def test_class_folders_give_classes_and_candidates(flowers):
    (flowers / "README.txt").write_text("not an image, and in no class")
    (flowers / "daisy" / ".DS_Store").write_bytes(b"x")
    (flowers / ".git").mkdir()
    (flowers / "rose" / "2019" / "may").mkdir(parents=True)
    shutil.copy(flowers / "rose" / "0.jpg", flowers / "rose" / "2019" / "may" / "deep.jpg")
    folder = opened(flowers)
    assert folder.classes == ("daisy", "rose")
    assert not folder.given_splits
    assert folder.split_rule == "15 % of each class held out, more where photographs are few, divided by content"
    paths = [candidate.path for candidate in folder.candidates]
    assert len(paths) == 21
    assert "rose/2019/may/deep.jpg" in paths
    assert {candidate.class_name for candidate in folder.candidates if "rose" in candidate.path} == {"rose"}


@pytest.mark.parametrize(
    ("names", "held_out", "unused"),
    [
        (["train", "eval", "val", "test"], "eval", ("test/", "val/")),
        (["train", "val", "test"], "val", ("test/",)),
        (["train", "test"], "test", ()),
        (["train", "test", "notes"], "test", ("notes/",)),
    ],
)
def test_of_eval_val_and_test_the_first_is_the_eval_split(flowers, tmp_path, names, held_out, unused):
    root = tmp_path / "split"
    for name in names:
        shutil.copytree(flowers, root / name)
    folder = opened(root)
    assert folder.given_splits
    assert folder.classes == ("daisy", "rose")
    assert folder.split_rule == f"train/ and {held_out}/ of the folder"
    assert folder.unused == unused
    assert {c.path.split("/")[0]: c.split for c in folder.candidates} == {"train": "train", held_out: "eval"}


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("Train", "Test"),
        ("training", "testing"),
        ("train", "valid"),
        ("TRAIN_SET", "Validation-Set"),
        ("train", "dev"),
        ("train", "hold-out"),
    ],
)
def test_splits_are_found_under_their_usual_names(flowers, tmp_path, train, held_out):
    for name in (train, held_out):
        shutil.copytree(flowers, tmp_path / "split" / name)
    folder = opened(tmp_path / "split")
    assert folder.classes == ("daisy", "rose") and folder.given_splits and folder.unused == ()
    assert folder.split_rule == f"{train}/ and {held_out}/ of the folder"
    assert {candidate.path.split("/")[0]: candidate.split for candidate in folder.candidates} == {train: "train", held_out: "eval"}


@pytest.mark.parametrize("layout", [("valid", "testing"), ("Train", "Test"), ("seg_train", "seg_test"), ("test",)])
def test_splits_without_class_folders_are_not_taken_for_classes(tmp_path, photograph_bytes, layout):
    for name in layout:
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "a.jpg").write_bytes(photograph_bytes(1))
    with pytest.raises(DataRefused, match="are names of splits, not of classes; expected train/CLASS") as error:
        opened(tmp_path / "data")
    assert all(f"{name}/" in str(error.value) for name in layout) and "--labels" in str(error.value)


def test_two_folders_that_could_both_be_train_are_refused(flowers, tmp_path):
    for name in ("train", "training_set", "val"):
        shutil.copytree(flowers, tmp_path / "data" / name)
    with pytest.raises(DataRefused, match="train/ and training_set/ .* keep one"):
        opened(tmp_path / "data")


def test_a_held_out_folder_without_class_folders_holds_nothing_out(flowers, tmp_path, photograph_bytes):
    shutil.copytree(flowers, tmp_path / "data" / "train")
    (tmp_path / "data" / "test").mkdir()
    (tmp_path / "data" / "test" / "1.jpg").write_bytes(photograph_bytes(1))
    folder = opened(tmp_path / "data")
    assert folder.classes == ("daisy", "rose") and not folder.given_splits and folder.unused == ("test/",)
    assert {candidate.split for candidate in folder.candidates} == {""}


def test_a_class_may_be_called_train(tmp_path, photograph_bytes):
    for name in ("train", "bus"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(photograph_bytes(1))
    assert opened(tmp_path).classes == ("bus", "train")


def test_a_train_folder_alone_is_divided_like_any_other(flowers, tmp_path):
    shutil.copytree(flowers, tmp_path / "alone" / "train")
    folder = opened(tmp_path / "alone")
    assert folder.classes == ("daisy", "rose")
    assert not folder.given_splits
    assert {candidate.split for candidate in folder.candidates} == {""}


@pytest.mark.parametrize("name", ["unlabelled", "unlabeled", "Unlabelled"])
@pytest.mark.parametrize("divided", [False, True])
def test_what_has_no_class_folder_is_unlabelled(flowers, tmp_path, name, divided):
    root = flowers
    if divided:
        root = tmp_path / "divided"
        for split in ("train", "val"):
            shutil.copytree(flowers, root / split)
    (root / name / "2019").mkdir(parents=True)
    shutil.copy(flowers / "rose" / "0.jpg", root / name / "2019" / "a.jpg")
    (root / name / "notes.jpg").write_text("quarantined: everything in such a folder is taken for a photograph")
    shutil.copy(flowers / "rose" / "1.jpg", root / "loose.JPEG")
    (root / "LICENSE.txt").write_text("no photograph")
    folder = opened(root)
    assert folder.classes == ("daisy", "rose") and folder.given_splits is divided
    unlabelled = {candidate.path for candidate in folder.candidates if candidate.split == UNLABELLED}
    assert unlabelled == {f"{name}/2019/a.jpg", f"{name}/notes.jpg", "loose.JPEG"}
    assert {candidate.class_name for candidate in folder.candidates if candidate.split == UNLABELLED} == {""}
    assert folder.unused == ("texts and tables (1): LICENSE.txt",)


@pytest.mark.parametrize("held_out", ["", "test"])
def test_what_has_no_class_folder_inside_a_split_is_unlabelled_too(flowers, tmp_path, held_out):
    root = tmp_path / "divided"
    for split in ("train", held_out) if held_out else ("train",):
        shutil.copytree(flowers, root / split)
    (root / "train" / "Unlabelled").mkdir()
    shutil.copy(flowers / "rose" / "0.jpg", root / "train" / "Unlabelled" / "a.jpg")
    shutil.copy(flowers / "rose" / "1.jpg", root / "train" / "loose.png")
    (root / "train" / "list.csv").write_text("no photograph")
    folder = opened(root)
    assert folder.classes == ("daisy", "rose") and folder.given_splits is bool(held_out)
    unlabelled = {candidate.path for candidate in folder.candidates if candidate.split == UNLABELLED}
    assert unlabelled == {"train/Unlabelled/a.jpg", "train/loose.png"}
    assert folder.unused == ("texts and tables (1): train/list.csv",)


def test_a_folder_without_any_label_has_no_classes(flowers, tmp_path):
    (tmp_path / "flat").mkdir()
    shutil.copytree(flowers, tmp_path / "flat" / "unlabelled")
    shutil.copy(flowers / "rose" / "1.jpg", tmp_path / "flat" / "1.jpg")
    folder = opened(tmp_path / "flat")
    assert folder.classes == () and len(folder.candidates) == 21
    assert {candidate.split for candidate in folder.candidates} == {UNLABELLED}


def test_a_second_source_is_unlabelled_at_any_depth_and_whatever_its_folders_say(flowers, tmp_path):
    folder = unlabelled_folder(str(flowers))
    assert {(candidate.class_name, candidate.split) for candidate in folder.candidates} == {("", UNLABELLED)}
    assert len(folder.candidates) == 20 and folder.classes == ()
    (tmp_path / "none").mkdir()
    with pytest.raises(SourceNotFound, match="data.unlabelled: there is no file"):
        unlabelled_folder(str(tmp_path / "none"))


def test_a_missing_or_empty_folder_and_a_file_are_clear_errors(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.zip").write_bytes(b"x")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_bytes(b"x")
    messages = {"none": "there is no", "file.zip": "there is no", "empty": "has no photographs", "texts": "has no photographs"}
    for name, message in messages.items():
        with pytest.raises(SourceNotFound, match=message) as error:
            opened(tmp_path / name)
        assert name in str(error.value)


def test_links_are_followed_inside_the_folder_only_and_special_files_are_never_opened(flowers, tmp_path, photograph_bytes):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").write_bytes(photograph_bytes(77))
    (tmp_path / "flowers-too").mkdir()  # begins like the folder's own name, and is not inside
    (tmp_path / "flowers-too" / "a.jpg").write_bytes(photograph_bytes(78))
    daisy = flowers / "daisy"
    (daisy / "inside.jpg").symlink_to(flowers / "rose" / "0.jpg")
    (daisy / "relative.jpg").symlink_to("../rose/1.jpg")
    (daisy / "out.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    (daisy / "out2.jpg").symlink_to("../../flowers-too/a.jpg")
    (daisy / "through.jpg").symlink_to(daisy / "out.jpg")
    (daisy / "broken.jpg").symlink_to(flowers / "gone.jpg")
    (daisy / "loop").symlink_to(flowers)
    (flowers / "tulip").symlink_to(tmp_path / "outside")
    os.mkfifo(daisy / "pipe.jpg")
    folder = opened(flowers)
    assert reasons(folder) == {
        "daisy/out.jpg": "link out of the folder",
        "daisy/out2.jpg": "link out of the folder",
        "daisy/through.jpg": "link out of the folder",
        "daisy/broken.jpg": "unreadable",
        "daisy/loop": "link to a folder",
        "daisy/pipe.jpg": "not a regular file",
        "tulip": "link out of the folder",
    }
    bytes_of = {candidate.path: read(candidate, 10_000).data for candidate in folder.candidates}
    assert bytes_of["daisy/inside.jpg"] == (flowers / "rose" / "0.jpg").read_bytes()
    assert bytes_of["daisy/relative.jpg"] == (flowers / "rose" / "1.jpg").read_bytes()
    assert bytes_of["daisy/out.jpg"] == b""
    assert folder.classes == ("daisy", "rose", "tulip")


JUNK = ("rose/Thumbs.db", "daisy/desktop.ini", "__MACOSX/rose/._1.jpg", "rose/@eaDir/0.jpg/SYNOPHOTO_THUMB_M.jpg", "$RECYCLE.BIN/a.jpg",
        "lost+found/b.jpg", "rose/.DS_Store")  # fmt: skip


def add_junk(flowers):
    for path in JUNK:
        (flowers / path).parent.mkdir(parents=True, exist_ok=True)
        (flowers / path).write_bytes(b"junk")
    for index in range(10):
        (flowers / "rose" / f"{index}.jpg.json").write_text("{}")
        (flowers / "daisy" / f"{index}.xmp").write_text("<x/>")
    (flowers / "tulip" / "2019").mkdir(parents=True)


def test_junk_is_passed_over_and_counted_as_such(flowers):
    before = opened(flowers)
    add_junk(flowers)
    folder = opened(flowers)
    assert folder.classes == before.classes and folder.candidates == before.candidates and not before.unused
    assert folder.fingerprint() == before.fingerprint()
    assert folder.unused == (
        "files about a photograph beside them (20): daisy/0.xmp, daisy/1.xmp, daisy/2.xmp and 17 more",
        "folders without photographs (1): tulip/",
        "hidden and system files and folders (7): $RECYCLE.BIN/, __MACOSX/, daisy/desktop.ini and 4 more",
    )


def test_junk_is_passed_over_in_a_folder_of_any_layout_too(flowers):
    listed = [candidate.path for candidate in list_any(str(flowers))]
    add_junk(flowers)
    assert [candidate.path for candidate in list_any(str(flowers))] == listed
    assert {candidate.path for candidate in unlabelled_folder(str(flowers)).candidates} == set(listed)
    assert "(20)" in unlabelled_folder(str(flowers)).unused[0]
    assert [candidate.path for candidate in list_any(str(flowers / "rose" / "Thumbs.db"))] == ["Thumbs.db"]  # asked for by name


@pytest.mark.parametrize("name", ["todo.txt", "README.MD", "labels.csv", "annotations.xml", "data.yaml", "index.html", "all.sha256"])
def test_a_text_is_no_photograph_whatever_it_stands_beside_but_a_folder_may_be_called_like_one(flowers, name):
    before = opened(flowers)
    (flowers / "rose" / name).write_text("no photograph")
    (flowers / "rose" / "notes.jpg").write_text("a photograph by its name: it is set aside, and counts")
    (flowers / "tulip.md").mkdir()
    shutil.copy(next((flowers / "rose").glob("*.jpg")), flowers / "tulip.md" / "a.jpg")
    folder = opened(flowers)
    assert folder.classes == (*before.classes, "tulip.md")
    assert {one.path for one in folder.candidates} - {one.path for one in before.candidates} == {"rose/notes.jpg", "tulip.md/a.jpg"}
    assert folder.unused == (f"texts and tables (1): rose/{name}",)


def test_junk_beside_splits_and_in_them_does_not_matter(flowers, tmp_path):
    for split in ("train", "val"):
        shutil.copytree(flowers, tmp_path / "data" / split)
        add_junk(tmp_path / "data" / split)
    for name in ("__MACOSX", "@eaDir"):
        (tmp_path / "data" / name).mkdir()
    folder = opened(tmp_path / "data")
    assert folder.given_splits and folder.classes == ("daisy", "rose") and len(folder.candidates) == 40


def test_what_a_pattern_matches_is_passed_over(flowers):
    (flowers / "drafts").mkdir()
    shutil.copy(flowers / "rose" / "0.jpg", flowers / "drafts" / "a.jpg")
    (flowers / "rose" / "layers.psd").write_bytes(b"8BPS")
    folder = open_folder(str(flowers), 0.15, exclude=("*.psd", "Drafts", "rose/1.*"))
    assert folder.classes == ("daisy", "rose") and len(folder.candidates) == 19 and not reasons(folder)
    assert folder.unused == ("excluded by data.exclude (3): drafts/, rose/1.jpg, rose/layers.psd",)
    assert len(unlabelled_folder(str(flowers), exclude=("*.psd", "drafts")).candidates) == 20


def test_two_spellings_of_a_class_are_one_class(flowers, tmp_path):
    for split, spelt in (("train", "\u00e9t\u00e9"), ("val", "e\u0301te\u0301")):
        for name, target in (("rose", "rose"), ("daisy", spelt)):
            shutil.copytree(flowers / name, tmp_path / "data" / split / target)
    folder = opened(tmp_path / "data")
    assert folder.classes == ("rose", "\u00e9t\u00e9") and len(folder.candidates) == 40
    (flowers / "daisy").rename(flowers / "\u00e9t\u00e9")
    shutil.copytree(flowers / "\u00e9t\u00e9", flowers / "e\u0301te\u0301")
    folder = opened(flowers)
    assert folder.classes == ("rose", "\u00e9t\u00e9")
    assert len(folder.candidates) == 30 and len({candidate.path for candidate in folder.candidates}) == 30
    assert all(read(candidate, 10_000).data for candidate in folder.candidates)


def test_links_out_of_the_folder_are_followed_to_files_alone_where_it_is_allowed(flowers, tmp_path):
    linked = tmp_path / "linked"
    for photograph in flowers.rglob("*.jpg"):
        link = linked / photograph.relative_to(flowers)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(photograph)
    (linked / "tulip").symlink_to(flowers / "rose")
    os.mkfifo(tmp_path / "pipe")
    (linked / "rose" / "pipe.jpg").symlink_to(tmp_path / "pipe")
    (linked / "rose" / "null.jpg").symlink_to("/dev/null")
    (linked / "rose" / "gone.jpg").symlink_to(tmp_path / "gone.jpg")
    refused = opened(linked)
    assert set(reasons(refused).values()) == {"link out of the folder"} and len(reasons(refused)) == 24
    assert all("data.follow_links=true" in candidate.detail for candidate in refused.candidates)
    for folder in (open_folder(str(linked), 0.15, follow_links=True), unlabelled_folder(str(linked), follow_links=True)):
        assert reasons(folder) == {"tulip": "link to a folder", "rose/pipe.jpg": "not a regular file",
                                   "rose/null.jpg": "not a regular file", "rose/gone.jpg": "unreadable"}  # fmt: skip
        assert sum(bool(read(candidate, 10_000).data) for candidate in folder.candidates) == 20
    assert read(candidate_at(str(linked), "rose/0.jpg", follow_links=True), 10_000).data
    for path in ("tulip/0.jpg", "rose/null.jpg", "../flowers/rose/0.jpg"):
        assert read(candidate_at(str(linked), path, follow_links=True), 10_000).reason, path


def test_a_linked_root_is_fine(flowers, tmp_path):
    (tmp_path / "link").symlink_to(flowers)
    assert not reasons(opened(tmp_path / "link"))


def test_file_names_that_are_not_text_are_robust(flowers, photograph_bytes):
    names = [b"caf\xe9.jpg", b"new\nline.jpg", b"<b>&amp;.jpg", "größe ☃.jpg".encode(), b"quote'\".jpg"]
    for name in names:
        with open(os.path.join(os.fsencode(flowers / "daisy"), name), "wb") as file:
            file.write(photograph_bytes(5))
    folder = opened(flowers)
    paths = {candidate.path for candidate in folder.candidates}
    assert {"daisy/caf\\xe9.jpg", "daisy/new\nline.jpg", "daisy/<b>&amp;.jpg", "daisy/größe ☃.jpg"} <= paths
    assert all(read(candidate, 10_000).data for candidate in folder.candidates)
    assert all(path.encode("utf-8") for path in paths)
    assert folder.fingerprint() == opened(flowers).fingerprint()


def test_a_file_over_the_byte_limit_or_gone_since_is_reported_not_raised(flowers):
    folder = opened(flowers)
    first = folder.candidates[0]
    size = os.path.getsize(first.location)
    assert read(first, size).data
    assert read(first, size - 1).reason == "over the size limit"
    os.remove(first.location)
    assert read(first, size).reason == "unreadable"


def test_the_fingerprint_follows_names_and_contents_and_nothing_else(flowers, tmp_path, photograph_bytes):
    before = opened(flowers).fingerprint()
    for path in flowers.rglob("*"):
        os.utime(path, (time.time() + 100, time.time() + 100))
    os.chmod(flowers / "daisy" / "0.jpg", 0o600)
    (flowers / ".hidden").write_bytes(b"x")
    (flowers / "NOTES.txt").write_bytes(b"x")
    assert opened(flowers).fingerprint() == before
    shutil.copytree(flowers, tmp_path / "elsewhere")
    assert opened(tmp_path / "elsewhere").fingerprint() == before

    seen = {before}

    def assert_new():
        fingerprint = opened(flowers).fingerprint()
        assert fingerprint not in seen
        seen.add(fingerprint)

    (flowers / "daisy" / "0.jpg").rename(flowers / "daisy" / "renamed.jpg")
    assert_new()
    (flowers / "daisy" / "renamed.jpg").rename(flowers / "rose" / "renamed.jpg")
    assert_new()
    (flowers / "rose" / "new.jpg").write_bytes(photograph_bytes(50))
    assert_new()
    content = bytearray((flowers / "rose" / "new.jpg").read_bytes())
    content[-3] ^= 1
    (flowers / "rose" / "new.jpg").write_bytes(content)
    assert_new()
    (flowers / "rose" / "new.jpg").unlink()
    (flowers / "rose" / "1.jpg").unlink()
    assert_new()


def test_a_folder_of_any_layout_is_listed_by_name_and_so_is_a_single_file(flowers):
    (flowers / "top.jpg").write_bytes(b"x")
    (flowers / "daisy" / ".hidden.jpg").write_bytes(b"x")
    listed = [candidate.path for candidate in list_any(str(flowers))]
    assert listed == sorted(f"{name}/{i}.jpg" for name in ("daisy", "rose") for i in range(10)) + ["top.jpg"]
    assert [candidate.path for candidate in list_any(str(flowers / "top.jpg"))] == ["top.jpg"]
    with pytest.raises(SourceNotFound, match="there is no folder or file"):
        list(list_any(str(flowers / "nowhere")))


def test_a_path_that_leads_out_of_the_folder_is_not_opened(flowers):
    (flowers.parent / "secret.jpg").write_bytes(b"secret")
    (flowers / "link.jpg").symlink_to(flowers.parent / "secret.jpg")
    (flowers / "up").symlink_to(flowers.parent)
    assert read(candidate_at(str(flowers), "rose/0.jpg"), 10_000).data
    outside = ("../secret.jpg", "/etc/hostname", "link.jpg", "up/secret.jpg", "rose/../../secret.jpg")
    for path in (*outside, "rose//0.jpg", "rose", ""):
        assert read(candidate_at(str(flowers), path), 10_000).reason, path
    single = str(flowers / "rose" / "0.jpg")
    assert read(candidate_at(single, "0.jpg"), 10_000).data
    assert read(candidate_at(single, "1.jpg"), 10_000).reason


def test_identical_files_in_two_classes_are_found_by_content(flowers, photograph_bytes):
    assert files_in_two_classes(opened(flowers).candidates) == []
    shutil.copy(flowers / "rose" / "3.jpg", flowers / "daisy" / "copy.jpg")
    shutil.copy(flowers / "rose" / "4.jpg", flowers / "rose" / "again.jpg")  # twice in one class is no wrong label
    shutil.copy(flowers / "rose" / "5.jpg", flowers / "loose.jpg")  # and neither is one without a class
    other = bytearray((flowers / "rose" / "6.jpg").read_bytes())
    other[-3] ^= 1  # of the same size
    (flowers / "daisy" / "other.jpg").write_bytes(other)
    assert files_in_two_classes(opened(flowers).candidates) == [["daisy/copy.jpg", "rose/3.jpg"]]
