"""The engine of Beam's is no part of what is written: a job server with two workers gives the same records, and the same cache keys."""

import json
import os
import pathlib
import subprocess
import sys
import threading

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from PIL import Image
from tiny import OPEN_GATE, PATIENCE_SECONDS, PROJECT, TINY

from components.example_gen import normalise, records
from components.example_gen.folder import open_folder
from pipeline import engine, preconditions

# Beam's own job server with two workers; it ends with its standard input.
JOB_SERVER = """
import sys
from apache_beam.runners.portability import local_job_service

class TwoWorkers(local_job_service.fn_runner.FnApiRunner):
    def __init__(self, **given):
        super().__init__(**given)
        self._num_workers = 2

local_job_service.fn_runner.FnApiRunner = TwoWorkers
print(local_job_service.LocalJobServicer(None).start_grpc_server(0), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def endpoint(forked, tmp_path):
    """HOST:PORT of a job server."""
    with open(tmp_path / "job_server.log", "w") as log:
        server = forked.Process(["-c", JOB_SERVER], stdin=forked.PIPE, stdout=forked.PIPE, stderr=log, text=True)
    yield f"localhost:{int(server.stdout.readline())}"
    server.stdin.close()
    server.wait()


def folder_of(count, root):
    """`count` photographs of three classes, no two alike, and a few that cannot be used."""
    random = np.random.default_rng(0)
    for index in range(count):
        path = root / f"class-{index % 3}" / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (5, 5, 3), np.uint8)).resize((72, 48), Image.Resampling.BICUBIC).save(path)
    for index in range(4):
        (root / "class-0" / f"broken{index}.jpg").write_bytes(b"no image" * (index + 1))
    return root


def written(out):
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


# Where a cluster's machines have a program that starts workers when the engine asks for them.
POOL = """
import sys
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

class Counted(BeamFnExternalWorkerPoolServicer):
    def StartWorker(self, *given):
        print("started", flush=True)
        return super().StartWorker(*given)

address, server = Counted.start(use_process=True)
print(address, flush=True)
sys.stdin.read()
server.stop(None).wait()
"""


@pytest.fixture
def pool(tmp_path):
    """HOST:PORT of a pool of workers, each a process of its own, and the pool."""
    environment = os.environ | {"PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}  # it starts `python`
    with open(tmp_path / "pool.log", "w") as log:
        started = subprocess.Popen([sys.executable, "-c", POOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                                   cwd=PROJECT, env=environment)  # fmt: skip
    yield started.stdout.readline().strip(), started
    started.stdin.close()
    started.wait()


def ingest(folder, out, endpoint, workers=""):
    with engine.chosen(endpoint, workers):
        names = {"runner": engine.RUNNER, "job_endpoint": engine.ENDPOINT, "environment_type": engine.WORKERS,
                 "environment_config": engine.POOL}  # fmt: skip
        arguments = [*(f"--{option}={os.environ[name]}" for option, name in names.items()), *engine.OPTIONS]
        records.ingest(beam.Pipeline(options=PipelineOptions(arguments)), open_folder(str(folder), 0.15), 48, 10_000, 0.15, 0, "",
                       str(out), str(out / "report.json"))  # fmt: skip
    return written(out)


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_job_server_with_two_workers_writes_the_same_bytes_as_this_process(endpoint, tmp_path, monkeypatch, count):
    workers = set()

    def seen(self, start_bundle=normalise.Normalise.start_bundle):
        workers.add(threading.current_thread().name)
        start_bundle(self)

    preconditions.require_job_server(endpoint)
    folder = folder_of(count, tmp_path / "photographs")
    monkeypatch.setattr(normalise.Normalise, "start_bundle", seen)
    by_server = ingest(folder, tmp_path / "server", endpoint)
    assert len(workers) == 2
    assert by_server == ingest(folder, tmp_path / "here", "")
    report = json.loads(by_server["report.json"])
    assert report["images"] == count and report["quarantined"]["total"] == 4


@pytest.mark.slow
def test_the_workers_of_a_pool_write_the_same_bytes_as_this_process(endpoint, pool, tmp_path):
    """Each of them is a process that has nothing of this one but what Beam sends."""
    address, program = pool
    folder = folder_of(200, tmp_path / "photographs")
    by_pool = ingest(folder, tmp_path / "pool", endpoint, address)
    assert [program.stdout.readline() for _ in range(2)] == ["started\n"] * 2
    assert by_pool == ingest(folder, tmp_path / "here", "")


def test_a_compiled_task_s_arguments_are_those_of_a_run_with_a_pool():
    with engine.chosen("server:8099", "localhost:50000"):
        of_a_run = {"runner": os.environ[engine.RUNNER], "job_endpoint": os.environ[engine.ENDPOINT],
                    "environment_type": os.environ[engine.WORKERS], "environment_config": os.environ[engine.POOL]}  # fmt: skip
    expected = [f"--{option}={value}" for option, value in of_a_run.items()]
    assert engine.portable_arguments("server:8099", "localhost:50000") == [*expected, *engine.OPTIONS]


def test_the_environment_is_as_before_when_a_run_has_ended(monkeypatch):
    monkeypatch.setenv(engine.RUNNER, "another")
    monkeypatch.delenv(engine.ENDPOINT, raising=False)
    with engine.chosen("localhost:8099"):
        assert (os.environ[engine.RUNNER], os.environ[engine.ENDPOINT]) == (engine.PORTABLE, "localhost:8099")
    assert os.environ[engine.RUNNER] == "another" and engine.ENDPOINT not in os.environ


@pytest.mark.slow
def test_a_run_by_a_job_server_has_the_figures_of_one_without_and_leaves_its_cache(endpoint, finished_run, forked, tmp_path):
    sets = [argument for setting in (*TINY, *OPEN_GATE) for argument in ("--set", setting)]

    def run(root, *options):
        ended = forked.run(["-m", "pipeline", "run", "--data", str(finished_run.folder), "--root", str(root), *sets, *options],
                           cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return json.loads((root / "latest" / "run.json").read_text())

    root = tmp_path / "DIR"
    record = run(root, "--beam-endpoint", endpoint)
    assert {one["state"] for one in record["nodes"].values()} == {"complete"}
    examples = [next(one.glob("artifacts/ExampleGen/examples/*")) for one in (finished_run.root, root)]
    assert written(examples[0]) == written(examples[1])
    first = finished_run.record(0)
    assert record["linear_eval"] == first["linear_eval"] and record["gate"]["metrics"] == first["gate"]["metrics"]
    assert {one["state"] for one in run(root)["nodes"].values()} == {"cached"}
