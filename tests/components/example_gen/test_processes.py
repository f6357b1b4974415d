"""Promises of ingest by processes: the same output as by threads, bounded memory, and no process that outlives its work."""

import contextlib
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import apache_beam as beam
import psutil
import pytest
from tiny import PATIENCE_SECONDS, PROJECT

from components.example_gen import data_set, normalise, photograph, processes, records
from components.example_gen.folder import Folder, open_folder
from contracts import interruption, memory
from pipeline.engine import IN_PROCESS

SETTINGS = (64, 100_000, 16)  # as of Normalise: most pixels of the shorter side, of a photograph, and least of a side


@pytest.fixture(autouse=True)
def two_processes(monkeypatch):
    monkeypatch.setattr(processes, "MANY", 1)
    monkeypatch.setattr(processes, "cores", lambda: 2)


def ingested(source, out):
    records.ingest(beam.Pipeline(runner=IN_PROCESS), source, *SETTINGS[:2], 0.15, 0, "the fingerprint", str(out), str(out / "report.json"))
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def parts_of(source, folder):
    folder.mkdir()
    elements = source.elements(str(folder))
    return processes.parts(elements, normalise.Normalise(str(folder), source.classes, *SETTINGS))


def test_processes_write_the_same_bytes_and_name_the_same_files_as_threads(flowers, tmp_path, monkeypatch, photograph_bytes):
    for index in range(4):
        (flowers / "daisy" / f"broken{index}.jpg").write_bytes(photograph_bytes(800 + index)[: 400 + index])
    working, process = [], normalise.Normalise.process
    monkeypatch.setattr(
        normalise.Normalise, "process", lambda step, element: working.append(element) or time.sleep(1) or process(step, element)
    )
    source = open_folder(str(flowers), 0.15)
    by_processes = ingested(source, tmp_path / "processes")
    assert 0 < len(working) < source.size  # this process did its share, and not all
    monkeypatch.setattr(normalise.Normalise, "process", process)
    monkeypatch.setattr(processes, "MANY", source.size + 1)
    assert by_processes == ingested(source, tmp_path / "threads")
    assert by_processes["report.json"].count(b"broken") == 4


@pytest.mark.slow
def test_a_data_set_of_several_files_is_shared_too(tmp_path, monkeypatch):
    from components.synthetic_flowers import builder

    drawn = builder.prepare(str(tmp_path / "datasets"), images=40, labelled=20, side=32, seed=7, eval_fraction=0.25)
    source = data_set.open_data_set("synthetic", "synthetic", drawn, 0.25)
    assert source.size == 40
    by_processes = ingested(source, tmp_path / "processes")
    monkeypatch.setattr(processes, "MANY", 41)
    assert by_processes == ingested(source, tmp_path / "threads")


@pytest.mark.parametrize(
    ("cores", "elements", "photographs", "expected"),  # in 24 GB
    [
        (2, 2, 10_000, True),
        (2, 2, 9_999, False),
        (2, 1, 10_000, False),
        (1, 64, 10_000, False),
        (96, 64, 10**6, True),
        (16, 3, 10**6, False),
    ],
)
def test_processes_are_for_many_photographs_on_more_than_one_core(monkeypatch, cores, elements, photographs, expected):
    monkeypatch.undo()
    monkeypatch.setattr(processes, "cores", lambda: cores)
    monkeypatch.setattr(memory, "limit", lambda *files: 24e9)
    assert processes.worthwhile(photographs, [None] * elements) == expected


@pytest.mark.parametrize(("gigabytes", "cores", "expected"), [(24, 16, 16), (4, 16, 5), (2, 2, 2), (0.8, 2, 1)])
def test_there_are_as_many_processes_as_memory_has_room_for(monkeypatch, gigabytes, cores, expected):
    """Half of it, at 500 MB each, beside the first one."""
    monkeypatch.undo()
    monkeypatch.setattr(processes, "cores", lambda: cores)
    monkeypatch.setattr(memory, "limit", lambda *files: gigabytes * 1e9)
    assert processes._number([None] * 64) == expected
    assert processes.worthwhile(10_000, [None] * 64) == (expected > 1)


def test_a_photograph_beyond_the_process_s_share_of_memory_is_decoded_while_no_other_such_one_is(
    flowers, tmp_path, monkeypatch, photograph_bytes
):
    """The photographs have 1,728 pixels, and one has 10,000."""
    (flowers / "daisy" / "large.jpg").write_bytes(photograph_bytes(700, size=(100, 100)))
    held, seen, prepare = [], [], photograph.prepare

    @contextlib.contextmanager
    def alone():
        held.append(True)
        yield
        held.pop()

    def watched(data, *settings):
        seen.append((photograph.pixels(data), bool(held)))
        return prepare(data, *settings)

    monkeypatch.setattr(photograph, "prepare", watched)
    monkeypatch.setattr(normalise, "cores", lambda: 2)
    monkeypatch.setattr(normalise, "PIXELS_A_CORE", 4_000)
    source = open_folder(str(flowers), 0.15)
    step = normalise.Normalise(str(tmp_path), source.classes, *SETTINGS)
    step.processes = 2
    monkeypatch.setattr(normalise.Normalise, "alone", property(lambda self: alone(), lambda self, given: None), raising=False)
    processes._share(iter(source.elements(str(tmp_path))), step)
    assert step.workers == 1 and step.most_pixels == 4_000
    assert sorted(set(seen)) == [(1_728, False), (10_000, True)] and len(seen) == 21


