"""What several test files use: the fork server, one finished run, and a server in Google's place. And how the tests are run."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import fork_server
import pytest
import shared
from fork_server import client
from tiny import OPEN_GATE, PATIENCE_SECONDS, PROJECT, TINY

from contracts import libraries

# TensorFlow as the pipeline runs it, without its wall of messages; MLflow does not call home.
libraries.set_variables()
# As many processes run as there are cores: with threads of their own on top they would only take the cores from each other.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ.setdefault(variable, "1")
# A shell's script that starts the tests in the background lets them ignore Ctrl-C, and all that they start would too.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_worker(config):
    return hasattr(config, "workerinput")


def pytest_configure(config):
    if _is_worker(config):
        return
    # Beam, TensorFlow Datasets and processes that are killed leave temporary files: they go with the session. pytest's own stay for
    # whoever looks at a test that failed.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="tests_")
    client.open_session()


def pytest_unconfigure(config):
    if _is_worker(config):
        return
    client.close_session()
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)


def pytest_collection_finish(session):
    """The fork server imports its libraries while the first tests run, where any test will ask for it."""
    if not session.config.option.collectonly and any("forked" in getattr(item, "fixturenames", ()) for item in session.items):
        client.begin()


@pytest.fixture(scope="session")
def forked():
    """The package fork_server: `forked.run` and `forked.Process` start `python ARGUMENTS` without its imports."""
    return fork_server


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """`flowers run` as a user starts it, on `folder` and below `root`, and the same again. Tests change neither folder.

    Attributes:
      folder: CLASS/*.jpg, 12 pictures of each of five species.
      root: DIR, with the first run and the second, which is the latest.
      first, second: the processes, which have ended.
      run_ids: of both.
      temporary: the folder that both had for temporary files.
    """

    folder: pathlib.Path
    root: pathlib.Path
    first: subprocess.CompletedProcess
    second: subprocess.CompletedProcess
    run_ids: tuple[str, str]
    temporary: pathlib.Path

    def record(self, number: int) -> dict:
        """run.json of the first run, 0, or the second, 1."""
        return json.loads((self.root / "runs" / self.run_ids[number] / "run.json").read_text())


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory):
    """CLASS/*.jpg, 12 pictures of each of five species."""

    def draw(root):
        from components.synthetic_flowers import scene

        for index in range(60):
            picture = root / f"class-{index % 5}" / f"{index}.jpg"
            picture.parent.mkdir(exist_ok=True)
            picture.write_bytes(scene.draw_jpeg(3, index, 48))

    return shared.once(tmp_path_factory, "flowers", draw)


@pytest.fixture(scope="session")
def finished_run(small_folder, forked, tmp_path_factory):
    """A first run below a new DIR, and the same command again."""

    def make(folder):
        sets = [argument for setting in (*TINY, *OPEN_GATE, "tracking.place=") for argument in ("--set", setting)]
        command = ["-m", "pipeline", "run", "--data", str(small_folder), "--root", str(folder / "DIR"), *sets]
        (folder / "temporary").mkdir()
        ended, environment = [], {**os.environ, "TMPDIR": str(folder / "temporary")}
        for options in ([], ["--quiet", "--require-push"]):
            process = forked.run([*command, *options], cwd=PROJECT, env=environment, capture_output=True, text=True,
                                 timeout=PATIENCE_SECONDS)  # fmt: skip
            assert process.returncode == 0, process.stdout + process.stderr
            ended.append([process.args, process.returncode, process.stdout, process.stderr,
                          (folder / "DIR" / "latest").resolve().name])  # fmt: skip
        (folder / "ended.json").write_text(json.dumps(ended))

    folder = shared.once(tmp_path_factory, "finished_run", make)
    first, second = json.loads((folder / "ended.json").read_text())
    return FinishedRun(small_folder, folder / "DIR", subprocess.CompletedProcess(*first[:-1]),
                       subprocess.CompletedProcess(*second[:-1]), (first[-1], second[-1]), folder / "temporary")  # fmt: skip


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory):
    """An empty database, made once: MLflow's migrations take seconds."""
    from registry import mlflow_backend

    directory = tmp_path_factory.mktemp("template") / "registry"
    with mlflow_backend.lock(str(directory)):
        mlflow_backend.create(str(directory))
    return directory


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory):
    """A real MLflow server with its artifact proxy, for the whole session, as it takes seconds to start."""
    from mlflow_server import MlflowServer

    server = MlflowServer(tmp_path_factory.mktemp("mlflow_server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def google(monkeypatch):
    """A local server in Google's place, for one test: google_server.server.Server, with the services as attributes."""
    # Only where a test asks for it: gRPC and Google's types take seconds to import.
    from google_server.jobs import JobService
    from google_server.operations import Operations
    from google_server.pipelines import PipelineService
    from google_server.schedules import ScheduleService
    from google_server.server import Server

    from vertex import client

    operations = Operations()
    jobs, pipelines, schedules = JobService(), PipelineService(), ScheduleService(operations)
    running = Server(operations, jobs, pipelines, schedules)
    running.jobs, running.pipelines, running.schedules = jobs, pipelines, schedules
    monkeypatch.setenv(client.EMULATOR, running.address)
    # What a test waits for is attempts, not time.
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(client, "LONGEST_WAIT", 0.02)
    yield running
    running.stop()


@pytest.fixture
def storage(monkeypatch):
    """A local server with generation preconditions in Cloud Storage's place, for Google's own client: google_server.storage.Storage."""
    from google_server.storage import Storage

    running = Storage()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.address)
    yield running
    running.stop()
