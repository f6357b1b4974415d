"""`flowers embed` and `flowers search` on a small registry: what they write, print and refuse."""

import hashlib
import html.parser
import itertools
import os
import pathlib
import re
import shlex
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from cli.main import main
from components.example_gen.photograph import Encoded
from contracts.content_hash import content_hash
from contracts.layout import Layout
from inference import embed, open_index, search
from inference.embed import AHEAD, BATCH, Backbone, batches
from inference.registered import find
from registry import publishing
from registry.files import PROBE
from registry.opening import open_registry


@pytest.fixture(scope="module")
def index(root, photographs, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("index") / "photographs.parquet")
    embed(str(photographs), path, root=root)
    return path


@pytest.fixture(scope="module")
def backbone(root):
    return Backbone(find(root, "champion", "flowers-backbone"))


def rows(path):
    return {row["path"]: row for row in pq.read_table(path).to_pylist()}


def test_embed_lists_what_it_cannot_read_and_says_how_fast_it_was(root, photographs, tmp_path, capfd):
    output = tmp_path / "photographs.npy"
    assert main(["embed", str(photographs), "-o", str(output), "--root", root]) == 0
    out, err = capfd.readouterr()
    assert "14 images embedded by version 2, 16 numbers each" in out and "images/s" in out
    assert "3 left out (1 not an image, 1 over the pixel limit, 1 truncated or damaged)" in out
    assert [line.split(":")[1] for line in err.splitlines()] == [" bomb.png", " cut.jpg", " notes.jpg"]
    assert np.load(output).shape == (14, 16)


def test_every_photograph_of_any_layout_is_there_with_the_hash_of_its_file(index, photographs):
    found = rows(index)
    assert {"0.jpg", "deep/er/1.jpg", "large.png", "small.webp", "small.bmp"} < found.keys() and len(found) == 14
    for path, row in found.items():
        assert row["content_hash"] == hashlib.sha256((photographs / path).read_bytes()).hexdigest()


def test_vectors_are_those_that_the_registered_model_serves(index, root, photographs):
    """For an upright RGB JPEG within max_side, which ingest leaves as it is."""
    served = tf.saved_model.load(find(root, "2", "flowers-backbone").directory).signatures["serving_default"]
    expected = served(image_bytes=tf.constant([(photographs / "deep/er/3.jpg").read_bytes()]))["embedding"][0]
    np.testing.assert_allclose(rows(index)["deep/er/3.jpg"]["vector"], expected, atol=1e-5)


def test_a_format_that_tensorflow_does_not_read_gives_the_vector_of_its_pixels(index):
    found = rows(index)
    np.testing.assert_allclose(found["small.webp"]["vector"], found["small.bmp"]["vector"], atol=1e-5)


def test_a_single_file_is_a_source(root, photographs, tmp_path, index):
    path = str(tmp_path / "one.parquet")
    assert embed(str(photographs / "large.png"), path, root=root).images == 1
    (row,) = rows(path).values()
    np.testing.assert_allclose(row["vector"], rows(index)["large.png"]["vector"], atol=1e-5)


def test_only_a_window_of_the_source_is_read_ahead(backbone, encoded):
    """A source without end gives its first batch."""
    asked = itertools.count()

    def endless():
        while True:
            number = next(asked)
            yield lambda number=number: Encoded(str(number), "", "", encoded(number % 5))

    batch, vectors = next(batches(backbone, endless()))
    assert [one.path for one in batch] == [str(number) for number in range(BATCH)]
    assert vectors.shape == (BATCH, 16)
    assert next(asked) <= (AHEAD + 1) * BATCH + 1


def test_a_source_without_an_image_is_refused_and_nothing_is_written(root, tmp_path, capfd):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "notes.jpg").write_text("no photograph")
    assert main(["embed", str(tmp_path / "source"), "-o", str(tmp_path / "i.parquet"), "--root", root]) == 3
    assert "has no image that can be used (1 not an image); nothing was written" in capfd.readouterr().err
    assert os.listdir(tmp_path) == ["source"]