def test_a_process_that_is_killed_ends_the_node_and_leaves_none(flowers, tmp_path, monkeypatch):
    """The other process waits for its list of files, which nobody writes, until it is killed."""
    before, killed = set(multiprocessing.active_children()), []

    def killing(elements, step):
        while not killed:
            for process in set(multiprocessing.active_children()) - before:
                process.kill()
                killed.append(process)
        return []

    def pipes(self, scratch, elements=Folder.elements):
        for one in (found := elements(self, scratch)):
            os.unlink(one.path)
            os.mkfifo(one.path)
        return found

    monkeypatch.setattr(Folder, "elements", pipes)
    monkeypatch.setattr(processes, "_share", killing)
    with pytest.raises(
        processes.ProcessEnded, match="a process that reads photographs was ended from outside, as the system does where memory"
    ):
        ingested(open_folder(str(flowers), 0.15), tmp_path / "out")
    assert set(multiprocessing.active_children()) == before
    assert not list((tmp_path / "out").glob("scratch-*"))


def test_what_ends_this_process_ends_the_others_at_once(flowers, tmp_path, monkeypatch):
    """Ctrl-C is one word of one process, whatever the others said."""

    def interrupted(elements, step):
        os.kill(os.getpid(), signal.SIGINT)
        return []

    before = set(multiprocessing.active_children())
    monkeypatch.setattr(processes, "_share", interrupted)
    with interruption.listening(), interruption.released(), pytest.raises(KeyboardInterrupt):
        parts_of(open_folder(str(flowers), 0.15), tmp_path / "parts")
    assert set(multiprocessing.active_children()) == before


@pytest.mark.slow
def test_an_error_of_another_process_is_that_of_the_node(flowers, tmp_path, monkeypatch):
    source = open_folder(str(flowers), 0.15)
    (tmp_path / "lists").mkdir()
    elements = source.elements(str(tmp_path / "lists"))
    monkeypatch.setattr(processes, "_share", lambda elements, step: [])
    for element in elements:
        pathlib.Path(element.path).unlink()
    with pytest.raises(FileNotFoundError):
        processes.parts(elements, normalise.Normalise(str(tmp_path), source.classes, *SETTINGS))


@pytest.mark.slow
def test_a_script_that_does_not_ask_for_its_name_runs_once(flowers, tmp_path):
    """As a notebook's cell or `from pipeline import run` in a script of a few lines."""
    script = tmp_path / "script.py"
    script.write_text(f"""
from components.example_gen import normalise, processes
from components.example_gen.folder import open_folder

print("begins")
processes.cores = lambda: 2
source = open_folder({str(flowers)!r}, 0.15)
elements = source.elements({str(tmp_path)!r})
print(sum(part.usable for part in processes.parts(elements, normalise.Normalise({str(tmp_path)!r}, source.classes, 64, 100_000, 16))))
""")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=PROJECT, check=False,
                          env={**os.environ, "PYTHONPATH": str(PROJECT)}, timeout=PATIENCE_SECONDS)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "begins\n20\n"), done.stderr


# Begins, says which processes there are, and waits for ever.
WAITING = """
import multiprocessing, sys, threading
from components.example_gen import normalise, processes
from components.example_gen.folder import Folder, open_folder

def wait(elements, step):
    while len(found := multiprocessing.active_children()) < 2:
        pass
    print(*(one.pid for one in found), flush=True)
    threading.Event().wait()

processes.cores, processes._share = lambda: 3, wait
source = open_folder(sys.argv[1], 0.15)
processes.parts(source.elements(sys.argv[2]), normalise.Normalise(sys.argv[2], source.classes, 64, 100_000, 16))
"""


@pytest.mark.slow
def test_processes_end_when_the_first_one_is_killed(flowers, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, str(flowers), str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    ) as first:
        try:
            others = [int(word) for word in first.stdout.readline().split()]
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not all(_has_begun(pid) for pid in others):
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            first.kill()
    while any(psutil.pid_exists(pid) for pid in others):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _has_begun(pid: int) -> bool:
    """Whether a process ignores SIGINT, as it does from `_begin` on."""
    (line,) = [line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:")]
    return bool(int(line.split()[1], 16) & 1 << (signal.SIGINT - 1))
