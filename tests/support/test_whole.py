"""`whole.faults` finds each kind of damage that a kill could leave; without this, its silence in the tests of kills would mean nothing."""

import shutil
import sqlite3

import pytest
import whole

from contracts.layout import Layout


def moved(root, target):
    """A copy of a DIR at another place: both databases name absolute paths."""
    shutil.copytree(root, target, symlinks=True)
    for database in [*target.rglob("*.sqlite"), *target.rglob("*.db")]:
        with sqlite3.connect(database) as opened:
            statements = "\n".join(opened.iterdump()).replace(str(root), str(target))
        opened.close()
        database.unlink()
        with sqlite3.connect(database) as opened:
            opened.executescript(statements)
        opened.close()


@pytest.fixture
def directory(finished_run, tmp_path):
    moved(finished_run.root, tmp_path / "DIR")
    return tmp_path / "DIR"


def only(paths):
    found = sorted(paths)
    assert found
    return found[0]


def test_a_finished_run_is_whole(directory):
    assert whole.faults(directory) == []
    assert [version.version for version in whole.versions(directory)] == ["1"]
    assert all(version.path.startswith(str(directory)) for version in whole.versions(directory))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("pattern", "damage", "said"),
    [
        ("runs/*/run.json", cut, "run.json is no JSON"),
        ("runs/*/*.html", cut, "has no end"),
        ("artifacts/Pretrain/model/*", remove, "Pretrain of {run} has finished, and"),
        ("artifacts/ExampleGen/**/*.gz", cut, "is no whole gzip file"),
        ("artifacts/Pretrain/**/*.keras", cut, "is no whole archive"),
        ("artifacts/Evaluator/**/*.json", cut, "is no JSON"),
        ("registry/versions/*/backbone/backbone.keras", cut, "version 1: backbone/backbone.keras"),
        ("registry/versions/*/manifest.json", remove, "version 1: "),
        ("registry/versions/*", remove, "version 1 has no files"),
    ],
)
def test_what_is_cut_short_or_missing_is_named(directory, pattern, damage, said):
    damage(only(directory.glob(pattern)))
    run = only(directory.glob("runs/*")).name
    assert any(said.format(run=run) in fault for fault in whole.faults(directory)), whole.faults(directory)


def test_a_champion_that_is_none_is_a_fault(directory):
    with sqlite3.connect(only(Layout(directory).registry.glob("*.db"))) as opened:
        opened.execute("DELETE FROM registered_model_aliases")
    opened.close()
    assert "0 of 1 versions are champion" in whole.faults(directory)