@pytest.mark.parametrize("arguments, message", [
    (["embed", "nowhere", "-o", "i.parquet"], "there is no folder or file 'nowhere'"),
    (["embed", ".", "-o", "i.csv"], "must end in .parquet or .npy, got 'i.csv'"),
    (["embed", ".", "-o", "i.npy", "--version", "7"], "no version or alias '7'; versions: 1, 2"),
    (["embed", ".", "-o", "i.npy", "--exclude", "/"], "data.exclude must be glob patterns that are not empty"),
    (["embed", "synthetic", "-o", "i.npy", "--follow-links"], "data.follow_links must be false, as no folder is read"),
    (["predict", "synthetic", "-o", "p.csv", "--exclude", "x"], "data.exclude must be empty, as no folder is read"),
    (["select", "synthetic", "--count", "1", "-o", "s.csv", "--exclude", "x"], "data.exclude must be empty, as no folder is read"),
    (["embed", ".", "-o", "."], ". is a folder; an index is a file, such as ./photographs.parquet"),
    (["predict", ".", "-o", "."], ". is a folder; predictions are a file, such as ./predictions.csv"),
    (["select", ".", "--count", "1", "-o", "."], ". is a folder; name a file in it, such as ./next.csv"),
    (["search", __file__, "--index", "."], ". is a folder; an index is a file"),
    (["search", __file__, "--index", __file__, "--page", "none/page.html"], "to write the page into; make it first"),
    (["predict", ".", "-o", "p.csv", "--page", "."], "--page: . is a folder; name a file in it, such as ./page.html"),
    (["embed", ".", "-o", "i.npy", "--name", "another"],
     "versions: none; choose one with --version, or another registry with --root or --registry; `flowers run`"),
    (["search", "q.jpg", "--index", "i.parquet"], "there is no index i.parquet; `flowers embed SOURCE -o i.parquet` makes one"),
])  # fmt: skip
def test_mistakes_end_with_exit_status_2_and_say_what_would_do(root, tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--root", root]) == 2
    assert message in capfd.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_photograph_finds_itself_and_then_others(index, root, photographs, capfd):
    queries = [str(photographs / "deep/er/5.jpg"), str(photographs / "large.png")]
    found = search(queries, index, top=3, root=root)
    assert [matches[0].path for matches in found] == ["deep/er/5.jpg", "large.png"]
    assert [matches[0].similarity for matches in found] == pytest.approx([1, 1], abs=1e-5)
    assert all(one.similarity >= other.similarity for matches in found for one, other in itertools.pairwise(matches))
    assert search(queries, open_index(index).in_memory(), top=3, root=root) == found


def test_an_index_of_another_backbone_is_refused_with_both_ways_out(index, root, photographs, capfd):
    assert main(["search", str(photographs / "0.jpg"), "--index", index, "--version", "1", "--root", root]) == 2
    error = capfd.readouterr().err
    assert "was made by version 2 of flowers-backbone (" in error and "not by version 1 of flowers-backbone in the registry of" in error
    assert f"search with --version 2 --root {root}, or make" in error
    assert f"`flowers embed {photographs} -o {index} --version 1 --root {root}`" in error


@pytest.fixture
def other_root(root, tmp_path):
    """DIR with a registry whose only version, 1, is a backbone that the one of `root` does not have."""
    source = find(root, "champion", "flowers-backbone")
    backbone = shutil.copytree(source.directory, tmp_path / "backbone")
    (backbone / "more").write_text("another")
    probe = find(root, "champion", "flowers-backbone", PROBE).directory
    registry = open_registry(str(Layout.at(str(tmp_path / "other DIR")).registry), "flowers-backbone")
    publishing.publish(
        registry, backbone=str(backbone), probe=probe, backbone_hash=content_hash(str(backbone)), probe_hash=content_hash(probe),
        tags={}, judged_against=None, card="")  # fmt: skip
    return str(tmp_path / "other DIR")


def advice(error):
    """The command in backticks, as the words of a command line."""
    command = shlex.split(error.replace("\n", " ").split("`")[1])
    assert command[0] == "flowers"
    return command[1:]


def test_an_index_of_another_registry_is_refused_with_advice_that_works(index, root, other_root, photographs, tmp_path, capfd):
    """Version 2 of that one says nothing about version 2 of this one."""
    copy = shutil.copy(index, tmp_path / "i.parquet")
    query = ["search", str(photographs / "0.jpg"), "--index", str(copy)]
    assert main([*query, "--root", other_root]) == 2
    error = capfd.readouterr().err
    assert f"in the registry of {root}" in error and f"search with --version 2 --root {root}, or make" in error
    assert main([*query, "--version", "2", "--root", root]) == 0
    assert main(advice(error)) == 0
    assert main([*query, "--root", other_root]) == 0
    # Where that backbone is nowhere any more, only the second way is left.
    moved = root + ".moved"
    os.rename(root, moved)
    try:
        assert main(["search", str(photographs / "0.jpg"), "--index", index, "--root", other_root]) == 2
    finally:
        os.rename(moved, root)
    assert "search with" not in (error := capfd.readouterr().err) and "make the index anew: `flowers embed" in error


@pytest.mark.parametrize(
    "query, message", [("notes.jpg", "not an image"), ("none.jpg", "there is no such file"), ("/dev/zero", "there is no such file")]
)
def test_a_query_that_cannot_be_read_is_refused(index, root, photographs, capfd, query, message):
    assert main(["search", str(photographs / query), "--index", index, "--root", root]) == 2
    assert query in (error := capfd.readouterr().err) and message in error


def test_a_changed_version_is_not_used(root, photographs, tmp_path, capfd):
    record = pathlib.Path(find(root, "champion", "flowers-backbone").directory) / "backbone.json"
    original = record.read_text()
    record.write_text(original + " ")
    try:
        assert main(["embed", str(photographs), "-o", str(tmp_path / "i.npy"), "--root", root]) == 2
    finally:
        record.write_text(original)
    assert "is not as it was registered" in (error := capfd.readouterr().err) and "flowers registry verify" in error


def test_a_version_that_another_key_signed_is_used_only_unverified_and_that_is_said(root, photographs, tmp_path, capfd):
    trusted = pathlib.Path(root) / "keys" / "trusted"
    command = ["embed", str(photographs / "large.png"), "-o", str(tmp_path / "i.npy"), "--root", root]
    shutil.move(trusted, tmp_path / "trusted")
    try:
        assert main(command) == 2
        assert re.search(r"version 2 of flowers-backbone is signed by key [0-9a-f]{16}, .*copy .*keys/trusted.*--unverified",
                         capfd.readouterr().err)  # fmt: skip
        assert not (tmp_path / "i.npy").exists()
        assert main([*command, "--unverified"]) == 0
    finally:
        shutil.move(tmp_path / "trusted", trusted)
    assert capfd.readouterr().err.count("flowers: Used unverified, as asked: version 2 of flowers-backbone is signed by key") == 1
    assert main(command) == 0
    assert "flowers:" not in capfd.readouterr().err


class Page(html.parser.HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, content):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_the_page_shows_queries_and_matches_and_asks_for_nothing(index, root, photographs, tmp_path, capfd):
    page = tmp_path / "page.html"
    hostile = "<img src=x onerror=alert(1)>.jpg"
    queries = [str(photographs / hostile), str(photographs / "small.webp")]
    assert main(["search", *queries, "--index", index, "--top", "4", "--root", root, "--page", str(page)]) == 0
    assert hostile in capfd.readouterr().out
    content = page.read_text()
    parsed = Page(content)
    pictures = [attributes for tag, attributes in parsed.elements if tag == "img"]
    assert len(pictures) == 2 * (1 + 4)
    assert all(set(picture) == {"class", "src", "alt"} for picture in pictures)
    assert all(picture["src"].startswith("data:image/jpeg;base64,") for picture in pictures)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in parsed.elements}
    assert parsed.text.count(hostile) >= 2 and "onerror=" not in content.replace("&lt;img src=x onerror=", "")
    assert len(content) < 200_000


