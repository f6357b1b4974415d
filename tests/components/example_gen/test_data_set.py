"""Promises of a TFDS data set as a source: undecoded bytes, splits, fingerprint, names that do not exist."""

import collections
import pathlib
import pickle
import shutil

import pytest
import tensorflow_datasets as tfds
from etils import epath

from components.errors import DataRefused, SourceNotFound
from components.example_gen import data_set


@pytest.fixture(scope="module")
def stored(tmp_path_factory, photograph_bytes):
    """Writes data sets with TFDS; only their files remain, as after any download. Gives directory and images by split."""
    directory = tmp_path_factory.mktemp("data_sets")

    def store(name, splits, species=lambda index: index % 2):
        class Stored(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            VERSION = tfds.core.Version("1.2.0")
            code_path = epath.Path(__file__)

            def _info(self):
                return self.dataset_info_from_configs(features=tfds.features.FeaturesDict({
                    "picture": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "species": tfds.features.ClassLabel(names=["rose", "daisy"]),
                    "note": tfds.features.Text(),
                }))  # fmt: skip

            def _split_generators(self, dl_manager):
                return {split: self._generate_examples(images) for split, images in splits.items()}

            def _generate_examples(self, images):
                for index, image in enumerate(images):
                    yield index, {"picture": image, "species": species(index), "note": "unused"}

        Stored.name = name
        Stored(data_dir=str(directory)).download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False))  # fmt: skip

    images = {
        "train": [photograph_bytes(i, quality=31) for i in range(20)],
        "test": [photograph_bytes(100 + i, quality=31) for i in range(6)],
    }
    store("two_splits", images)
    store("one_split", {"train": images["train"]})
    store("no_train", {"test": images["test"]})
    store("some_labels", images | {"unlabelled": images["train"][:4]}, lambda index: -1 if index % 4 == 3 else index % 2)
    return str(directory), images


def opened(name, directory, eval_fraction=0.15):
    return data_set.open_data_set(f"tfds:{name}", "tfds", data_set.prepare(name, directory), eval_fraction)


def read_all(source):
    """Every image, by elements that were sent to another process before they were read."""
    return [one for element in source.elements("") for one in pickle.loads(pickle.dumps(element)).images(10_000)]


def test_image_bytes_pass_through_undecoded(stored):
    directory, images = stored
    source = opened("two_splits", directory)
    expected = [(("rose", "daisy")[i % 2], "train", image) for i, image in enumerate(images["train"])]
    expected += [(("rose", "daisy")[i % 2], "eval", image) for i, image in enumerate(images["test"])]
    found = read_all(source)
    assert sorted((e.class_name, e.split, e.data) for e in found) == sorted(expected)
    assert len({e.path for e in found}) == 26


def test_classes_are_sorted_and_splits_chosen(stored):
    directory, _ = stored
    both = opened("two_splits", directory)
    assert both.classes == ("daisy", "rose")
    assert both.splits == {"train": "train", "eval": "test"}
    one = opened("one_split", directory)
    assert one.splits == {"train": "train[:85%]", "eval": "train[85%:]"}  # as published results on tf_flowers
    assert collections.Counter(e.split for e in read_all(one)) == {"train": 17, "eval": 3}
    assert opened("one_split", directory, 0.333).splits == {"train": "train[:13]", "eval": "train[13:]"}
    with pytest.raises(DataRefused, match="must have a split called train"):
        opened("no_train", directory)


def test_the_fingerprint_follows_the_record_files(stored, tmp_path):
    directory, _ = stored
    before = opened("two_splits", directory).fingerprint()
    shutil.copytree(directory, tmp_path / "copy")
    assert opened("two_splits", str(tmp_path / "copy")).fingerprint() == before
    record = next(pathlib.Path(tmp_path / "copy" / "two_splits").rglob("*-test.tfrecord*"))
    content = bytearray(record.read_bytes())
    content[40] ^= 1
    record.write_bytes(content)
    assert opened("two_splits", str(tmp_path / "copy")).fingerprint() != before
    assert opened("one_split", directory).fingerprint() != opened("one_split", directory, 0.25).fingerprint()


def test_looking_over_skips_classes_of_which_there_are_enough(stored):
    directory, _ = stored
    source = opened("two_splits", directory)
    assert {encoded.class_name for encoded in source.encoded({"daisy"}, 10_000)} == {"rose"}


@pytest.mark.parametrize("name", ["tf_flower", "oxford_flower102", "tf_flowers:99.0.0"])
def test_an_unknown_name_is_answered_with_the_nearest(name, tmp_path):
    with pytest.raises(SourceNotFound, match="tf_flowers|oxford_flowers102"):
        data_set.prepare(name, str(tmp_path))


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "no such thing"])
def test_nonsense_is_no_data_set(name, tmp_path):
    with pytest.raises(SourceNotFound, match="TensorFlow Datasets has no"):
        data_set.prepare(name, str(tmp_path))


def test_every_image_of_every_split_is_given_labels_aside(stored):
    directory, images = stored
    for name, splits in (("two_splits", ("test", "train")), ("no_train", ("test",))):
        found = list(data_set.images(f"tfds:{name}", data_set.prepare(name, directory)))
        assert sorted(one.data for one in found) == sorted(image for split in splits for image in images[split])
        assert len({one.path for one in found}) == len(found) and not any(one.class_name or one.reason for one in found)


def test_a_split_without_labels_and_a_label_of_minus_one_are_unlabelled(stored):
    directory, images = stored
    source = opened("some_labels", directory)
    assert source.splits == {"train": "train", "eval": "test", "unlabelled": "unlabelled"} and source.unused == ()
    assert source.split_rule == "train and test of the data set, unlabelled without labels"
    without = [image for split in images.values() for image in split[3::4]] + images["train"][:4]
    found = list(source.encoded(set(), 10_000))
    assert sorted(one.data for one in found if one.split == "unlabelled") == sorted(without)
    assert {one.class_name for one in found if one.split == "unlabelled"} == {""}
    assert {one.class_name for one in found if one.split != "unlabelled"} == {"rose", "daisy"}
    assert collections.Counter(e.split for e in read_all(source)) == {"train": 15, "eval": 5, "unlabelled": 10}


def test_a_second_data_set_is_unlabelled_in_all_its_splits(stored):
    directory, images = stored
    source = data_set.open_unlabelled("tfds:two_splits", "tfds", data_set.prepare("two_splits", directory))
    assert source.classes == ()
    found = read_all(source)
    assert sorted((e.class_name, e.split, e.data) for e in found) == sorted(
        ("", "unlabelled", image) for split in images.values() for image in split)  # fmt: skip
    assert len({e.path for e in found}) == 26
