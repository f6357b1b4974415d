"""A file is written whole or not at all, local or remote, and hashes are those of any other tool."""

import hashlib
import os
import subprocess
import sys

import pytest

from contracts import files

# ram:// is TensorFlow's file system in memory: remote paths take the same way there as in a bucket.
PLACES = pytest.mark.parametrize("place", ["local", "ram://files"])


@pytest.fixture
def folder(place, tmp_path):
    return str(tmp_path) if place == "local" else f"{place}/{tmp_path.name}"


@PLACES
def test_what_was_written_is_read(folder):
    path = f"{folder}/deep/er/name.json"
    files.write_json(path, {"é": [1, None, 0.5]})
    assert files.read_json(path) == {"é": [1, None, 0.5]}
    assert files.read_text(path) == '{\n "é": [\n  1,\n  null,\n  0.5\n ]\n}\n'


@PLACES
def test_a_missing_file_is_one_error_wherever_it_is_missing(folder):
    with pytest.raises(FileNotFoundError):
        files.read_json(f"{folder}/nothing.json")
    with pytest.raises(FileNotFoundError):
        files.sha256(f"{folder}/nothing")


@PLACES
def test_the_hash_is_that_of_the_bytes(folder, monkeypatch):
    monkeypatch.setattr(files, "CHUNK_BYTES", 5)  # 12 bytes: two whole pieces and one of two
    with files.written(f"{folder}/data") as file:
        file.write(b"twelve bytes")
    assert files.size_and_sha256(f"{folder}/data") == (12, hashlib.sha256(b"twelve bytes").hexdigest())


@PLACES
@pytest.mark.parametrize("value", [object(), float("nan")])
def test_what_has_no_json_leaves_the_former_file(folder, value):
    files.write_json(f"{folder}/run.json", {"a": 1})
    with pytest.raises((TypeError, ValueError)):
        files.write_json(f"{folder}/run.json", {"a": 2, "b": value})
    assert files.read_json(f"{folder}/run.json") == {"a": 1}


def test_an_error_half_way_leaves_the_former_file_and_nothing_beside_it(tmp_path):
    files.write_text(tmp_path / "page", "whole")
    with pytest.raises(RuntimeError), files.written(tmp_path / "page") as file:
        file.write(b"ha")
        raise RuntimeError("the disk is full")
    assert (tmp_path / "page").read_text() == "whole" and os.listdir(tmp_path) == ["page"]


def test_a_kill_half_way_leaves_the_former_file(tmp_path):
    files.write_text(tmp_path / "page", "whole")
    code = (
        "import os, sys; from contracts import files\n"
        f"with files.written({str(tmp_path / 'page')!r}) as file: file.write(b'ha'); file.flush(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert files.read_text(tmp_path / "page") == "whole"
    files.write_text(tmp_path / "page", "again")  # what the killed one left does not hinder the next
    assert files.read_text(tmp_path / "page") == "again"


def test_local_files_need_no_tensorflow(tmp_path):
    code = f"import sys; from contracts import files; files.write_json({str(tmp_path / 'x')!r}, 1); print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
