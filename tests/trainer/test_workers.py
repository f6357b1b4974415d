"""Two workers on loopback by MultiWorkerMirroredStrategy; one is killed, both start again."""

import dataclasses
import json
import os
import pathlib
import re
import socket
import time

import numpy as np
import pytest
import trainer_arguments
from tiny import PATIENCE_SECONDS, PROJECT

from contracts import model_files
from pipeline_config import Embedding
from trainer import pretrain
from trainer.export import load_backbone

SCRIPT = pathlib.Path(__file__).resolve().with_name("one_worker.py")


@pytest.fixture(scope="module")
def long_enough(settings):
    """Two steps an epoch, a checkpoint after each: time to kill a worker in the middle."""
    return dataclasses.replace(settings, epochs=20, knn_epochs=0)


@pytest.fixture(scope="module")
def uninterrupted(long_enough, record_files, tmp_path_factory):
    """The backbone that one device learns with the same global batch."""
    arguments = run_arguments(tmp_path_factory.mktemp("one"), "alone", long_enough, record_files)
    pretrain.run_fn(arguments)
    return load_backbone(arguments.serving_model_dir)[0].get_weights()


def run_arguments(folder, name, settings, record_files):
    return trainer_arguments.of_pretrain(
        folder / name, [record_files["train"]], settings, Embedding(resolution=16), checkpoint_dir=f"{folder}/checkpoints"
    )


def start(forked, folder, settings, record_files):
    """Starts two workers that share `folder`."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    workers = []
    for index in range(2):
        file = folder / f"worker{index}.json"
        file.write_text(json.dumps(vars(run_arguments(folder, f"worker{index}", settings, record_files))))
        cluster = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        environment = os.environ | {"TF_CONFIG": cluster, "PYTHONPATH": str(PROJECT)}
        with open(folder / f"worker{index}.log", "w") as log:
            workers.append(forked.Process([SCRIPT, file], env=environment, stdout=log, stderr=log))
    return workers


def newest_step(folder):
    """The step of the newest checkpoint, 0 before the first."""
    for record in (folder / "checkpoints").rglob("checkpoint"):
        found = re.search(r'^model_checkpoint_path: ".*ckpt-(\d+)"', record.read_text())
        return int(found[1]) if found else 0
    return 0


def logs(folder):
    return "\n".join((folder / f"worker{index}.log").read_text()[-3000:] for index in range(2))


# Processes of two workers start TensorFlow four times; test_replicas.py holds the arithmetic of shared batches in one process.
@pytest.mark.slow
def test_training_continues_after_a_worker_was_killed(forked, long_enough, record_files, uninterrupted, tmp_path):
    workers = start(forked, tmp_path, long_enough, record_files)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while newest_step(tmp_path) < 3:
            assert all(worker.poll() is None for worker in workers) and time.monotonic() < deadline, logs(tmp_path)
            time.sleep(0.02)
        workers[1].kill()
        # The other one notices by itself and says what happened.
        assert workers[0].wait(PATIENCE_SECONDS) == 7, logs(tmp_path)
        assert "another worker ended or cannot be reached" in (tmp_path / "worker0.log").read_text()
        reached = newest_step(tmp_path)
        assert 3 <= reached < 40
        assert not (tmp_path / "worker0" / "backbone").exists()

        workers = start(forked, tmp_path, long_enough, record_files)
        assert [worker.wait(PATIENCE_SECONDS) for worker in workers] == [0, 0], logs(tmp_path)
    finally:
        for worker in workers:
            worker.kill()

    report = json.loads((tmp_path / "worker0" / "run" / model_files.PRETRAIN_REPORT).read_text())
    assert report["resumed_from_step"] == reached and report["steps"] == 40
    # Two workers with an interruption learn what one device learns without; the order of sums differs, for 40 steps.
    weights = load_backbone(str(tmp_path / "worker0" / "backbone"))[0].get_weights()
    for ours, theirs in zip(weights, uninterrupted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3, rtol=1e-3)
    # The chief alone writes.
    assert not (tmp_path / "worker1").exists()
