"""Threads of TensorFlow: each operation has one core where views keep all cores busy, and calls at once change no feature."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tiny import PROJECT

from pipeline_config import CPU
from trainer import features, threads
from trainer.backbones import build_backbone

# In a process of its own, as TensorFlow's threads are chosen once: what is set before it computes, and what after.
PROGRAM = """
import json, logging
import tensorflow as tf
from pipeline_config import CPU
from trainer import threads
logging.basicConfig(level="INFO")
threads.cores = lambda: 3
threads.share_cores(CPU.pretrain)
before = threads.calls_at_once()
tf.constant(1.0) + 1
threads.cores = lambda: 2
threads.share_cores(CPU.pretrain)
print(json.dumps([before, threads.calls_at_once()]))
"""


@pytest.fixture
def chosen(monkeypatch):
    """What is set, as [of an operation, of operations], without a change to this process."""
    found = [None, None]
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", lambda count: found.__setitem__(0, count))
    monkeypatch.setattr(tf.config.threading, "set_inter_op_parallelism_threads", lambda count: found.__setitem__(1, count))
    for name in threads.DECIDED:
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.mark.parametrize(
    ("cores", "views", "expected"),
    [(2, 2, [1, 2]), (2, 4, [1, 2]), (4, 4, [1, 4]), (3, 2, [None, None]), (16, 4, [None, None]), (1, 2, [None, None])],
)
def test_an_operation_has_one_core_if_there_are_as_many_views_as_cores(chosen, monkeypatch, cores, views, expected):
    monkeypatch.setattr(threads, "cores", lambda: cores)
    settings = dataclasses.replace(CPU.pretrain, view_count=views)
    threads.share_cores(dataclasses.replace(settings, view_per_core=False))
    assert chosen == [None, None]
    threads.share_cores(settings)
    assert chosen == expected


@pytest.mark.parametrize("name", threads.DECIDED)
def test_who_starts_the_program_may_decide(chosen, monkeypatch, name):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    monkeypatch.setenv(name, "2")
    threads.share_cores(CPU.pretrain)
    assert chosen == [None, None]


def test_with_a_gpu_nothing_changes(chosen, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    threads.share_cores(CPU.pretrain)
    assert chosen == [None, None]


def test_once_tensorflow_has_computed_its_threads_stay_and_the_log_says_so(monkeypatch):
    for name in threads.DECIDED:
        monkeypatch.delenv(name, raising=False)
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [3, 3]
    assert "TensorFlow has computed something before" in done.stderr


def test_features_of_several_calls_at_once_come_in_order_and_are_the_same(monkeypatch):
    networks = [build_backbone("small", width=4, stem="small", resolution=16, seed=seed) for seed in (1, 2)]
    views = np.random.default_rng(0).random((7, 5, 16, 16, 3), np.float32)
    assert threads.calls_at_once() == 1
    one = features.embedder(networks)(views)
    monkeypatch.setattr(features, "calls_at_once", lambda: 3)
    several = features.embedder(networks)(views)
    for first, second, network in zip(one, several, networks, strict=True):
        assert np.array_equal(first, second)
        # And they are the network's own, photograph by photograph.
        assert np.allclose(first, network(views.reshape(35, 16, 16, 3), training=False), atol=1e-5)
