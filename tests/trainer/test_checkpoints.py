import pathlib
import threading

import numpy as np
import pytest
import tensorflow as tf

from trainer.checkpoints import KEPT, Checkpoints, Measured


def saved(directory, steps=(5,)):
    variable = tf.Variable([0.0])
    checkpoints = Checkpoints(str(directory), [variable])
    for step in steps:
        variable.assign([float(step)])
        checkpoints.step, checkpoints.seconds = step, 2.5
        checkpoints.history.append({"epoch": step, "loss": -0.5})
        checkpoints.measured = Measured([-0.25], [0.9], [np.full((4, 2), step, np.float32)])
        checkpoints.save()
        checkpoints.wait()


def reopen(directory):
    variable = tf.Variable([-1.0])
    checkpoints = Checkpoints(str(directory), [variable])
    return checkpoints, checkpoints.restore(), variable.numpy()


def test_everything_comes_back(tmp_path):
    saved(tmp_path)
    checkpoints, step, value = reopen(tmp_path)
    assert (step, checkpoints.step, checkpoints.seconds) == (5, 5, 2.5)
    assert checkpoints.history == [{"epoch": 5, "loss": -0.5}]
    assert (checkpoints.measured.losses, checkpoints.measured.ratios) == ([-0.25], [0.9])
    np.testing.assert_array_equal(checkpoints.measured.outputs, [np.full((4, 2), 5.0)])
    np.testing.assert_array_equal(value, [5.0])


def test_an_empty_directory_starts_at_0(tmp_path):
    _, step, value = reopen(tmp_path)
    assert step == 0 and value == [-1.0]


def test_a_remote_directory_serves_as_well():
    saved("ram://checkpoints/a")
    assert reopen("ram://checkpoints/a")[1] == 5


def test_old_checkpoints_go(tmp_path):
    saved(tmp_path, range(1, 8))
    assert len(list(tmp_path.glob("*.index"))) == KEPT


def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, caplog):
    saved(tmp_path, (5, 6))
    (data,) = pathlib.Path(tmp_path).glob("*-6.data*")
    data.write_bytes(data.read_bytes()[:3])
    _, step, value = reopen(tmp_path)
    assert step == 5 and value == [5.0]
    assert "ckpt-6 cannot be read" in caplog.text


@pytest.mark.parametrize("directory", ["local", "ram://checkpoints/removed"])
def test_what_was_removed_is_never_continued(tmp_path, directory):
    directory = directory if "://" in directory else tmp_path / directory
    saved(directory, (5, 6))
    checkpoints, step, _ = reopen(directory)
    checkpoints.remove()
    checkpoints.remove()  # also where there is nothing
    assert step == 6 and reopen(directory)[1] == 0


@pytest.mark.parametrize(("value", "finite"), [(1e30, True), (float("inf"), False), (float("nan"), False)])
def test_values_that_are_no_numbers_are_known(tmp_path, value, finite):
    assert Checkpoints(str(tmp_path), [tf.Variable([0.0, value]), tf.Variable(3)]).are_finite() is finite


def test_where_none_can_be_read_the_error_says_what_to_do(tmp_path):
    saved(tmp_path)
    for data in pathlib.Path(tmp_path).glob("*.data*"):
        data.write_bytes(b"")
    with pytest.raises(RuntimeError, match="remove that directory"):
        reopen(tmp_path)


def test_files_without_the_record_that_names_them_are_not_read(tmp_path):
    """A process killed before the record is written leaves the one before it in force."""
    saved(tmp_path, (5,))
    record = (tmp_path / "checkpoint").read_text()
    saved(tmp_path, (6,))
    (tmp_path / "checkpoint").write_text(record)
    assert reopen(tmp_path)[1] == 5


@pytest.fixture
def slow_writer(monkeypatch):
    """Writing waits for `go`; `fails` makes it fail instead."""
    go, fails = threading.Event(), threading.Event()
    original = tf.train.CheckpointManager.save

    def save(self, **arguments):
        assert go.wait(30)
        if fails.is_set():
            raise tf.errors.PermissionDeniedError(None, None, "no permission to write")
        return original(self, **arguments)

    monkeypatch.setattr(tf.train.CheckpointManager, "save", save)
    yield go, fails
    go.set()


def test_training_goes_on_while_a_bucket_is_written_to_and_the_checkpoint_is_of_the_step_that_it_names(slow_writer):
    go, _ = slow_writer
    variable = tf.Variable([5.0])
    checkpoints = Checkpoints("ram://checkpoints/beside", [variable])
    checkpoints.step, checkpoints.measured = 5, Measured([-0.25], [0.9], [np.full((4, 2), 5, np.float32)])
    checkpoints.save()
    variable.assign([6.0])
    checkpoints.step = 6
    checkpoints.measured.losses.append(-0.5)
    assert checkpoints.saved_step == 0
    go.set()
    checkpoints.wait()
    assert checkpoints.saved_step == 5 and checkpoints.cost > 0
    again, step, value = reopen("ram://checkpoints/beside")
    assert step == 5 and value == [5.0] and again.measured.losses == [-0.25]


def test_a_bucket_that_cannot_be_written_to_ends_the_run_at_the_next_checkpoint(slow_writer):
    go, fails = slow_writer
    checkpoints = Checkpoints("ram://checkpoints/refused", [tf.Variable([5.0])])
    fails.set(), go.set()
    checkpoints.save()
    with pytest.raises(tf.errors.PermissionDeniedError):
        checkpoints.save()
