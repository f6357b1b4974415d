"""The train split in memory and streamed, on the same two TFRecords: 28 photographs, canvases of 24 pixels (1,728 bytes each)."""

import collections
import dataclasses
import json
import logging

import numpy as np
import pytest
import trainer_arguments

from trainer import checkpoints, loop, photographs, pretrain
from trainer.photographs import StreamedPhotographs, open_train_split

SIDE = 24
# 28 x 1,728 bytes = 48,384 bytes.
ENOUGH, TOO_LITTLE = 0.048384, 0.048383


@pytest.fixture(scope="module")
def files(record_files):
    return [record_files["train"], record_files["eval"]]


@pytest.fixture(scope="module")
def cached(files):
    return open_train_split(files, SIDE, ENOUGH)


@pytest.fixture(scope="module")
def streamed(files):
    return open_train_split(files, SIDE, TOO_LITTLE)


def contents(batches):
    """The photographs of `batches` in their order, each as bytes."""
    return [canvas.tobytes() for canvases, _ in batches for canvas in canvases]


def test_the_budget_decides_to_the_byte_and_says_so(files, caplog):
    with caplog.at_level(logging.INFO, "trainer"):
        assert isinstance(open_train_split(files, SIDE, ENOUGH), photographs.Photographs)
        assert isinstance(open_train_split(files, SIDE, TOO_LITTLE), StreamedPhotographs)
    first, second = (record.getMessage() for record in caplog.records)
    assert "decoded once: 28 canvases of 24 pixels" in first and "pretrain.memory_megabytes" in first
    assert "streamed and decoded in every epoch: 28 canvases" in second and "pretrain.memory_megabytes is 0.048383" in second


def test_the_shuffle_buffer_fits_the_budget(files):
    listing = photographs.list_records(files)
    shuffled = open_train_split(files, SIDE, 0.02).shuffle_records
    assert 1 < shuffled < 28
    assert shuffled * listing.encoded_bytes / 28 <= 20_000 / 2


@pytest.mark.parametrize("kind", ["cached", "streamed"])
def test_each_photograph_comes_exactly_once_an_epoch(kind, cached, request):
    split = request.getfixturevalue(kind)
    seen = contents(split.batches(7, seed=0, epoch=0))
    assert collections.Counter(seen) == collections.Counter(canvas.tobytes() for canvas in cached.canvases)


@pytest.mark.parametrize("kind", ["cached", "streamed"])
def test_the_order_follows_from_seed_and_epoch(kind, request):
    split = request.getfixturevalue(kind)

    def order(**changes):
        return contents(split.batches(7, **{"seed": 0, "epoch": 0} | changes))

    assert order() == order()
    assert order() != order(epoch=1) != order(epoch=2)
    assert order() != order(seed=1)


@pytest.mark.parametrize("kind", ["cached", "streamed"])
def test_an_epoch_continues_at_any_batch(kind, request):
    """Of 28 photographs, batches of 8 leave out 4."""
    split = request.getfixturevalue(kind)
    whole = list(split.batches(8, seed=3, epoch=1))
    assert len(whole) == 3
    for first in range(4):
        rest = list(split.batches(8, seed=3, epoch=1, first=first))
        assert contents(rest) == contents(whole[first:])


def test_streamed_photographs_equal_cached_ones(cached, streamed):
    """Aspects too: each of them belongs to its photograph."""
    assert streamed.class_names == cached.class_names
    np.testing.assert_array_equal(streamed.labels, cached.labels)

    def by_content(split):
        return {canvas.tobytes(): aspect for batch in split.batches(7, seed=0, epoch=0) for canvas, aspect in zip(*batch)}

    assert by_content(streamed) == by_content(cached)


def test_streaming_mixes_what_lies_together(files, streamed):
    """The two files hold 20 and 8 photographs; batches with photographs of both show that they are not read one after the other."""
    second = {canvas.tobytes() for canvas in photographs.read_photographs(files[1:], SIDE).canvases}
    from_second = [sum(one in second for one in contents([batch])) for batch in streamed.batches(7, seed=0, epoch=0)]
    assert sum(from_second) == 8 and max(from_second) < 7


def test_chosen_views_are_the_same_from_either(cached, streamed):
    chosen = np.array([0, 3, 4, 19, 20, 27])
    ours, theirs = (np.concatenate(list(split.views(chosen, 16, 4))) for split in (cached, streamed))
    assert ours.shape == (6, 16, 16, 3)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(ours[3], photographs.views_of_canvases(cached.canvases[19:20], 16)[0])


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


# It trains three times; test_determinism.py resumes a streamed run bit for bit in the fast set.
@pytest.mark.slow
def test_a_killed_run_on_streamed_photographs_continues_to_the_same_weights(streamed, settings, tmp_path, monkeypatch):
    """3 steps an epoch, a checkpoint after each step: the fifth lies inside the second epoch."""

    def run(name):
        places = {"checkpoint_dir": str(tmp_path / name), "log_dir": str(tmp_path / "logs")}
        result = loop.pretrain(streamed, settings, **places, neighbours=3)
        return result.report, [variable.numpy() for variable in result.model.all_variables]

    report, whole = run("whole")
    original = checkpoints.Checkpoints.save

    def save(self):
        original(self)
        if self.step == 5:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Checkpoints, "save", save)
        with pytest.raises(Killed):
            run("killed")
    resumed_report, resumed = run("killed")
    assert resumed_report["resumed_from_step"] == 5 and resumed_report["steps"] == report["steps"] == 6
    assert resumed_report["knn_train_top1"] == report["knn_train_top1"]
    for a, b in zip(whole, resumed):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_run_fn_streams_where_the_setting_says_so(record_files, settings, embedding, tmp_path, caplog):
    """The TFX entry point passes the setting on, and leaves the same kind of report."""
    small = dataclasses.replace(settings, epochs=1, memory_megabytes=0.01)
    arguments = trainer_arguments.of_pretrain(tmp_path, [record_files["train"]], small, embedding)
    with caplog.at_level(logging.INFO, "trainer"):
        pretrain.run_fn(arguments)
    assert "streamed and decoded in every epoch: 20 canvases" in caplog.text
    assert json.loads((tmp_path / "run" / "pretrain.json").read_text())["steps"] == 2
