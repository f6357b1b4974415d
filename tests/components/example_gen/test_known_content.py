"""What is not read again, and that this never hides a change."""

import hashlib
import json
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from components.example_gen import folder, known_content
from components.example_gen.folder import open_folder
from components.example_gen.known_content import GRANULARITY_NS, MOST_NAMED, KnownContent

SECOND = 1_000_000_000


@pytest.fixture
def look(flowers, tmp_path, monkeypatch):
    """look() is the fingerprint of `flowers` as the cache gives it, the names of the files that were opened, and what was said.

    By its clock the newest file was written three seconds before, or the `oldest` one two.
    """
    opened = []

    def counted(path, sha256=folder.files.sha256):
        opened.append(os.path.basename(path))
        return sha256(path)

    monkeypatch.setattr(folder.files, "sha256", counted)

    def looked(full_check=False, oldest=False, complete=True):
        opened.clear()
        times = [os.lstat(path).st_ctime_ns for path in flowers.glob("*/*")]
        now = min(times) + GRANULARITY_NS if oldest else max(times) + GRANULARITY_NS + SECOND
        known = KnownContent(tmp_path / "known.json", full_check, now=lambda: now)
        fingerprint = replace(open_folder(str(flowers), 0.15), content=known.content).fingerprint()
        known.save(complete)
        return fingerprint, sorted(opened), known.sentences()

    return looked


def true_fingerprint(flowers):
    return open_folder(str(flowers), 0.15).fingerprint()


def change(path, put_back=False):
    """Changes a byte in place; `put_back`: gives the file its former times."""
    before = os.stat(path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    if put_back:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_unchanged_files_are_not_opened_again(flowers, look):
    first, opened, said = look()
    assert first == true_fingerprint(flowers) and len(opened) == 20 and said == []
    again, opened, said = look()
    assert (again, opened) == (first, [])
    assert said == ["Read 0 of 20 files; the others are as they were when they were read before (--full-check reads all)"]


def test_only_what_is_new_changed_or_renamed_is_opened(flowers, look, photograph_bytes):
    before, *_ = look()
    change(flowers / "daisy" / "0.jpg")
    (flowers / "daisy" / "new.jpg").write_bytes(photograph_bytes(77))
    (flowers / "rose" / "1.jpg").rename(flowers / "rose" / "renamed.jpg")
    # Two that change places, and one that is replaced by another file.
    for old, new in (("2.jpg", "x"), ("3.jpg", "2.jpg"), ("x", "3.jpg")):
        (flowers / "rose" / old).rename(flowers / "rose" / new)
    (flowers / "rose" / "y.jpg").write_bytes(photograph_bytes(78))
    (flowers / "rose" / "y.jpg").replace(flowers / "rose" / "4.jpg")
    found, opened, _ = look()
    assert found == true_fingerprint(flowers) != before
    assert opened == ["0.jpg", "2.jpg", "3.jpg", "4.jpg", "new.jpg", "renamed.jpg"]
    assert look()[:2] == (found, [])


def test_a_file_that_changes_in_the_tick_in_which_it_was_read_is_read_again(flowers, look):
    """As young as the clock is coarse: it could change once more and look the same, so that it is not kept."""
    assert len(look(oldest=True)[1]) == 20
    assert len(look(oldest=True)[1]) == 20
    for path in flowers.glob("*/*"):
        os.utime(path, ns=(0, 0))
    assert len(look(oldest=True)[1]) == 20
    assert len(look(oldest=True)[1]) == 20  # their time is old, and their status new
    assert len(look()[1]) == 20
    assert look()[1] == look(oldest=True)[1] == []


def test_a_file_that_changes_while_it_is_read_is_not_kept(flowers, look, monkeypatch):
    changing = flowers / "daisy" / "0.jpg"

    def read(path, sha256=folder.files.sha256):
        found = sha256(path)
        if path == str(changing):
            change(changing)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(folder.files, "sha256", read)
        look()
    found, opened, _ = look()
    assert opened == ["0.jpg"] and found == true_fingerprint(flowers)


def test_a_change_whose_time_was_put_back_is_seen_and_named(flowers, look):
    before, *_ = look()
    change(flowers / "daisy" / "0.jpg", put_back=True)
    found, opened, said = look()
    assert opened == ["0.jpg"] and found == true_fingerprint(flowers) != before
    assert "daisy/0.jpg has another content than when it was read before, although its size and time are the same" in said


def test_a_full_check_reads_all_and_names_what_changed_without_looking_changed(flowers, look, tmp_path):
    look()
    _, opened, said = look(full_check=True)
    assert len(opened) == 20 and said == ["Read all 20 files; none has changed that looked unchanged"]
    # As a disk does that loses a bit: here the cache is what differs from the file.
    entries = entries_of(tmp_path / "known.json")
    next(entry for entry in entries if entry[0] == str(flowers / "rose" / "5.jpg"))[-1] = "0" * 64
    write(tmp_path / "known.json", entries)
    wrong, opened, _ = look()
    assert opened == [] and wrong != true_fingerprint(flowers)
    found, _, said = look(full_check=True)
    assert found == true_fingerprint(flowers)
    assert said == ["rose/5.jpg has another content than when it was read before, although its size and time are the same"]
    assert look()[:2] == (found, [])


def test_of_many_files_some_are_named_and_the_others_counted(flowers, look, photograph_bytes):
    for index in range(MOST_NAMED):
        (flowers / "daisy" / f"more-{index}.jpg").write_bytes(photograph_bytes(500 + index))
    look()
    for path in flowers.glob("*/*.jpg"):
        change(path, put_back=True)
    *named, rest = look()[2]
    assert len(named) == MOST_NAMED and rest == f"and so have {20:,} more"


def entries_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()[1:-1]]


