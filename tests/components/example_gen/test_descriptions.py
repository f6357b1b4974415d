"""Descriptions on disk: what is read is what was written, sorted whatever the parts, in little memory."""

import hashlib
import tracemalloc

from components.example_gen import descriptions
from components.example_gen.descriptions import Description, Writer, gather


def photograph(number, content=None):
    """A description and its record; every fifth file is quarantined."""
    path = f"class-{number % 3}/{number:05} é.jpg"
    if number % 5 == 4:
        return Description(path, f"class-{number % 3}", "train", "not an image", f"file {number}"), b""
    text = str(number if content is None else content).encode()
    described = Description(
        path, f"class-{number % 3}", "eval" if number % 2 else "", content_hash=hashlib.sha256(text).hexdigest(), width=number + 1,
        height=2 * number + 1, thumbnail=text.ljust(768, b"."), profile="converted" if number % 7 == 0 else "")  # fmt: skip
    return described, b"r" * number


def written(folder, *parts):
    """Writes each list of photographs as a part."""
    found = []
    for index, photographs in enumerate(parts):
        writer = Writer(str(folder / f"part{index}"))
        for description, record in photographs:
            writer.add(description, record)
        found.append(writer.close())
    return found


def without_place(gathered):
    """All descriptions without the place of the record, which depends on the parts."""
    names = [name for name in Description.__dataclass_fields__ if name not in ("part", "offset", "length")]
    return [[[getattr(one, name) for name in names] for one in some] for some in gathered]


def test_what_is_read_is_what_was_written_whatever_the_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(descriptions, "READ", 7)
    every = [photograph(number) for number in range(60)]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = gather(written(tmp_path / "one", every))
    two = gather(written(tmp_path / "two", every[33:], every[4:5], every[5:33], every[:4]))
    usable = sorted((one for one, _ in every if not one.reason), key=lambda one: (one.content_hash, one.path))
    quarantined = sorted((one for one, _ in every if one.reason), key=lambda one: one.path)
    assert without_place(one) == without_place(two) == without_place((usable, quarantined))
    for found in one.usable:  # every record is where its description says
        with open(found.part, "rb") as file:
            file.seek(found.offset)
            assert file.read(found.length) == b"r" * (found.width - 1)


def test_identical_files_are_sorted_by_path(tmp_path):
    copies = [photograph(number, content="the same") for number in (8, 2, 5, 0)]
    assert [one.path[8:13] for one in gather(written(tmp_path, copies)).usable] == ["00000", "00002", "00005", "00008"]


def test_no_files_are_none(tmp_path):
    for usable, quarantined in (gather([]), descriptions.gather_few([])):
        assert len(usable) == 0 and quarantined == [] and usable.thumbnails.shape == (0, 768)


def test_a_photograph_takes_at_most_200_bytes_of_memory(tmp_path):
    """Beside what Python takes once. A thumbnail alone has 768 bytes."""
    count = 20_000
    records = [(Description(f"flowers/{number:08}.jpg", "rose", "", content_hash=hashlib.sha256(str(number).encode()).hexdigest(), width=9,
                            height=9, thumbnail=bytes(768)), b"") for number in range(count)]  # fmt: skip
    parts = written(tmp_path, records)
    del records
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    usable = gather(parts).usable
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(usable) == count and held / count < 200
