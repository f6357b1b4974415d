"""A run in MLflow: what is written, that it is continued after a kill, and that no server or database is ever in the run's way."""

import contextlib
import dataclasses
import http.server
import json
import logging
import os
import pathlib
import shutil
import signal
import socket
import socketserver
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from tiny import OPEN_GATE, PATIENCE_SECONDS, PROJECT, TINY

from contracts.layout import Layout
from pipeline import tracking
from pipeline.identity import Origin
from pipeline.run_record import Start
from pipeline_config import PRESETS, ConfigurationError, Tracking
from registry import mlflow_backend, mlflow_runs

ORIGIN = Origin("f" * 64, {}, {"components": "1.0+abc", "trainer": "1.0+def"})
RECORD = {"run_id": "run-1", "status": "finished", "error": None, "seconds": 60.0, "data": None, "linear_eval": None, "gate": None,
          "registry": None}  # fmt: skip


def entry(epoch):
    return {"epoch": epoch, "step": 10 * epoch, "loss": -0.1 * epoch, "output_std_ratio": 0.9, "effective_rank": 20.0,
            "learning_rate": 0.1, "images_per_second": 100.0, "knn_train_top1": None if epoch % 2 else 0.5}  # fmt: skip


def record(epochs, **changed):
    history = [entry(epoch + 1) for epoch in range(epochs)]
    return RECORD | {"pretrain": {"seconds": 50.0, "images_per_second": 90.0, "history": history}} | changed


@pytest.fixture
def layout(tmp_path, empty_registry):
    layout = Layout.at(str(tmp_path / "DIR"))
    layout.registry.mkdir(parents=True)
    shutil.copy(empty_registry / "mlflow.db", layout.registry)
    return layout


def config(**settings):
    return dataclasses.replace(PRESETS["quick"], tracking=Tracking(**settings))


def started(run_id="run-1", **settings):
    return Start(run_id, "2026-01-31T18:45:02+00:00", config(**settings), ORIGIN, "recipe")


def begun(layout, run_id="run-1", **settings):
    tracked = tracking.Tracking(config(**settings), layout)
    tracked.begin(started(run_id, **settings))
    return tracked


def runs(layout):
    client = mlflow_backend.connect(str(layout.registry))
    return client, client.search_runs([client.get_experiment_by_name("flowers").experiment_id], order_by=["attributes.start_time"])


def points(client, run, metric):
    return [(one.step, pytest.approx(one.value)) for one in client.get_metric_history(run.info.run_id, metric)]


def test_a_run_is_written_as_it_goes_and_completed_at_its_end(layout):
    folder = layout.run("run-1")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    tracked = begun(layout)
    tracked.epoch(entry(1))
    tracked.end(record(3))  # two epochs that were not heard of
    client, (run,) = runs(layout)
    assert (run.info.status, run.info.start_time) == ("FINISHED", 1769885102000)  # date -d 2026-01-31T18:45:02Z +%s
    assert points(client, run, "pretrain/loss") == [(1, -0.1), (2, -0.2), (3, -0.3)]
    assert points(client, run, "pretrain/knn_train_top1") == [(2, 0.5)]
    assert run.data.params["pretrain.views.hue"] == "0.5"
    assert (run.data.tags["flowers.data_fingerprint"], run.data.tags["flowers.code.trainer"]) == ("f" * 64, "1.0+def")
    assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["run.json"]


def test_a_run_continues_that_of_a_killed_one_and_repeats_no_epoch(layout):
    killed = begun(layout, "run-1")
    for epoch in (1, 2):
        killed.epoch(entry(epoch))
    killed._tasks.put(None)  # its process is gone: nobody calls `end`
    killed._thread.join()
    again = begun(layout, "run-2")
    for epoch in (2, 3):  # its checkpoint was of the first epoch
        again.epoch(entry(epoch))
    again.end(record(3, run_id="run-2"))
    client, (run,) = runs(layout)
    assert points(client, run, "pretrain/loss") == [(1, -0.1), (2, -0.2), (3, -0.3)]
    assert (run.info.status, run.data.tags["flowers.run_id"]) == ("FINISHED", "run-2")


