"""Promises of the check before a run: what is refused at once, and how the message says so."""

import shutil

import pytest
import tensorflow as tf

import pipeline_config
from components.errors import DataRefused, SourceNotFound
from components.example_gen import source


def inspect(root, **settings):
    return source.inspect(pipeline_config.Data(source=str(root), **settings), "unused")


def test_a_good_folder_gives_classes_and_fingerprint(flowers):
    found = inspect(flowers)
    assert (found.kind, found.classes) == ("folder", ("daisy", "rose"))
    assert len(found.fingerprint) == 64
    assert inspect(flowers) == found


def test_one_class_only_is_refused(flowers):
    shutil.rmtree(flowers / "rose")
    with pytest.raises(DataRefused, match="two or more classes, .*got one, 'daisy'"):
        inspect(flowers)


def test_a_class_with_fewer_than_two_usable_images_is_refused_by_name(flowers, photograph_bytes):
    (flowers / "tulip").mkdir()
    (flowers / "tulip" / "good.jpg").write_bytes(photograph_bytes(1))
    for index in range(5):
        (flowers / "tulip" / f"{index}.jpg").write_bytes(photograph_bytes(1)[:-100])
    with pytest.raises(DataRefused, match="'tulip' has 1 usable image .*truncated or damaged"):
        inspect(flowers)
    (flowers / "tulip" / "good.jpg").unlink()
    with pytest.raises(DataRefused, match="'tulip' has 0 usable images"):
        inspect(flowers)
    shutil.rmtree(flowers / "tulip")
    (flowers / "tulip").mkdir()
    assert inspect(flowers).classes == ("daisy", "rose")  # an empty folder is no class


def test_a_class_with_two_usable_images_among_damaged_ones_passes_the_check(flowers, photograph_bytes):
    (flowers / "tulip").mkdir()
    for index in range(5):
        (flowers / "tulip" / f"a{index}.jpg").write_bytes(b"")
    for index in range(2):
        (flowers / "tulip" / f"b{index}.jpg").write_bytes(photograph_bytes(index))
    assert inspect(flowers).classes == ("daisy", "rose", "tulip")


def test_a_class_folder_that_leads_out_of_the_folder_is_refused_with_the_reason(flowers, tmp_path):
    shutil.copytree(flowers / "rose", tmp_path / "elsewhere")
    (flowers / "tulip").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataRefused, match="'tulip' has 0 usable images .*link out of the folder"):
        inspect(flowers)


def test_missing_sources_are_not_found(tmp_path):
    with pytest.raises(SourceNotFound, match="there is no folder"):
        inspect(tmp_path / "none")
    with pytest.raises(SourceNotFound, match="tf_flowers"):
        inspect("tfds:tf_flower")


def test_nothing_is_drawn_to_inspect_synthetic_flowers(tmp_path):
    data = pipeline_config.Data()
    found = source.inspect(data, str(tmp_path))
    assert found.kind == "synthetic"
    assert len(found.classes) == 5 and list(found.classes) == sorted(found.classes)
    assert not list(tmp_path.iterdir())
    other = {source.inspect(pipeline_config.Data(**changed), str(tmp_path)).fingerprint for changed in (
        {"synthetic_seed": 8}, {"synthetic_images": 2401}, {"synthetic_side": 65}, {"eval_fraction": 0.2})}  # fmt: skip
    assert len(other | {found.fingerprint}) == 5
    assert source.inspect(pipeline_config.Data(max_bad_fraction=0.5), str(tmp_path)) == found


def test_only_settings_that_matter_to_ingest_are_its_parameter():
    folder = pipeline_config.ingest(pipeline_config.Data(source="x", max_side=99))
    assert folder == {"source": "x", "labels": "", "unlabelled": "", "exclude": (), "follow_links": False, "max_side": 99,
                      "min_side": 16, "max_pixels": 64_000_000, "near_duplicate_distance": 0.22, "group_by": "",
                      "eval_fraction": 0.15, "min_eval": 150}  # fmt: skip
    assert pipeline_config.ingest(pipeline_config.Data(source="x", synthetic_seed=3)) == pipeline_config.ingest(
        pipeline_config.Data(source="x", max_bad_fraction=0.5))  # fmt: skip
    assert "synthetic_seed" in pipeline_config.ingest(pipeline_config.Data())
    # What of a folder is read: only where there is one.
    assert "exclude" not in pipeline_config.ingest(pipeline_config.Data(source="tfds:x"))
    assert "exclude" in pipeline_config.ingest(pipeline_config.Data(source="tfds:x", unlabelled="more"))
    # Least photographs of eval: only where a folder is divided.
    assert not any("min_eval" in pipeline_config.ingest(pipeline_config.Data(source=name)) for name in ("synthetic", "tfds:x"))


