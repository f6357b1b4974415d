"""A registry that may only be read is read, also after a writer was killed, and nothing in it changes."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest
from tiny import PROJECT

from registry import champions, publishing, reading, schema, trust
from registry.backend import RegistryError
from registry.mlflow_backend import MlflowBackend
from registry.trust import Standing

# Runs a command where a folder is mounted read-only, without being root outside.
MOUNTED = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
           'd=$1; shift; mount --bind "$d" "$d" && mount -o remount,ro,bind "$d" && exec "$@"', "sh"]  # fmt: skip


@pytest.fixture
def root(registry, candidate, tmp_path):
    """DIR of a registry with one version, the champion."""
    publishing.publish(registry, **candidate("a"))
    return tmp_path / "root"


@pytest.fixture
def mounted(root):
    """mounted(ARGUMENTS, …) runs `flowers` once for each list, in one process, with DIR mounted read-only: exit statuses, and output."""
    try:
        tried = subprocess.run([*MOUNTED, root, "touch", root / "registry" / "x"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        pytest.skip(f"there is no {error.filename}")
    if "Read-only" not in tried.stderr:
        pytest.skip(f"this user may not mount a folder read-only: {tried.stderr.strip()}")

    def run(*commands):
        script = "import json, sys; from cli.main import main; print([main(one) for one in json.loads(sys.argv[1])])"
        listed = json.dumps([[*command, "--root", str(root)] for command in commands])
        done = subprocess.run(
            [*MOUNTED, root, sys.executable, "-c", script, listed], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None, done.stdout + done.stderr

    return run


def content(folder):
    """Hash and time of every file and folder, and nothing that reading may change."""
    return {
        path: (os.stat(path).st_mtime_ns, hashlib.sha256(open(path, "rb").read()).hexdigest() if os.path.isfile(path) else "")
        for at, folders, names in os.walk(folder) for path in [at, *(os.path.join(at, name) for name in names)]
    }  # fmt: skip


def interrupt_a_writer(database):
    """Leaves what a writer leaves that is killed in a transaction: changed pages in the file, and the former ones in a journal."""
    script = """if True:
        import os, sqlite3, sys
        writer = sqlite3.connect(sys.argv[1], isolation_level=None)
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE model_versions SET description = ?", ("x" * 1_000_000,))
        os._exit(0)"""
    subprocess.run([sys.executable, "-c", script, database], check=True)
    assert os.path.getsize(f"{database}-journal") > 0


def test_no_reader_changes_a_file(root, registry):
    before = content(root)
    version = reading.champion(registry)
    assert trust.standing(registry, version).standing is Standing.VERIFIED
    assert len(champions.history_of(registry.model_tags(), version)) == 1
    assert content(root) == before


@pytest.mark.slow
def test_list_show_and_verify_work_on_a_read_only_mount_and_what_writes_says_why_it_cannot(root, mounted):
    before = content(root)
    statuses, shown = mounted(
        ["registry", "list"], ["registry", "show", "champion"], ["registry", "verify"], ["registry", "rollback", "--reason", "x"]
    )
    assert statuses[:3] == [0, 0, 0] and statuses[3] != 0, shown
    assert "lock cannot be written to: Read-only file system" in shown
    assert content(root) == before


@pytest.mark.slow
def test_a_registry_whose_writer_was_killed_is_read_as_it_was_before_on_a_read_only_mount(root, registry, mounted):
    interrupt_a_writer(os.path.join(registry.directory, "mlflow.db"))
    before = content(root)
    statuses, shown = mounted(["registry", "verify"])
    assert statuses == [0] and "1 version of flowers-backbone checked, 0 damaged" in shown
    assert content(root) == before


def test_a_copy_has_what_was_committed_and_what_was_not_is_taken_back(root, registry, monkeypatch):
    database = os.path.join(registry.directory, "mlflow.db")
    interrupt_a_writer(database)
    before = content(root)
    refuse_to_write(monkeypatch, registry.directory)
    copy = schema.usable(database)
    assert copy != database
    with sqlite3.connect(copy) as opened:
        assert opened.execute("SELECT description FROM model_versions").fetchall() == [(None,)]
    assert schema.usable(database) == copy  # of the same moment there is one copy
    assert reading.champion(registry).version == "1"
    assert content(root) == before


def test_a_database_in_write_ahead_mode_is_read_without_its_other_files(root, registry, monkeypatch):
    database = os.path.join(registry.directory, "mlflow.db")
    with sqlite3.connect(database) as opened:
        opened.execute("PRAGMA journal_mode = wal")
    opened.close()
    refuse_to_write(monkeypatch, registry.directory)
    assert schema.usable(database) != database
    assert reading.champion(registry).version == "1"


def test_a_database_that_this_user_may_not_read_is_said_to_be_that(registry, root, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RegistryError, match="may not be read by this user; ask its owner"):
        registry.versions()


def test_a_registry_without_its_lock_and_list_for_completion_is_read(root, registry, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    for name in ("lock", "versions.json"):
        os.remove(tmp_path / "copy" / "registry" / name)
    copied = MlflowBackend(str(tmp_path / "copy" / "registry"), registry.name)
    assert trust.standing(copied, reading.champion(copied)).standing is Standing.VERIFIED
    assert not (tmp_path / "copy" / "registry" / "lock").exists()


def refuse_to_write(monkeypatch, folder):
    """As on a read-only file system, where also root may not: SQLite cannot repair the file, and `os.access` says so."""
    real_access, real_connect = os.access, sqlite3.connect

    def connect(database, *arguments, **options):
        if str(folder) in str(database):
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return real_connect(database, *arguments, **options)

    monkeypatch.setattr(os, "access", lambda path, mode: real_access(path, mode) and not (mode == os.W_OK and str(path) == str(folder)))
    monkeypatch.setattr(sqlite3, "connect", connect)
