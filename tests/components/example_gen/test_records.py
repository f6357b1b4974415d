"""Promises of the ingest as a whole: what is written, how it is divided, and what the report says."""

import hashlib
import io
import json
import pathlib
import pickle
import shutil
import threading
import time

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import execution
from PIL import Image

import pipeline_config
from components.example_gen import data_set, normalise, photograph, records
from components.example_gen import source as source_of
from components.example_gen.folder import open_folder
from components.example_gen.report import summary
from contracts import examples


def ingest(source, out, max_side=64, max_pixels=100_000, options=()):
    source = open_folder(str(source), 0.15) if isinstance(source, pathlib.Path) else source
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    records.ingest(pipeline, source, max_side, max_pixels, 0.15, 0, "the fingerprint", str(out), str(out / "report.json"))
    return json.loads((out / "report.json").read_text())


def written(out, split):
    files = sorted(str(path) for path in (out / f"Split-{split}").iterdir())
    dataset = tf.data.TFRecordDataset(files, compression_type="GZIP")
    return [tf.io.parse_single_example(record, examples.parsing_spec()) for record in dataset]


def column(rows, name):
    return [row[name].numpy() for row in rows]


def test_records_hold_what_the_contract_says_and_are_sorted_by_content(flowers, tmp_path):
    report = ingest(flowers, tmp_path / "out")
    sides = {split: written(tmp_path / "out", split) for split in ("train", "eval")}
    assert {split: len(rows) for split, rows in sides.items()} == {"train": 16, "eval": 4}  # round(0.15 x 10) = 2 of each class
    for rows in sides.values():
        hashes = column(rows, examples.CONTENT_HASH)
        assert hashes == sorted(hashes)
        for row in rows:
            path = row[examples.SOURCE_PATH].numpy().decode()
            content = (flowers / path).read_bytes()
            assert row[examples.IMAGE].numpy() == content  # a JPEG of the right size: byte for byte
            assert row[examples.CONTENT_HASH].numpy().decode() == hashlib.sha256(content).hexdigest()
            assert row[examples.CLASS_NAME].numpy().decode() == path.split("/")[0]
            assert row[examples.LABEL].numpy() == ["daisy", "rose"].index(path.split("/")[0])
    assert report["splits"] == {
        "train": {"images": 16, "by_class": {"daisy": 8, "rose": 8}},
        "eval": {"images": 4, "by_class": {"daisy": 2, "rose": 2}},
        "unlabelled": {"images": 0},
    }
    assert {key: report[key] for key in ("schema_version", "kind", "fingerprint", "classes", "images", "bad_fraction")} == {
        "schema_version": 1, "kind": "folder", "fingerprint": "the fingerprint", "classes": ["daisy", "rose"], "images": 20,
        "bad_fraction": 0.0}  # fmt: skip
    assert report["sizes"]["width"] == {"min": 48, "median": 48, "max": 48}
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith("scratch")]


def test_any_number_of_workers_writes_the_same_files(flowers, tmp_path):
    ingest(flowers, tmp_path / "one")
    ingest(flowers, tmp_path / "two", options=["--direct_running_mode=multi_threading", "--direct_num_workers=2"])
    for split in ("train", "eval"):
        one, two = (sorted((tmp_path / name / f"Split-{split}").iterdir()) for name in ("one", "two"))
        assert [path.name for path in one] == [path.name for path in two]
        assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_records_are_spread_over_shards(flowers, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "SHARD_EXAMPLES", 6)
    ingest(flowers, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "Split-train").iterdir())
    assert names == [f"data_tfrecord-0000{i}-of-00003.gz" for i in range(3)]  # 16 records, at most 6 each
    hashes = column(written(tmp_path / "out", "train"), examples.CONTENT_HASH)
    assert len(set(hashes)) == 16
    assert hashes == sorted(hashes)