def test_what_a_run_would_pass_over_or_follow_is_passed_over_and_followed_here(root, tmp_path, encoded, capfd):
    source, other = tmp_path / "source", tmp_path / "other"
    for folder in (source / "drafts", source / "@eaDir", other):
        folder.mkdir(parents=True)
    for seed, path in enumerate((source / "one.jpg", source / "drafts" / "two.jpg", source / "@eaDir" / "one.jpg", other / "far.jpg")):
        path.write_bytes(encoded(seed))
    (source / "linked.jpg").symlink_to(other / "far.jpg")
    plain, chosen, page = (str(tmp_path / name) for name in ("plain.npy", "chosen.parquet", "page.html"))
    assert embed(str(source), plain, root=root).unreadable == {"link out of the folder": 1}
    options = ["--exclude", "draft*", "--follow-links", "--root", root]
    assert main(["embed", str(source), "-o", chosen, *options]) == 0
    assert set(rows(chosen)) == {"linked.jpg", "one.jpg"}
    assert main(["predict", str(source), "-o", str(tmp_path / "p.csv"), "--page", str(tmp_path / "p.html"), *options]) == 0
    assert {line.split('"')[1] for line in (tmp_path / "p.csv").read_text().splitlines()[1:]} == {"linked.jpg", "one.jpg"}
    assert "link out" not in (tmp_path / "p.html").read_text()
    copies = str(tmp_path / "copies")
    assert main(["select", str(source), "--count", "9", "-o", str(tmp_path / "s.csv"), "--copy-to", copies, *options]) == 0
    assert sorted(name.partition("-")[0] for name in os.listdir(os.path.join(copies, "unlabelled"))) == ["linked", "one"]
    assert main(["search", str(source / "one.jpg"), "--index", chosen, "--root", root, "--page", page]) == 0
    assert len([tag for tag, _ in Page(pathlib.Path(page).read_text()).elements if tag == "img"]) == 1 + 2


def test_pictures_that_are_gone_changed_or_outside_are_told_and_not_shown(root, tmp_path, encoded, capfd):
    source = tmp_path / "source"
    source.mkdir()
    for seed, name in enumerate(("gone.jpg", "changed.jpg", "linked.jpg")):
        (source / name).write_bytes(encoded(seed))
    index = str(tmp_path / "i.parquet")
    embed(str(source), index, root=root)
    (tmp_path / "secret.jpg").write_bytes(encoded(3))
    (source / "gone.jpg").unlink()
    (source / "changed.jpg").write_bytes(encoded(4))
    (source / "linked.jpg").unlink()
    (source / "linked.jpg").symlink_to(tmp_path / "secret.jpg")
    page = tmp_path / "page.html"
    assert main(["search", str(tmp_path / "secret.jpg"), "--index", index, "--root", root, "--page", str(page)]) == 0
    parsed = Page(page.read_text())
    assert "No such file" in parsed.text and "the file has changed since it was read" in parsed.text
    assert "link out of the folder" in parsed.text
    assert len([tag for tag, _ in parsed.elements if tag == "img"]) == 1 + 1  # the query and the changed one