@pytest.mark.parametrize(("status", "ends"), [("failed", "FAILED"), ("refused", "FAILED"), ("interrupted", "KILLED")])
def test_a_run_that_did_not_finish_is_told_from_one_that_did(layout, status, ends):
    begun(layout).end(record(0, status=status, pretrain=None, error="the disk is full"))
    _, (run,) = runs(layout)
    assert (run.info.status, run.data.tags["flowers.status"]) == (ends, status)
    assert "the disk is full" in run.data.tags["mlflow.note.content"]


def test_what_fails_meanwhile_is_told_once_and_written_at_the_end(layout, monkeypatch, caplog):
    failures, real = [OSError("away"), OSError("away")], mlflow_runs.begin

    def begin(*arguments, **options):
        if failures:
            raise failures.pop()
        return real(*arguments, **options)

    monkeypatch.setattr(mlflow_runs, "begin", begin)
    caplog.set_level("INFO")
    tracked = begun(layout)
    tracked.epoch(entry(1))
    tracked.end(record(2))
    client, (run,) = runs(layout)
    assert points(client, run, "pretrain/loss") == [(1, -0.1), (2, -0.2)]
    assert f"MLflow at {layout.registry} has all of the run after all" in caplog.text
    (told,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert told == f"The run goes on without MLflow at {layout.registry}, which has not all of it: OSError: away"


def test_a_database_that_cannot_be_written_is_told_once(layout, caplog):
    with sqlite3.connect(layout.registry / "mlflow.db") as opened:  # as a read-only disk, but for root as well
        opened.execute("CREATE TRIGGER shut BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'attempt to write a readonly database'); END")
    tracked = begun(layout)
    tracked.epoch(entry(1))
    tracked.end(record(1))
    (told,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING and one.name == "pipeline.tracking"]
    assert "attempt to write a readonly database" in told


class Answers500(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("fault", ["answers 500", "hangs", "is not there"])
def test_a_server_that_fails_is_told_once_and_the_run_goes_on(layout, caplog, monkeypatch, fault):
    monkeypatch.setattr(mlflow_backend, "REQUESTS", {})
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with ServerThat(fault) as port:
        tracked = begun(layout, place=f"http://127.0.0.1:{port}", patience_seconds=0.3 if fault == "hangs" else 60.0)
        tracked.epoch(entry(1))
        tracked.end(record(1))
    (told,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING and one.name == "pipeline.tracking"]
    assert told.startswith(f"The run goes on without MLflow at http://127.0.0.1:{port}, which has not all of it: ")
    assert ("tracking.patience_seconds 0.3" in told) == (fault == "hangs")
    tracked._thread.join()  # the server is gone: no request waits any more


class ServerThat:
    """A server in MLflow's place that does not do its work; the block gets its port."""

    def __init__(self, fault):
        self.fault = fault

    def __enter__(self):
        if self.fault == "answers 500":
            self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers500)
            threading.Thread(target=self.server.serve_forever, daemon=True).start()
            return self.server.server_address[1]
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", 0))
        if self.fault == "hangs":
            self.server.listen()  # connections are made, and never answered
        return self.server.getsockname()[1]

    def __exit__(self, *_):
        if self.fault == "answers 500":
            self.server.shutdown()
            self.server.server_close()
        else:
            self.server.close()


def test_where_it_is_off_there_is_nothing_and_a_run_without_data_is_not_begun(layout):
    with tracking.tracked(config(place="off"), layout) as off:
        assert off is None
    with tracking.tracked(config(), layout) as tracked:
        tracked.end(record(0, status="refused", pretrain=None))
    assert not (layout.registry / "mlflow-artifacts").exists()
    assert not [one for one in logging.getLogger("trainer.loop").handlers if type(one).__name__ == "_Figures"]


def test_an_epoch_is_heard_of_by_its_log_record(layout):
    heard = []
    with tracking.tracked(config(), layout) as tracked:
        tracked.epoch = heard.append
        logger = logging.getLogger("trainer.loop")
        before = logger.level
        logger.setLevel(logging.DEBUG)
        logger.debug("Epoch 1 has ended", extra={"figures": entry(1)})
        logger.info("epoch 1/2, loss -0.1")
        logger.setLevel(before)
    assert heard == [entry(1)]


@pytest.mark.parametrize(
    "place", ["sqlite:///runs.db", "localhost:5000", "http://", "http://host:5000/path", "http://me:secret@host", "OFF"]
)
def test_a_place_that_is_no_server_is_refused(place):
    with pytest.raises(ConfigurationError, match=r"tracking.place must be http\(s\)://HOST:PORT"):
        Tracking(place=place)


def test_both_finished_runs_are_there_with_their_figures_their_page_and_the_version(finished_run):
    client = mlflow_backend.connect(str(finished_run.root / "registry"))
    experiment = client.get_experiment_by_name("flowers").experiment_id
    found = {run.data.tags["flowers.run_id"]: run for run in client.search_runs([experiment])}
    assert set(found) == set(finished_run.run_ids)
    for number, run_id in enumerate(finished_run.run_ids):
        run, kept = found[run_id], finished_run.record(number)
        assert run.info.status == "FINISHED"
        assert [one.step for one in client.get_metric_history(run.info.run_id, "pretrain/loss")] == [1]
        measured = kept["gate"]["metrics"]
        assert run.data.metrics["eval/linear_top1"] == measured["candidate"]["accuracy"]
        assert run.data.metrics["eval/random_init_linear_top1"] == measured["untrained"]["accuracy"]
        assert run.data.metrics["eval/gain_over_random_init_low"] == kept["gate"]["evidence"]["untrained"]["low"]
        assert run.data.metrics["eval/linear_top1_low"] < run.data.metrics["eval/linear_top1"] < run.data.metrics["eval/linear_top1_high"]
        assert run.data.tags["flowers.version"] == "1"
        assert {one.path for one in client.list_artifacts(run.info.run_id)} == {"report.html", "run.json"}
        (data,) = run.inputs.dataset_inputs
        assert data.dataset.digest == kept["data"]["fingerprint"][:32]
    assert client.get_model_version("flowers-backbone", "1").run_id == found[finished_run.run_ids[0]].info.run_id


def steps(root):
    """Of the loss of each run of MLflow in the database below DIR, by the run; also while it is written."""
    database = root / "registry" / "mlflow.db"
    if not database.exists():
        return {}
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as opened:
        found = opened.execute("SELECT run_uuid, step FROM metrics WHERE key = 'pretrain/loss' ORDER BY step").fetchall()
    return {run: [step for one, step in found if one == run] for run, _ in found}


# Two runs.
@pytest.mark.slow
def test_the_command_that_continues_a_killed_run_continues_it_in_mlflow(finished_run, forked, tmp_path):
    root, halted = tmp_path / "DIR", tmp_path / "halted"
    sets = [word for one in (*TINY, *OPEN_GATE, "tracking.place=", "pretrain.epochs=3") for word in ("--set", one)]
    command = ["run", "--quiet", "--data", str(finished_run.folder), "--root", str(root), *sets]
    held = PROJECT / "tests" / "cli" / "held_run.py"
    process = forked.Process([held, "LinearEval", halted, *command], cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (halted.exists() and list(steps(root).values()) == [[1, 2, 3]]):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = steps(root)
    again = forked.run(["-m", "pipeline", *command], cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert again.returncode == 0, again.stdout + again.stderr
    assert steps(root) == before
    client, (run,) = runs(Layout.at(str(root)))
    latest = json.loads((root / "latest" / "run.json").read_text())
    assert (run.info.status, run.data.tags["flowers.run_id"]) == ("FINISHED", latest["run_id"])
    assert client.get_model_version("flowers-backbone", "1").run_id == run.info.run_id


# MLflow's server imports for many seconds.
@pytest.mark.slow
def test_a_server_has_all_of_a_run_and_its_files(layout, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", mlflow_backend.uri(str(layout.registry / "mlflow.db")),
               "--artifacts-destination", str(tmp_path / "artifacts")]  # fmt: skip
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with open(tmp_path / "server.txt", "w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "server.txt").read_text()
                time.sleep(0.2)
        folder = layout.run("run-1")
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"run_id": "run-1"}))
        tracked = begun(layout, place=f"http://127.0.0.1:{port}", patience_seconds=300.0)
        tracked.epoch(entry(1))
        tracked.end(record(2))
        client, (run,) = runs(layout)  # of the server's own database
        assert points(client, run, "pretrain/loss") == [(1, -0.1), (2, -0.2)]
        assert run.info.status == "FINISHED"
        (kept,) = (tmp_path / "artifacts").glob("**/run.json")
        assert json.loads(pathlib.Path(kept).read_text()) == {"run_id": "run-1"}
    finally:
        os.killpg(server.pid, 15)
        server.wait()
