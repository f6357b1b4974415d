"""Promises of the curated schema: what of a split is an anomaly, as TensorFlow Data Validation judges it."""

import io

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from PIL import Image
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.errors import DataRefused
from components.schema_gen import curated_schema, statistics_options

CLASSES = ("daisy", "rose")


def jpeg(color):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), color).save(buffer, "JPEG")
    return buffer.getvalue()


def example(index, **changed):
    values = {
        "image": [jpeg((index, 0, 0))], "label": [index % 2], "class_name": [CLASSES[index % 2].encode()],
        "content_hash": [f"{index:064x}".encode()], "source_path": [f"daisy/{index}.jpg".encode()]} | changed  # fmt: skip
    features = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=value)) if name == "label"
        else tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
        for name, value in values.items() if value is not None
    }  # fmt: skip
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@pytest.fixture(scope="module")
def statistics(tmp_path_factory):
    def compute(rows):
        path = str(tmp_path_factory.mktemp("records") / "data.gz")
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for row in rows:
                writer.write(row)
        return tfdv.generate_statistics_from_tfrecord(path, stats_options=statistics_options())

    return compute


@pytest.fixture(scope="module")
def train(statistics):
    return statistics([example(i) for i in range(120)])


@pytest.fixture(scope="module")
def schema(train):
    return curated_schema(train.datasets[0], has_unlabelled=False)


def test_the_train_split_itself_has_no_anomaly(train, schema):
    assert not tfdv.validate_statistics(train, schema).anomaly_info


def test_image_statistics_are_computed(train):
    (image,) = [feature for feature in train.datasets[0].features if feature.path.step[0] == "image"]
    formats = {stat.name: stat for stat in image.custom_stats}["image_format_histogram"].rank_histogram.buckets
    assert [(bucket.label, bucket.sample_count) for bucket in formats] == [("jpeg", 120)]


def test_what_differs_in_every_example_is_not_counted_but_class_names_are(train):
    """Presence and number of values are known of each feature, so that a missing or a second one is still an anomaly."""
    found = {feature.path.step[0]: feature for feature in train.datasets[0].features}
    assert found["class_name"].string_stats.unique == 2
    assert sorted((bucket.label, bucket.sample_count) for bucket in found["class_name"].string_stats.rank_histogram.buckets) == [
        ("daisy", 60), ("rose", 60)]  # fmt: skip
    for name in ("image", "content_hash", "source_path"):
        common = (found[name].bytes_stats if name == "image" else found[name].string_stats).common_stats
        assert (common.num_non_missing, common.max_num_values) == (120, 1)
        assert found[name].string_stats.unique == 0 and not found[name].string_stats.rank_histogram.buckets


def test_every_one_of_thousands_of_class_names_is_counted(statistics):
    names = [f"species {index:04d} of a flora with long names {'x' * (1100 if index == 7 else 1)}" for index in range(3000)]
    train = statistics([example(i, class_name=[name.encode()], label=[i]) for i, name in enumerate(names)])
    schema = curated_schema(train.datasets[0], has_unlabelled=False)
    (domain,) = [feature.string_domain for feature in schema.feature if feature.name == "class_name"]
    assert list(domain.value) == sorted(names)


def test_a_small_split_has_no_anomaly(statistics, schema):
    assert not tfdv.validate_statistics(statistics([example(i) for i in range(4)]), schema).anomaly_info


@pytest.mark.parametrize(
    ("feature", "changed"),
    [
        ("class_name", {"class_name": [b"tulip"]}),  # a class that only eval has
        ("label", {"label": [2]}),
        ("label", {"label": [-1]}),
        ("image", {"image": [jpeg((1, 2, 3)), jpeg((3, 2, 1))]}),  # two images in one example
        ("image", {"image": []}),
        ("content_hash", {"content_hash": None}),
        ("source_path", {"source_path": None}),
        ("colour", {"colour": [b"red"]}),  # a feature that nobody knows
    ],
)
def test_a_single_wrong_example_is_an_anomaly(statistics, schema, feature, changed):
    rows = [example(i) for i in range(120)]
    rows[7] = example(7, **changed)
    assert set(tfdv.validate_statistics(statistics(rows), schema).anomaly_info) == {feature}


def test_bytes_that_are_no_image_are_an_anomaly(statistics, schema):
    rows = [example(i, **({"image": [b"no image"]} if i % 10 == 0 else {})) for i in range(120)]
    assert set(tfdv.validate_statistics(statistics(rows), schema).anomaly_info) == {"image"}


def test_an_empty_train_split_is_refused():
    with pytest.raises(DataRefused, match="train split has no photograph"):
        curated_schema(statistics_pb2.DatasetFeatureStatistics(), has_unlabelled=False)


def test_unlabelled_photographs_are_no_anomaly_where_there_are_some(train, statistics):
    unlabelled = {"label": [-1], "class_name": [b""]}
    schema = curated_schema(train.datasets[0], has_unlabelled=True)
    assert not tfdv.validate_statistics(statistics([example(i, **unlabelled) for i in range(4)]), schema).anomaly_info
    wrong = statistics([example(i, **unlabelled | {"label": [-2]}) for i in range(4)])
    assert set(tfdv.validate_statistics(wrong, schema).anomaly_info) == {"label"}


def test_without_any_label_nothing_else_is_allowed(statistics):
    schema = curated_schema(statistics_pb2.DatasetFeatureStatistics(), has_unlabelled=True)
    unlabelled = {"label": [-1], "class_name": [b""]}
    assert not tfdv.validate_statistics(statistics([example(i, **unlabelled) for i in range(4)]), schema).anomaly_info
    assert set(tfdv.validate_statistics(statistics([example(0)]), schema).anomaly_info) == {"label", "class_name"}
