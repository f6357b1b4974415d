"""Whether the GPUs that a configuration asks for are there, and what is said where they are not."""

import os

import pytest
import tensorflow as tf

from pipeline_config import ConfigurationError
from trainer import devices

# As TensorFlow 2.21 writes it, on machines without a driver and without the CUDA libraries.
NO_DRIVER = """\
2026-11-24 17:00:00.1: I external/local_xla/xla/tsl/cuda/cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used.
2026-11-24 17:00:01.2: I tensorflow/core/platform/cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use available CPU instructions in gpu-critical operations.
2026-11-24 17:00:02.3: E external/local_xla/xla/stream_executor/cuda/cuda_platform.cc:51] failed call to cuInit: INTERNAL: CUDA error: UNKNOWN
"""


def seen(monkeypatch, count):
    names = [f"GPU:{number}" for number in range(count)]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: names)
    monkeypatch.setattr(devices, "what_tensorflow_says", lambda: "Could not find cuda drivers")


@pytest.mark.parametrize(("wanted", "found", "allowed"), [(1, 1, False), (1, 4, False), (0, 0, False), (4, 0, True), (4, 1, True)])
def test_as_many_as_asked_for_or_what_there_is_if_allowed(monkeypatch, wanted, found, allowed):
    seen(monkeypatch, found)
    devices.require_gpus(wanted, allowed)


@pytest.mark.parametrize(("wanted", "found", "words"), [(1, 0, "sees none"), (4, 1, "sees 1")])
def test_fewer_are_refused_with_what_tensorflow_says_and_what_to_do(monkeypatch, wanted, found, words):
    seen(monkeypatch, found)
    with pytest.raises(ConfigurationError, match=f"this needs {wanted} GPUs?, but TensorFlow {words} .TensorFlow 2.*built with.*; it says: "
                       "Could not find cuda drivers.*--allow-cpu"):  # fmt: skip
        devices.require_gpus(wanted, allow_cpu=False)


def test_of_tensorflow_s_log_the_last_line_about_gpus_is_quoted():
    assert devices.line_about_gpus(NO_DRIVER) == "failed call to cuInit: INTERNAL: CUDA error: UNKNOWN"
    assert devices.line_about_gpus(NO_DRIVER.splitlines()[0]).startswith("Could not find cuda drivers on your machine")
    assert devices.line_about_gpus("a line about something else\n") == ""


def test_without_a_gpu_the_memory_is_that_of_the_machine(monkeypatch):
    seen(monkeypatch, 0)
    with open("/proc/meminfo", encoding="ascii") as file:
        total = int(file.readline().split()[1]) * 1024
    assert devices.memory_bytes() == pytest.approx(total, rel=0.01)


def test_a_gpu_s_memory_is_what_its_driver_says(monkeypatch, tmp_path):
    seen(monkeypatch, 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.memory_bytes() is None
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 40960\necho 40960\n")
    os.chmod(tmp_path / "nvidia-smi", 0o755)
    assert devices.memory_bytes() == 40 * 2**30