def write(path, entries, schema_version=2):
    lines = "".join(json.dumps(entry) + "\n" for entry in entries)
    last = json.dumps({"sha256": hashlib.sha256(lines.encode()).hexdigest()})
    path.write_text(f"{json.dumps({'schema_version': schema_version})}\n{lines}{last}\n")


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(path.read_bytes()[:-40]),
    lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1])),
    lambda path: path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "rose/3.jpg" not in line)),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"\x80 no text"),
    lambda path: path.write_text("[1, 2]\n"),
    lambda path: path.write_text(path.read_text().replace(entries_of(path)[0][-1], "0" * 64)),
    lambda path: write(path, [["daisy/0.jpg", 2**70, 0, 0, 0, "00"]]),
    lambda path: write(path, [5]),
    lambda path: write(path, [[["daisy"], 0, 0, 0, 0, "00"]]),
    lambda path: write(path, entries_of(path), schema_version=1),
], ids=["cut off", "without its end", "a line missing", "empty", "binary", "foreign", "a hash changed", "too large a number", "no list",
        "no name", "another release"])  # fmt: skip
def test_a_cache_that_cannot_be_used_is_ignored_with_a_note(flowers, look, tmp_path, damage):
    first, *_ = look()
    damage(tmp_path / "known.json")
    found, opened, said = look()
    assert found == first and len(opened) == 20
    assert "known.json, cannot be used (" in said[0] and said[0].endswith("; all are read again")
    assert look()[1] == []


def test_a_file_whose_time_no_clock_tells_is_read_every_time(flowers, look, monkeypatch):
    """A damaged disk, or one of the year 2400: nanoseconds that 64 bits cannot hold."""
    strange = os.stat_result(range(10), {"st_mtime_ns": 2**63, "st_ctime_ns": 0})

    def stat(path):
        return strange if path.endswith("rose/3.jpg") else os.stat(path)

    monkeypatch.setattr(known_content, "os", SimpleNamespace(stat=stat))
    assert len(look()[1]) == 20
    assert look()[1] == ["3.jpg"]


def test_names_that_are_not_text_are_known_too(flowers, look, photograph_bytes):
    with open(os.path.join(os.fsencode(flowers / "daisy"), b"caf\xe9.jpg"), "wb") as file:
        file.write(photograph_bytes(5))
    assert len(look()[1]) == 21
    assert look()[1] == []


def test_what_is_gone_is_forgotten_unless_the_look_was_not_complete(flowers, look, tmp_path):
    look()
    (flowers / "rose" / "9.jpg").unlink()
    look(complete=False)
    assert "rose/9.jpg" in (tmp_path / "known.json").read_text()
    look()
    assert "rose/9.jpg" not in (tmp_path / "known.json").read_text()


def test_what_cannot_be_read_is_reported_as_ever_and_not_kept(flowers, look):
    (flowers / "rose" / "9.jpg").unlink()
    (flowers / "rose" / "9.jpg").symlink_to("nowhere")
    assert look()[0] == true_fingerprint(flowers) and look()[1] == []
