"""The TFDS data set: reuse, other parameters, splits, and what Beam and tf.data read back."""

import apache_beam as beam
import pytest
import tensorflow_datasets as tfds
from apache_beam.testing.util import assert_that, equal_to

from components.synthetic_flowers import builder, scene
from components.synthetic_flowers.species import NAMES


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("datasets"))


@pytest.fixture(scope="module")
def prepared(data_dir) -> tfds.core.DatasetBuilder:
    return builder.prepare(data_dir, images=40, labelled=40, side=32, seed=3, eval_fraction=0.25)


def records(data_set: tfds.core.DatasetBuilder, split: str) -> set[tuple[bytes, int]]:
    decoders = {"image": tfds.decode.SkipDecoding()}
    examples = tfds.as_numpy(data_set.as_dataset(split=split, decoders=decoders))
    return {(example["image"], int(example["label"])) for example in examples}


def test_splits_hold_the_pictures_by_index(prepared):
    expected = [(scene.draw_jpeg(3, index, 32), index % 5) for index in range(40)]
    assert records(prepared, "train") == set(expected[:30])
    assert records(prepared, "eval") == set(expected[30:])
    assert prepared.info.features["label"].names == list(NAMES)


def test_flowers_beyond_those_with_labels_are_a_split_without_labels(tmp_path):
    """The pictures are those of a data set with all labels: only what is known of them differs."""
    found = builder.prepare(str(tmp_path), images=40, labelled=20, side=32, seed=3, eval_fraction=0.25)
    pictures = [scene.draw_jpeg(3, index, 32) for index in range(40)]
    assert records(found, "train") == {(pictures[index], index % 5) for index in range(20)}
    assert records(found, "unlabelled") == {(pictures[index], -1) for index in range(20, 30)}
    assert records(found, "eval") == {(pictures[index], index % 5) for index in range(30, 40)}


def test_a_data_set_drawn_again_is_the_same(prepared, tmp_path):
    again = builder.prepare(str(tmp_path), images=40, labelled=40, side=32, seed=3, eval_fraction=0.25)
    for split in ("train", "eval"):
        assert records(again, split) == records(prepared, split)
        assert again.info.splits[split].shard_lengths == prepared.info.splits[split].shard_lengths


def test_beam_reads_it_undecoded(prepared):
    expected = [(scene.draw_jpeg(3, index, 32), index % 5) for index in range(30, 40)]
    with beam.Pipeline("DirectRunner") as pipeline:
        found = (
            pipeline
            | tfds.beam.ReadFromTFDS(prepared, split="eval", decoders={"image": tfds.decode.SkipDecoding()})
            | beam.Map(tfds.as_numpy)
            | beam.Map(lambda example: (example["image"], int(example["label"])))
        )
        assert_that(found, equal_to(expected))


def test_the_same_parameters_find_it_again(prepared, data_dir, monkeypatch):
    def refuse(*_):
        raise AssertionError("a picture was drawn again")

    monkeypatch.setattr(scene, "draw_jpeg", refuse)
    again = builder.prepare(data_dir, images=40, labelled=40, side=32, seed=3, eval_fraction=0.25)
    assert again.data_path == prepared.data_path


@pytest.mark.parametrize("change", [{"images": 41}, {"labelled": 20}, {"side": 33}, {"seed": 4}, {"eval_fraction": 0.5}])
def test_other_parameters_have_a_directory_of_their_own(prepared, data_dir, change):
    parameters = {"images": 40, "labelled": 40, "side": 32, "seed": 3, "eval_fraction": 0.25} | change
    other = builder.SyntheticFlowers(config=builder.configuration(**parameters), data_dir=data_dir)
    assert other.data_path != prepared.data_path and not other.is_prepared()


def test_a_failure_leaves_nothing_that_counts_as_prepared(tmp_path, monkeypatch):
    parameters = {"images": 20, "labelled": 20, "side": 16, "seed": 1, "eval_fraction": 0.3}
    with monkeypatch.context() as patch, pytest.raises(Exception, match="out of paint"):
        patch.setattr(scene, "compose", lambda *_: (_ for _ in ()).throw(RuntimeError("out of paint")))
        builder.prepare(str(tmp_path), **parameters)
    half_done = builder.SyntheticFlowers(config=builder.configuration(**parameters), data_dir=str(tmp_path))
    assert not half_done.is_prepared()
    assert builder.prepare(str(tmp_path), **parameters).info.splits.total_num_examples == 20


@pytest.mark.parametrize(
    ("images", "eval_fraction", "eval_images"),
    [(2400, 0.15, 360), (20, 0.15, 5), (20, 0.99, 10), (21, 0.5, 10), (1000, 0.001, 5)],
)
def test_every_species_is_in_both_splits(images, eval_fraction, eval_images):
    """At least 5 consecutive pictures for evaluation and 10 for training: one and two of each species."""
    assert builder.configuration(images, images, 64, 7, eval_fraction).eval_images == eval_images


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": 19}, "images of the synthetic flowers must be at least 20, got 19"),
        ({"labelled": 9}, "labelled .* at least 10, two of each species, got 9"),
        ({"side": 8}, "side .* between 16 and 1024 pixels, got 8"),
        ({"seed": -1}, "seed .* 0 or more, got -1"),
        ({"eval_fraction": 1.0}, "eval_fraction .* between 0 and 1, both excluded, got 1.0"),
    ],
)
def test_parameters_out_of_range_are_named(change, message):
    parameters = {"images": 100, "labelled": 100, "side": 64, "seed": 0, "eval_fraction": 0.15} | change
    with pytest.raises(ValueError, match=message):
        builder.configuration(**parameters)


def test_flowers_that_older_code_drew_are_not_found(monkeypatch):
    from components.synthetic_flowers import builder

    parameters = {"images": 40, "labelled": 40, "side": 32, "seed": 1, "eval_fraction": 0.15}
    present = builder.configuration(**parameters).name
    assert present == builder.configuration(**parameters).name
    monkeypatch.setattr(builder, "drawing_code", lambda: "0" * 64)
    assert builder.configuration(**parameters).name != present