def flat_png(width, height):
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def test_thirty_damaged_files_of_six_kinds_are_quarantined_by_reason(flowers, tmp_path, photograph_bytes):
    (tmp_path / "secret.jpg").write_bytes(photograph_bytes(1))
    for index in range(5):
        (flowers / "daisy" / f"truncated{index}.jpg").write_bytes(photograph_bytes(200 + index)[:-150])
        (flowers / "rose" / f"page{index}.jpg").write_bytes(b"<html>not found</html>" * (index + 1))
        (flowers / "daisy" / f"empty{index}.png").write_bytes(b"")
        (flowers / "rose" / f"huge{index}.png").write_bytes(flat_png(400, 251 + index))
        (flowers / "daisy" / f"link{index}.jpg").symlink_to(tmp_path / "secret.jpg")
        broken = bytearray(photograph_bytes(300 + index, "PNG"))
        broken[300:320] = bytes(20)
        (flowers / "rose" / f"overwritten{index}.png").write_bytes(broken)
    before = ingest(flowers, tmp_path / "out")
    assert before["images"] == 20
    assert before["quarantined"]["total"] == 30
    assert before["quarantined"]["by_reason"] == {
        "link out of the folder": 5, "not an image": 5, "over the pixel limit": 5, "truncated or damaged": 10, "zero bytes": 5,
    }  # fmt: skip
    assert before["bad_fraction"] == 30 / 50
    listed = {file["path"]: file for file in before["quarantined"]["files"]}
    assert len(listed) == 30
    assert listed["rose/huge0.png"]["detail"] == "400 x 251 pixels; at most 100000 are decoded (data.max_pixels)"
    assert set(column(written(tmp_path / "out", "train"), examples.SOURCE_PATH)).isdisjoint(path.encode() for path in listed)


def test_copies_of_a_photograph_fall_on_one_side(flowers, tmp_path, photograph_bytes):
    for index in range(10):
        (flowers / "daisy" / f"{index}.jpg").write_bytes(photograph_bytes(index, size=(160, 120)))
        with Image.open(flowers / "daisy" / f"{index}.jpg") as image:
            image.save(flowers / "daisy" / f"{index}-again.jpg", quality=50)
            image.resize((80, 60)).save(flowers / "daisy" / f"{index}-half.webp")
    shutil.copy(flowers / "rose" / "0.jpg", flowers / "rose" / "same.jpg")
    report = ingest(flowers, tmp_path / "out")
    side = {path.decode(): split for split in ("train", "eval") for path in column(written(tmp_path / "out", split), examples.SOURCE_PATH)}
    assert len(side) == 41
    for index in range(10):
        assert len({side[f"daisy/{index}{end}"] for end in (".jpg", "-again.jpg", "-half.webp")}) == 1
    assert side["rose/0.jpg"] == side["rose/same.jpg"]
    assert report["near_duplicates"] == {"groups": 11, "images": 32, "left_out_of_train": 0, "files": [], "in_two_classes": [],
                                         "large": report["near_duplicates"]["large"], "group_by": ""}  # fmt: skip


def test_with_given_splits_train_is_without_what_eval_has(flowers, tmp_path, photograph_bytes):
    root = tmp_path / "split"
    shutil.copytree(flowers, root / "train")
    shutil.copytree(flowers, root / "eval")
    for index in range(3, 10):
        (root / "eval" / "daisy" / f"{index}.jpg").unlink()
        (root / "eval" / "rose" / f"{index}.jpg").write_bytes(photograph_bytes(500 + index))
    report = ingest(root, tmp_path / "out")
    assert report["near_duplicates"]["left_out_of_train"] == 6
    assert report["near_duplicates"]["files"] == [f"train/{name}/{i}.jpg" for name in ("daisy", "rose") for i in range(3)]
    assert report["images"] == 33
    assert report["bad_fraction"] == 0  # nothing is wrong with them
    assert report["splits"]["train"]["by_class"] == {"daisy": 7, "rose": 7}
    assert report["splits"]["eval"]["by_class"] == {"daisy": 3, "rose": 10}
    assert len(written(tmp_path / "out", "train")) == 14


def test_a_folder_without_one_usable_image_still_gives_a_report(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "x.jpg").write_bytes(b"")
    report = ingest(tmp_path / "bad", tmp_path / "out")
    assert report["images"] == 0
    assert report["bad_fraction"] == 1
    assert written(tmp_path / "out", "train") == written(tmp_path / "out", "eval") == []


