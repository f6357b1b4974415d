"""Standard streams that are closed, a working directory that is gone, temporary files and semaphores that cannot be made."""

import errno
import json
import os
import subprocess
import sys
import tempfile

import pytest
from tiny import OPEN_GATE, PATIENCE_SECONDS, PROJECT, TINY

from pipeline import surroundings
from pipeline_config import ConfigurationError

OPENS = """
import sys
from pipeline.surroundings import open_standard_streams
open_standard_streams()
file = open(sys.argv[1], "w")
assert file.fileno() > 2
print("to nobody")
print("to nobody", file=sys.stderr, flush=True)
file.write(f"{sys.stdin.read()}done")
"""


def shell(command, *arguments, cwd=PROJECT):
    return subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, *map(str, arguments)], cwd=cwd, env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)  # fmt: skip


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "2>&-"])
def test_streams_that_are_closed_are_no_number_for_another_file(tmp_path, closed):
    done = shell(f'"$1" -c "$2" "$3" {closed}', OPENS, tmp_path / "file")
    assert done.returncode == 0 and (tmp_path / "file").read_text() == "done"


def test_a_command_works_without_streams_and_ends_quietly_when_nobody_reads_on(tmp_path):
    assert shell('"$1" -m pipeline registry list --root "$2" <&- >&- 2>&-', tmp_path).returncode == 0
    done = shell('{ "$1" -m pipeline doctor --help; echo "status $?" >&2; } | true')
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr and "status" in done.stderr


def test_a_working_directory_that_is_gone_is_said_in_one_line(tmp_path):
    (tmp_path / "gone").mkdir()
    done = shell('rmdir "$2" && "$1" -m pipeline doctor', tmp_path / "gone", cwd=tmp_path / "gone")
    assert done.returncode == 2 and done.stderr.startswith("flowers: the working directory is gone"), done.stderr
    assert done.stderr.count("\n") == 1 and done.stdout == ""


@pytest.mark.parametrize("name", surroundings.VARIABLES)
def test_a_folder_for_temporary_files_that_is_missing_is_named_with_its_variable(tmp_path, monkeypatch, name):
    for one in surroundings.VARIABLES:
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(name, str(tmp_path))
    assert surroundings.require_temporary_folder() == str(tmp_path) and not list(tmp_path.iterdir())
    monkeypatch.setenv(name, str(tmp_path / "gone"))
    with pytest.raises(ConfigurationError, match=f"{name} names .*/gone, where no file .*No such file or directory.* unset {name}"):
        surroundings.require_temporary_folder()


def test_one_that_is_full_is_named(monkeypatch):
    def full(dir):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("TMPDIR", "/full")
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(ConfigurationError, match="TMPDIR names /full, .*No space left on device.*make room"):
        surroundings.require_temporary_folder()


def test_semaphores_that_cannot_be_made_are_said_with_where_they_are(monkeypatch):
    surroundings.require_semaphores()

    def none():
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(surroundings.multiprocessing, "Lock", none)
    with pytest.raises(ConfigurationError, match="no semaphores .Read-only file system., as /dev/shm"):
        surroundings.require_semaphores()


# What differs between two runs of the same content: their names, times and places.
OF_EACH_RUN = ("run_id", "started_at", "seconds", "images_per_second", "uri", "command", "content_hash", "root")


def content(value):
    """A record without what differs between two runs of the same content."""
    if isinstance(value, dict):
        return {name: content(one) for name, one in value.items() if name not in OF_EACH_RUN}
    return [content(one) for one in value] if isinstance(value, list) else value


def test_bytecode_of_converted_functions_is_removed_with_their_source_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    surroundings.remove_bytecode()  # there is none
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    for name in ("__autograph_generated_filea", "__autograph_generated_fileb", "mine"):
        (cache / f"{name}.cpython-311.pyc").touch()
    (tmp_path / "__autograph_generated_fileb.py").touch()  # of a process that still runs
    surroundings.remove_bytecode()
    assert sorted(path.name for path in cache.iterdir()) == ["__autograph_generated_fileb.cpython-311.pyc", "mine.cpython-311.pyc"]
    (tmp_path / "__autograph_generated_fileb.py").unlink()
    (cache / "mine.cpython-311.pyc").unlink()
    surroundings.remove_bytecode()
    assert not cache.exists()


@pytest.mark.slow
def test_a_run_is_the_same_whatever_surrounds_it(finished_run, tmp_path):
    """All of it in one whole run: no streams, 256 open files, a mask that hides nothing, no home, another language, time and Keras."""
    options = [argument for setting in (*TINY, *OPEN_GATE, "tracking.place=") for argument in ("--set", setting)]
    (tmp_path / "temporary").mkdir()
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "keras.json").write_text('{"backend": "torch", "floatx": "float16", "image_data_format": "channels_first"}')
    strange = {
        "HOME": "/nonexistent",
        "TZ": "Asia/Kathmandu",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "C",
        "KERAS_BACKEND": "torch",
        "KERAS_HOME": str(tmp_path / "keras"),
        "TMPDIR": str(tmp_path / "temporary"),
        "PYTHONPATH": str(PROJECT),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    done = subprocess.run(
        ["sh", "-c", 'umask 000; ulimit -n 256; exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "pipeline", "run",
         "--data", finished_run.folder, "--root", tmp_path / "DIR", *options],
        cwd=tmp_path, env={**os.environ, **strange}, timeout=PATIENCE_SECONDS, check=False)  # fmt: skip
    log = tmp_path / "DIR" / "latest" / "log.txt"
    assert done.returncode == 0, log.read_text() if log.exists() else "no log"
    record = json.loads((tmp_path / "DIR" / "latest" / "run.json").read_text())
    assert content(record) == content(finished_run.record(0))
    assert record["data"]["fingerprint"] and record["gate"]["metrics"]["candidate"]["accuracy"]
    assert not list((tmp_path / "temporary").iterdir()), "left in TMPDIR"
