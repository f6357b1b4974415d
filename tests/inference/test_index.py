"""The index file: what it holds, that others can read it, and that nobody ever reads half of one."""

import functools
import pathlib
import signal

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny import PROJECT

from inference import index
from inference.index import Header, IndexFileError, new_index, open_index

HEADER = Header("a" * 64, 3, "flowers-backbone", "2", "/photographs")
VECTORS = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)


def write(path, vectors=VECTORS, parts=3):
    with new_index(str(path), HEADER) as writer:
        for rows in [*np.array_split(np.arange(len(vectors)), parts), np.arange(0)]:  # the last batch has nothing that is usable
            writer.add([f"{row}.jpg" for row in rows], [f"{row:064d}" for row in rows], vectors[rows])
    return str(path)


@pytest.fixture(params=["index.parquet", "index.npy"])
def path(request, tmp_path, monkeypatch):
    """Both kinds, written and read in several pieces."""
    monkeypatch.setattr(index, "GROUP", 4)
    monkeypatch.setattr(index, "BLOCK", 4)
    return tmp_path / request.param


def rows_of(opened):
    blocks = list(opened.blocks())
    assert len(blocks) > 1
    assert [start for start, _ in blocks] == np.cumsum([0, *(len(block) for _, block in blocks)])[:-1].tolist()
    return np.concatenate([block for _, block in blocks])


def test_what_was_written_is_read(path):
    opened = open_index(write(path))
    assert opened.header == HEADER and opened.count == 10
    for one in (opened, opened.in_memory()):
        assert np.array_equal(rows_of(one), VECTORS)
        assert np.array_equal(one.vectors(np.array([9, 0, 5, 5])), VECTORS[[9, 0, 5, 5]])
        assert np.array_equal(one.mean, VECTORS.astype(np.float64).mean(axis=0).astype(np.float32))
        assert one.entries(np.array([9, 0, 5])) == [("9.jpg", f"{9:064d}"), ("0.jpg", f"{0:064d}"), ("5.jpg", f"{5:064d}")]


def test_the_bytes_do_not_depend_on_the_portions_in_which_rows_came(path):
    write(path, parts=1)
    written = [file.read_bytes() for file in sorted(path.parent.iterdir())]
    write(path, parts=7)
    assert [file.read_bytes() for file in sorted(path.parent.iterdir())] == written


def test_the_lengths_of_vectors_are_a_column(tmp_path):
    lengths = pq.read_table(write(tmp_path / "index.parquet"))["norm"].to_numpy()
    np.testing.assert_allclose(lengths, np.sqrt((VECTORS.astype(np.float64) ** 2).sum(axis=1)), rtol=1e-6)


def test_an_index_of_another_format_is_refused_with_the_command_that_makes_it_anew(path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(index.Header, "__init__", functools.partialmethod(index.Header.__init__, schema_version=1))
        with new_index(str(path), Header("a" * 64, 3, "n", "2", "/my photographs")) as writer:
            writer.add(["x"] * 10, ["y"] * 10, VECTORS)
    with pytest.raises(IndexFileError, match="format 1 of another release.*`flowers embed '/my photographs' -o "):
        open_index(str(path))


def test_others_read_it_without_this_project(tmp_path):
    table = pq.read_table(write(tmp_path / "index.parquet"))
    assert table.column_names == ["path", "content_hash", "norm", "vector"]
    assert np.array_equal(np.array(table["vector"].to_pylist(), np.float32), VECTORS)
    assert np.array_equal(np.load(write(tmp_path / "index.npy")), VECTORS)
    listing = pq.read_table(tmp_path / "index.npy.paths.parquet")
    assert listing["path"].to_pylist() == [f"{row}.jpg" for row in range(10)]


def test_an_error_while_writing_leaves_the_former_index_and_nothing_else(path):
    write(path)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(RuntimeError, match="disk"), new_index(str(path), HEADER) as writer:
        writer.add(["x"] * 10, ["y"] * 10, VECTORS)
        raise RuntimeError("disk")
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


KILLED = """
import os, signal, sys
import numpy as np
from inference import index
with index.new_index(sys.argv[1], index.Header("b" * 64, 3, "n", "1", "s")) as writer:
    writer.add(["x"] * 5000, ["y"] * 5000, np.ones((5000, 3), np.float32))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_the_former_index_and_does_not_hinder_the_next(forked, tmp_path):
    path = tmp_path / "index.npy"  # the kind with two files
    write(path)
    killed = forked.run(["-c", KILLED, str(path)], cwd=PROJECT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert open_index(str(path)).header == HEADER
    assert any(file.name.endswith(".unfinished") for file in path.parent.iterdir())
    write(path, VECTORS[:6])
    assert open_index(str(path)).count == 6
    assert not any(file.name.endswith(".unfinished") for file in path.parent.iterdir())


def test_a_second_writer_is_refused_while_the_first_writes(path):
    with new_index(str(path), HEADER) as writer:
        with pytest.raises(IndexFileError, match="another `flowers embed` is writing"), new_index(str(path), HEADER):
            pass
        writer.add(["x"] * 10, ["y"] * 10, VECTORS)
    assert open_index(str(path)).count == 10


def test_a_listing_from_another_writing_is_refused(tmp_path):
    """As a reader finds them who comes between the two renames, or after a crash there."""
    path = tmp_path / "index.npy"
    former = pathlib.Path(write(path)).read_bytes()
    write(path, VECTORS[::-1])
    path.write_bytes(former)
    with pytest.raises(IndexFileError, match="do not belong together"):
        open_index(str(path))


@pytest.mark.parametrize("content", [b"", b"no index", b"PAR1" + bytes(100) + b"PAR1", b"\x93NUMPY\1\0"])
def test_a_file_that_is_no_index_is_refused_by_name(path, content):
    write(path)
    path.write_bytes(content)
    with pytest.raises(IndexFileError, match="was not made by `flowers embed`, or is damaged"):
        open_index(str(path))


def test_an_array_of_pickled_objects_is_not_opened(tmp_path):
    path = tmp_path / "index.npy"
    write(path)
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(IndexFileError, match="damaged"):
        open_index(str(path))


@pytest.mark.parametrize("name, expected", [("index.csv", "must end in .parquet or .npy"), ("none/index.npy", "there is no folder")])
def test_names_that_cannot_be_written_are_refused(tmp_path, name, expected):
    with pytest.raises(IndexFileError, match=expected), new_index(str(tmp_path / name), HEADER):
        pass


def test_a_folder_in_its_place_is_named(path):
    path.mkdir()
    for use in (lambda: open_index(str(path)), lambda: new_index(str(path), HEADER).__enter__()):
        with pytest.raises(IndexFileError, match="is a folder; an index is a file, such as .*photographs.parquet"):
            use()


def test_an_index_that_is_not_there_says_how_to_make_it(tmp_path):
    with pytest.raises(IndexFileError, match="`flowers embed SOURCE -o .*index.npy` makes one"):
        open_index(str(tmp_path / "index.npy"))
