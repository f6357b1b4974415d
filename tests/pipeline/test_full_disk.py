"""A disk that is full: it is recognised whoever says so, the folder is named, and run.json can still be written."""

import contextlib
import errno
import os
import sqlite3
import subprocess
import time

import pytest
from tiny import OPEN_GATE, PATIENCE_SECONDS, PROJECT, TINY

import pipeline_config
from cli import main, run
from contracts import files
from contracts.layout import Layout
from pipeline import full_disk, local, preconditions, run_record

ROOM = "200m"  # of the small file system; a tiny run takes some 20


def full():
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/file")


def wrapped():
    outer = ValueError("a node failed")
    outer.__cause__ = full()
    return outer


@pytest.mark.parametrize("error", [
    full(), OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), wrapped(), sqlite3.OperationalError("database or disk is full"),
    RuntimeError("RESOURCE_EXHAUSTED: /a/b; No space left on device [[node Save]]"),
], ids=["full", "quota", "wrapped", "SQLite", "TensorFlow"])  # fmt: skip
def test_it_is_recognised_whoever_says_it(error):
    assert full_disk.is_full(error)
    assert not full_disk.is_full(ValueError("the disc is fuller"))


def test_the_folder_with_the_least_room_is_named_also_where_it_is_not_there_yet(tmp_path):
    said = full_disk.sentence(tmp_path / "not" / "made")
    assert said.startswith("the disk is full: /") and "MB left; make room there, and the same command continues" in said


def test_the_reserve_is_room_until_it_is_released(tmp_path):
    full_disk.reserve(tmp_path)
    assert sum(path.stat().st_blocks * 512 for path in tmp_path.iterdir()) >= full_disk.RESERVE_BYTES
    full_disk.release(tmp_path)
    full_disk.release(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_verb_ends_in_one_line(tmp_path, monkeypatch, capsys):
    def fails(*arguments):
        raise full()

    monkeypatch.setattr(main, "without_arguments", fails)
    assert main.main(["registry", "list", "--root", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("flowers: the disk is full: ") and said.count("\n") == 1


def test_a_dir_without_room_is_refused_before_anything_begins(tmp_path, monkeypatch):
    def fails(**options):
        raise full()

    monkeypatch.setattr(preconditions.tempfile, "NamedTemporaryFile", fails)
    with pytest.raises(preconditions.ConfigurationError, match="No space left on device; make room there"):
        preconditions.require_writable(Layout.at(str(tmp_path)))


def test_a_run_that_finds_no_room_leaves_no_trace_of_having_begun(tmp_path, monkeypatch):
    def fails(path, data):
        raise full()

    monkeypatch.setattr(full_disk.pathlib.Path, "write_bytes", fails)
    with pytest.raises(OSError, match="No space left"):
        run.run(pipeline_config.QUICK, Layout.at(str(tmp_path)), output=run.Output.QUIET)
    assert not list((tmp_path / "runs").iterdir()) and not (tmp_path / "latest").exists()


def test_a_run_whose_disk_is_full_is_recorded_as_failed_in_the_room_that_was_kept(tmp_path, monkeypatch, capfd):
    layout, seen = Layout.at(str(tmp_path)), []

    def fails(*arguments):
        seen.extend(layout.root.rglob(".reserve"))
        raise wrapped()

    monkeypatch.setattr(local, "prepare", fails)
    assert run.run(pipeline_config.QUICK, layout, output=run.Output.QUIET) == 1
    record = files.read_json(layout.latest / "run.json")
    assert record["status"] == "failed" and record["error"].startswith("the disk is full: ")
    assert len(seen) == 1 and not list(layout.root.rglob(".reserve"))
    assert "the disk is full" in capfd.readouterr().err


def test_the_reserve_of_a_run_that_was_killed_is_given_back_by_the_next(tmp_path, monkeypatch):
    layout = Layout.at(str(tmp_path))
    run_record.begin(run_record.Start("20260101-000000-0000", "2026-01-01T00:00:00+00:00", pipeline_config.QUICK), layout)
    full_disk.reserve(layout.run("20260101-000000-0000"))

    def fails(*arguments):
        raise ValueError("x")

    monkeypatch.setattr(local, "prepare", fails)
    assert run.run(pipeline_config.QUICK, layout, output=run.Output.QUIET) == 1
    assert files.read_json(layout.run("20260101-000000-0000") / "run.json")["status"] == "killed"
    assert not list(layout.root.rglob(".reserve"))


@pytest.fixture
def small_file_system(tmp_path):
    """A folder with a file system of its own (tmpfs(5))."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path):
    """Writes until nothing more fits."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while file.write(bytes(1 << 16)) == 1 << 16:
            pass
        while True:
            file.write(b"x")


# A whole run, in two parts.
@pytest.mark.slow
def test_a_disk_that_fills_during_pre_training_is_recorded_and_once_there_is_room_the_same_command_completes(
    small_file_system, small_folder, forked
):
    folder = small_file_system
    layout = Layout.at(str(folder / "DIR"))
    sets = [argument for setting in (*TINY, *OPEN_GATE) for argument in ("--set", setting)]
    command = ["-m", "pipeline", "run", "--quiet", "--data", str(small_folder), "--root", str(layout.root), *sets]
    process = forked.Process(command, cwd=PROJECT, stderr=forked.PIPE, text=True)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (run_record.newest(layout) or {}).get("failing_node") != "Pretrain":
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    fill(folder / "filler")
    said = process.communicate(timeout=PATIENCE_SECONDS)[1]
    record = run_record.newest(layout)
    assert process.returncode == 1 and said.count("\n") == 1, said
    assert f"the disk is full: {folder}" in said and "Traceback" not in said
    assert (record["status"], record["failing_node"]) == ("failed", "Pretrain") and str(folder) in record["error"]

    (folder / "filler").unlink()
    forked.run(command, cwd=PROJECT, check=True, timeout=PATIENCE_SECONDS)
    record = run_record.newest(layout)
    assert record["status"] == "finished" and record["registry"]["alias"] == "champion"
    assert record["cached_nodes"] == ["ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "DataGate"]
