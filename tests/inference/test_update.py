"""`flowers embed --update`: the same file as without, byte for byte, with less work; or a refusal, and the file as it was."""

import hashlib
import os
import shutil

import numpy as np
import pytest

from cli.main import main
from inference import embed, open_index
from inference import index as index_files
from inference.embed import Backbone
from inference.index import IndexFileError


@pytest.fixture(params=["i.parquet", pytest.param("i.npy", marks=pytest.mark.slow)])
def name(request, monkeypatch):
    """Both kinds, in several groups."""
    monkeypatch.setattr(index_files, "GROUP", 4)
    return request.param


@pytest.fixture
def source(photographs, tmp_path):
    return shutil.copytree(photographs, tmp_path / "source")


@pytest.fixture
def computed(monkeypatch):
    """How many photographs each step of the network got."""
    sizes, vectors = [], Backbone.vectors

    def counted(self, views):
        sizes.append(len(views))
        return vectors(self, views)

    monkeypatch.setattr(Backbone, "vectors", counted)
    return sizes


def contents(path):
    folder, name = os.path.split(path)
    return {one: open(os.path.join(folder, one), "rb").read() for one in os.listdir(folder) if name in one}


def change(source, encoded):
    """New ones at the beginning, in the middle and at the end; one gone, one renamed, one with other content, one twice."""
    for seed, path in ((20, "0-new.jpg"), (21, "deep/er/5-new.jpg"), (22, "zz.png")):
        (source / path).write_bytes(encoded(seed, "PNG" if path.endswith("png") else "JPEG"))
    (source / "large.png").unlink()
    (source / "2.jpg").rename(source / "renamed.jpg")
    (source / "4.jpg").write_bytes(encoded(23))
    shutil.copy(source / "6.jpg", source / "deep" / "copy.jpg")


def test_the_result_is_that_of_a_fresh_embed_and_only_new_ones_are_computed(root, source, tmp_path, encoded, computed, name, capfd):
    updated, fresh = (str(tmp_path / folder / name) for folder in ("updated", "fresh"))
    for path in (updated, fresh):
        os.mkdir(os.path.dirname(path))
    command = ["embed", str(source), "-o", updated, "--root", root, "--update"]
    assert main(command) == 0 and "14 new, 0 kept, 0 gone" in capfd.readouterr().out
    change(source, encoded)
    computed.clear()
    assert main(command) == 0
    assert computed == [1, 4]  # the first traces the network
    # 14 + 3 new + 1 copy - 1 gone; large.png and the former content of 4.jpg are gone.
    assert "4 new, 13 kept, 2 gone" in capfd.readouterr().out
    assert embed(str(source), fresh, root=root).images == 17
    assert contents(updated) == contents(fresh)
    assert hashlib.sha256((source / "renamed.jpg").read_bytes()).hexdigest() in {
        content for path, content in open_index(updated).entries(np.arange(17)) if path == "renamed.jpg"}  # fmt: skip


def test_a_file_of_another_backbone_is_refused_with_what_to_do_and_stays(root, source, tmp_path, monkeypatch, capfd, name):
    path = str(tmp_path / name)
    with index_files.new_index(path, index_files.Header("b" * 64, 16, "flowers-backbone", "7", "/elsewhere")) as writer:
        writer.add(["x"], ["c" * 64], np.ones((1, 16), "float32"))
    before = contents(path)
    assert main(["embed", str(source), "-o", path, "--root", root, "--update"]) == 2
    error = capfd.readouterr().err
    assert "made by version 7" in error and f"make it anew, without --update: `flowers embed {source} -o {path} --version 2" in error
    assert contents(path) == before


def test_what_is_no_index_is_refused_and_stays(root, source, tmp_path, capfd, name):
    path = tmp_path / name
    for file in (path, tmp_path / "i.npy.paths.parquet"):
        file.write_bytes(b"my own file")
    assert main(["embed", str(source), "-o", str(path), "--root", root, "--update"]) == 2
    assert "was not made by `flowers embed`, or is damaged" in capfd.readouterr().err
    assert path.read_bytes() == b"my own file"


def test_an_interrupted_update_leaves_the_file_as_it_was(root, source, tmp_path, encoded, monkeypatch, name):
    path = str(tmp_path / "out" / name)
    os.mkdir(os.path.dirname(path))
    embed(str(source), path, root=root)
    before = contents(path)
    change(source, encoded)

    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(index_files.Writer, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed(str(source), path, root=root, update=True)
    assert contents(path) == before
    monkeypatch.undo()
    assert embed(str(source), path, root=root, update=True).kept == 13


def test_a_damaged_hash_in_the_file_is_told(root, source, tmp_path):
    path = str(tmp_path / "i.parquet")
    embed(str(source), path, root=root)
    header = open_index(path).header
    with index_files.new_index(path, header) as writer:
        writer.add(["x"], ["no hash"], np.ones((1, 16), "float32"))
    with pytest.raises(IndexFileError, match="damaged"):
        embed(str(source), path, root=root, update=True)