def test_a_source_without_labels_needs_two_usable_images(tmp_path, photograph_bytes):
    (tmp_path / "a.jpg").write_bytes(photograph_bytes(1))
    (tmp_path / "b.jpg").write_bytes(b"damaged")
    with pytest.raises(DataRefused, match="a source needs at least 2 usable images, but it has 1 usable image .for example b.jpg"):
        inspect(tmp_path)
    (tmp_path / "b.jpg").write_bytes(photograph_bytes(2))
    found = inspect(tmp_path)
    assert found.classes == () and found.photographs.shape == (2, 2)


def test_a_second_source_counts_in_fingerprint_and_photographs_but_not_in_classes(flowers, tmp_path, photograph_bytes):
    (tmp_path / "more" / "lily").mkdir(parents=True)
    (tmp_path / "more" / "lily" / "0.jpg").write_bytes(photograph_bytes(500))
    alone = inspect(flowers)
    both = inspect(flowers, unlabelled=str(tmp_path / "more"))
    assert both.classes == alone.classes and both.fingerprint != alone.fingerprint
    assert len(both.photographs) == len(alone.photographs) + 1 == len(set(both.photographs[:, 0].tolist()))
    (tmp_path / "more" / "lily" / "0.jpg").write_bytes(photograph_bytes(501))
    assert inspect(flowers, unlabelled=str(tmp_path / "more")).fingerprint != both.fingerprint


def test_labels_and_a_second_source_may_be_remote(photograph_bytes):
    """`ram://` stands for any file system that TensorFlow knows."""

    def put(location, content):
        tf.io.gfile.makedirs(location.rpartition("/")[0])
        if tf.io.gfile.exists(location):
            tf.io.gfile.remove(location)  # ram:// would keep the end of a longer file
        with tf.io.gfile.GFile(location, "wb") as file:
            file.write(content)

    def look():
        return inspect("ram://labelled", labels="ram://tables/labels.csv", unlabelled="ram://second")

    for index in range(6):
        put(f"ram://labelled/{index}.jpg", photograph_bytes(600 + index))
    put("ram://second/0.jpg", photograph_bytes(606))
    put("ram://tables/labels.csv", b"path,label\n0.jpg,rose\n1.jpg,rose\n2.jpg,lily\n3.jpg,lily\n")
    found = look()
    assert found.classes == ("lily", "rose") and found.photographs.shape == (7, 2)
    put("ram://tables/labels.csv", b"path,label\n0.jpg,rose\n1.jpg,lily\n2.jpg,rose\n3.jpg,lily\n")
    other_labels = look()
    put("ram://second/0.jpg", photograph_bytes(607))
    assert len({found.fingerprint, other_labels.fingerprint, look().fingerprint}) == 3


def test_a_labels_file_is_for_a_folder():
    with pytest.raises(pipeline_config.ConfigurationError, match="data.labels must be empty, as data.source is synthetic"):
        pipeline_config.Data(labels="labels.csv")


@pytest.mark.parametrize("setting", [{"exclude": ("*.psd",)}, {"follow_links": True}])
def test_what_of_a_folder_is_read_needs_a_folder(setting):
    (name,) = setting
    for source_name in ("synthetic", "tfds:x"):
        with pytest.raises(pipeline_config.ConfigurationError, match=f"data.{name} must be .* as no folder is read"):
            pipeline_config.Data(source=source_name, **setting)
    pipeline_config.Data(source="tfds:x", unlabelled="more", **setting)
    with pytest.raises(pipeline_config.ConfigurationError, match="data.exclude must be glob patterns that are not empty"):
        pipeline_config.Data(source="x", exclude=("/",))


@pytest.mark.parametrize("inside", [("rose", "tulip"), ("train", "val")])
def test_one_level_too_high_names_the_folder_to_take(tmp_path, inside):
    for name in inside:
        for kind in ("rose", "tulip"):
            folder = tmp_path / "unpacked" / "flowers" / name / (kind if name in ("train", "val") else "")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{kind}.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataRefused, match=rf"got one, 'flowers'; if {' and '.join(inside)} in it are classes or splits, name .*"
                       rf"--data {tmp_path}/unpacked/flowers$"):  # fmt: skip
        source.inspect(pipeline_config.Data(source=str(tmp_path / "unpacked")), "")
    with pytest.raises(DataRefused, match=r"got one, '\w+'$"):  # here the folder itself is a class
        source.inspect(pipeline_config.Data(source=str(tmp_path / "unpacked" / "flowers" / "train"
                                                if "train" in inside else tmp_path / "unpacked" / "flowers"),
                                     exclude=("tulip",)), "")  # fmt: skip
