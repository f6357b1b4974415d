"""What is collected of older runs, and what never is."""

import json
import os
import pathlib
import shutil

import pytest
from tiny import OPEN_GATE, PATIENCE_SECONDS, PROJECT, TINY

from cli.clean import amount
from cli.main import main
from contracts.layout import Layout, point_latest_at, run_lock
from pipeline import clean, metadata


def made(layout, number, status="finished", schedule=None):
    run_id = f"2026010{number}-000000-0000"
    folder = layout.run(run_id)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"status": status, "schedule": schedule}))
    (folder / "log.txt").write_text("x" * 100)
    checkpoint = layout.checkpoints / f"key{number}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "weights").write_bytes(bytes(1000))
    os.utime(checkpoint, (number, number))
    point_latest_at(layout, run_id)
    return run_id


def collected(layout, keep, registered_by=()):
    return {kind.title.split()[0]: [str(path.relative_to(layout.root)) for path in kind.paths]
            for kind in clean.plan(layout, keep, set(registered_by))}  # fmt: skip


@pytest.fixture
def layout(tmp_path):
    return Layout.at(str(tmp_path / "DIR"))


def test_the_newest_runs_and_checkpoints_stay(layout):
    runs = [made(layout, number) for number in (1, 2, 3)]
    found = collected(layout, 2)
    assert found["logs,"] == [f"runs/{runs[0]}"] and found["checkpoints"] == ["checkpoints/key1"]
    assert [kind.size for kind in clean.plan(layout, 2, set())] == [0, 1000, 0, 0, 100 + len('{"status": "finished", "schedule": null}')]
    assert collected(layout, 5) == dict.fromkeys(found, [])


def test_the_newest_finished_run_stays_however_many_were_killed_after_it(layout):
    runs = [made(layout, 1), made(layout, 2), made(layout, 3, "killed"), made(layout, 4, "interrupted")]
    assert collected(layout, 1)["logs,"] == [f"runs/{run}" for run in (runs[0], runs[2])]


def test_records_that_a_version_or_a_schedule_needs_stay(layout):
    registered, scheduled, *_ = [made(layout, 1), made(layout, 2, schedule="weekly"), made(layout, 3)]
    assert collected(layout, 1, [registered])["logs,"] == [f"runs/{registered}/log.txt", f"runs/{scheduled}/log.txt"]
    clean.carry_out(layout, clean.plan(layout, 1, {registered}))
    assert [path.name for path in layout.run(registered).iterdir()] == ["run.json"]
    assert collected(layout, 1, [registered])["logs,"] == []


def test_what_is_behind_a_link_is_not_removed(layout, tmp_path):
    made(layout, 1)
    elsewhere = tmp_path / "elsewhere"
    shutil.move(layout.checkpoints, elsewhere)
    layout.checkpoints.mkdir()
    (layout.checkpoints / "key1").symlink_to(elsewhere / "key1")
    made(layout, 2)
    assert collected(layout, 1)["checkpoints"] == []


def test_nothing_is_removed_while_a_run_is_active(layout, capsys):
    made(layout, 1)
    made(layout, 2)
    with run_lock(layout.lock):
        assert main(["clean", "--keep", "1", "--root", str(layout.root)]) == 2
    assert "another run" in capsys.readouterr().err and len(list(layout.root.glob("runs/*"))) == 2


@pytest.mark.parametrize(("arguments", "message"), [(["--keep", "0"], "--keep must be 1 or more"), ([], "--root must be a folder below")])
def test_what_cannot_be_meant_is_refused(tmp_path, capsys, arguments, message):
    assert main(["clean", *arguments, "--root", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (99_500, "100 kB"), (999_600, "1.0 MB"),
                                            (2_345_678_901, "2.3 GB")])  # fmt: skip
def test_bytes_have_a_unit(size, text):
    assert amount(size) == text


def test_every_output_of_the_newest_finished_run_is_there_afterwards_and_none_of_a_former_one_is_served(finished_run, tmp_path):
    root = tmp_path / "DIR"
    shutil.copytree(finished_run.root, root, symlinks=True)
    layout = Layout.at(str(root))
    (root / "artifacts/Pretrain/model/999").mkdir()  # of a run that has no record any more
    assert root / "artifacts/Pretrain/model/999" in clean.plan(layout, 1, set())[0].paths
    clean.carry_out(layout, clean.plan(layout, 1, set()))
    assert not (root / "artifacts/Pretrain/model/999").exists()
    outputs = [uri for one in metadata.executions(layout.metadata, finished_run.run_ids[1]) for uri in one.outputs.values()]
    assert len(outputs) > 10 and all((root / pathlib.Path(uri).relative_to(finished_run.root)).exists() for uri in outputs)
    metadata.forget(layout.metadata, {place for uri in outputs for place in metadata.places(uri)})
    assert not any(one.outputs for one in metadata.executions(layout.metadata, finished_run.run_ids[1]))


@pytest.mark.slow
def test_after_cleaning_the_last_run_is_served_and_a_former_one_runs_again(small_folder, forked, tmp_path):
    root = tmp_path / "DIR"

    def run(*settings):
        overrides = [word for one in (*TINY, *OPEN_GATE, *settings) for word in ("--set", one)]
        done = forked.run(["-m", "pipeline", "run", "-q", "--data", str(small_folder), "--root", str(root), *overrides],
                          cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads((root / "latest/run.json").read_text())

    before, changed = run(), run("linear_eval.folds=3")
    assert changed["nodes"]["LinearEval"]["state"] == "complete"

    def size():  # the lock names its holder, whose number may be longer
        return sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir() and path.name != "lock")

    whole = size()
    assert main(["clean", "--keep", "1", "--root", str(root), "--dry-run"]) == 0
    assert size() == whole
    assert main(["clean", "--keep", "1", "--root", str(root)]) == 0
    assert size() < whole
    again = run("linear_eval.folds=3")
    assert {node["state"] for node in again["nodes"].values()} == {"cached"}
    former = run()
    assert former["nodes"]["LinearEval"]["state"] == "complete" and former["nodes"]["Pretrain"]["state"] == "cached"
    assert former["linear_eval"]["top1"] == before["linear_eval"]["top1"]
    assert main(["registry", "verify", "--root", str(root)]) == 0
    assert pathlib.Path(root / "latest/report.html").exists()