def test_synthetic_flowers_take_the_same_path(tmp_path):
    from components.synthetic_flowers import builder

    drawn = builder.prepare(str(tmp_path / "datasets"), images=40, labelled=20, side=32, seed=7, eval_fraction=0.25)
    source = data_set.open_data_set("synthetic", "synthetic", drawn, 0.25)
    report = ingest(source, tmp_path / "out")
    assert report["kind"] == "synthetic"
    assert [report["splits"][split]["images"] for split in examples.SPLITS] == [20, 10, 10]
    assert report["near_duplicates"]["groups"] == 0
    assert len(written(tmp_path / "out", "eval")) == 10
    # The records are those of the images read one after the other, without Beam.
    step = normalise.Normalise("", source.classes, 64, 100_000, 16)
    for split in examples.SPLITS:
        one_by_one = sorted((description.content_hash, record) for description, record in map(
            step._prepare, source.encoded(set(), 10_000)) if description.split == split)  # fmt: skip
        files = sorted(str(path) for path in (tmp_path / "out" / f"Split-{split}").iterdir())
        assert list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()) == [record for _, record in one_by_one]


def test_no_collection_of_beam_s_has_anything_of_a_photograph(flowers, tmp_path, monkeypatch, photograph_bytes):
    """Neither image nor thumbnail nor path, not even of two sources: what a runner may keep or send says where they are."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "large.jpg").write_bytes(photograph_bytes(900, size=(480, 400), quality=100))
    assert (tmp_path / "more" / "large.jpg").stat().st_size > 45_000
    shuffled = []

    def kept(self, encoded, append=execution.ListBuffer.append):
        shuffled.append(len(encoded))
        append(self, encoded)

    monkeypatch.setattr(execution.ListBuffer, "append", kept)
    data = pipeline_config.Data(source=str(flowers), unlabelled=str(tmp_path / "more"))
    both = source_of.open_source(data, "")
    (tmp_path / "lists").mkdir()
    sent = [pickle.dumps(element) for element in both.elements(str(tmp_path / "lists"))]
    assert len(sent) == 21 and max(map(len, sent)) < 300
    assert [one.path for element in sent for one in pickle.loads(element).images(100_000)] == [
        one.path for part in both.parts for one in part.candidates]  # fmt: skip
    report = ingest(both, tmp_path / "out", max_side=512, max_pixels=200_000)
    assert report["splits"]["unlabelled"] == {"images": 1}
    assert 0 < sum(shuffled) < 21 * 400  # less than the thumbnails of half of them


def test_source_and_output_may_be_remote(flowers):
    """`ram://` stands for any file system that TensorFlow knows; it has no links and no renaming of folders."""
    for split in ("train", "eval"):
        for path in flowers.glob("*/*.jpg"):
            if (int(path.stem) < 7) == (split == "train"):
                tf.io.gfile.makedirs(f"ram://photographs/{split}/{path.parent.name}")
                tf.io.gfile.copy(str(path), f"ram://photographs/{split}/{path.parent.name}/{path.name}")
    folder = open_folder("ram://photographs", 0.15)
    assert folder.fingerprint() == open_folder("ram://photographs/", 0.15).fingerprint()
    records.ingest(beam.Pipeline(), folder, 64, 100_000, 0.15, 0, "", "ram://ingested", "ram://ingested/report.json")
    with tf.io.gfile.GFile("ram://ingested/report.json") as file:
        report = json.loads(file.read())
    assert [report["splits"][split]["images"] for split in ("train", "eval")] == [14, 6]
    assert sorted(tf.io.gfile.listdir("ram://ingested")) == ["Split-eval", "Split-train", "Split-unlabelled", "report.json"]


def test_unlabelled_photographs_get_a_split_of_their_own_and_what_eval_shows_is_left_out(flowers, tmp_path, photograph_bytes):
    alone = ingest(flowers, tmp_path / "alone")
    shown = column(written(tmp_path / "alone", "eval"), examples.SOURCE_PATH)[0].decode()
    (flowers / "unlabelled").mkdir()
    for index in range(5):
        (flowers / "unlabelled" / f"{index}.jpg").write_bytes(photograph_bytes(300 + index))
    copy = Image.open(flowers / shown).resize((96, 72))
    copy.save(flowers / "unlabelled" / "copy.png")
    (flowers / "unlabelled" / "broken.jpg").write_bytes(b"x")
    report = ingest(flowers, tmp_path / "out")
    rows = written(tmp_path / "out", "unlabelled")
    assert set(column(rows, examples.LABEL)) == {-1} and set(column(rows, examples.CLASS_NAME)) == {b""}
    assert sorted(column(rows, examples.SOURCE_PATH)) == [f"unlabelled/{index}.jpg".encode() for index in range(5)]
    # The labelled ones are divided as without them.
    assert {split: report["splits"][split] for split in examples.LABELLED_SPLITS} == {
        split: alone["splits"][split] for split in examples.LABELLED_SPLITS}  # fmt: skip
    assert report["splits"]["unlabelled"] == {"images": 5} and report["images"] == 26
    assert report["near_duplicates"]["files"] == ["unlabelled/copy.png"]
    assert [file["path"] for file in report["quarantined"]["files"]] == ["unlabelled/broken.jpg"]
    assert sum(report["appearance"]["unlabelled"]["brightness"]) == 5


def test_the_same_picture_in_two_classes_is_listed_however_it_was_saved(flowers, tmp_path):
    shutil.copy(flowers / "rose" / "3.jpg", flowers / "daisy" / "copy.jpg")
    with Image.open(flowers / "rose" / "4.jpg") as image:
        image.resize((96, 72)).save(flowers / "daisy" / "larger.png")
    shutil.copy(flowers / "rose" / "5.jpg", flowers / "rose" / "again.jpg")
    shutil.copy(flowers / "rose" / "6.jpg", flowers / "loose.jpg")
    report = ingest(flowers, tmp_path / "out")
    assert report["near_duplicates"]["groups"] == 4
    assert report["near_duplicates"]["in_two_classes"] == [
        [{"path": "daisy/copy.jpg", "class": "daisy"}, {"path": "rose/3.jpg", "class": "rose"}],
        [{"path": "daisy/larger.png", "class": "daisy"}, {"path": "rose/4.jpg", "class": "rose"}],
    ]
    assert "; 2 pictures are in more than one class: look at the labels" in summary(report)


def test_one_thread_and_many_write_the_same_bytes_and_name_the_same_files(flowers, tmp_path, monkeypatch, photograph_bytes):
    for index in range(4):  # slow and fast ones, unusable ones between them
        (flowers / "daisy" / f"large{index}.png").write_bytes(photograph_bytes(700 + index, "PNG", size=(1200, 900)))
        (flowers / "daisy" / f"broken{index}.jpg").write_bytes(photograph_bytes(800 + index)[: 400 + index])
    found = {}
    for threads in (1, 5):
        monkeypatch.setattr(normalise, "cores", lambda threads=threads: threads)
        report = ingest(flowers, tmp_path / f"{threads}", max_pixels=2_000_000)
        files = sorted((tmp_path / f"{threads}").glob("Split-*/*.gz"))
        found[threads] = report, [(path.name, path.read_bytes()) for path in files]
    assert found[1] == found[5]
    assert [file["path"] for file in found[5][0]["quarantined"]["files"]] == [f"daisy/broken{index}.jpg" for index in range(4)]


@pytest.mark.parametrize(("most", "at_once"), [(100_000, 4), (4_000, 2), (1_000, 1)])
def test_the_pixels_that_are_decoded_at_once_are_bounded(flowers, tmp_path, monkeypatch, most, at_once):
    """Photographs of 1,728 pixels each; one that is larger than the bound is decoded alone."""
    running, seen, prepare, lock = set(), [], photograph.prepare, threading.Lock()

    def watched(data, *settings):
        with lock:
            running.add(id(data))
            seen.append(len(running))
        time.sleep(0.02)
        try:
            return prepare(data, *settings)
        finally:
            with lock:
                running.remove(id(data))

    monkeypatch.setattr(normalise, "cores", lambda: 4)
    monkeypatch.setattr(normalise, "PIXELS_A_CORE", most / 4)
    monkeypatch.setattr(photograph, "prepare", watched)
    records.ingest(beam.Pipeline(), open_folder(str(flowers), 0.15), 64, max(1728, most), 0.15, 0, "", str(tmp_path / "out"),
                   str(tmp_path / "out/report.json"))  # fmt: skip
    assert max(seen) <= at_once and (at_once == 1 or max(seen) > 1)


def test_an_error_that_is_none_of_the_files_ends_the_node(flowers, tmp_path, monkeypatch):
    def failing(*given):
        raise RuntimeError("no memory for threads")

    monkeypatch.setattr(photograph, "prepare", failing)
    with pytest.raises(RuntimeError, match="no memory for threads"):
        ingest(flowers, tmp_path / "out")
