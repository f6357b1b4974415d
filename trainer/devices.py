"""The devices that TensorFlow sees: whether they are what a configuration asks for, and what a record says of them."""

import os
import shutil
import subprocess
import sys

import tensorflow as tf

from contracts import memory
from pipeline_config import ConfigurationError

# A process that imports TensorFlow and looks for devices.
LOOK = "import tensorflow as tf; tf.config.list_physical_devices('GPU')"
# Words by which TensorFlow's lines about GPUs are told from its others.
ABOUT_GPUS = ("cuda", "gpu", "cudnn", "nvidia", "rocm", "dlopen")
LONGEST, SECONDS = 300, 120


def require_gpus(wanted: int, allow_cpu: bool) -> None:
    """Whether TensorFlow sees as many GPUs as are wanted.

    Raises:
      ConfigurationError: it does not, and `allow_cpu` is false; with what TensorFlow says about it and how to mend it.
    """
    if allow_cpu or not wanted:
        return
    found = len(tf.config.list_physical_devices("GPU"))
    if found >= wanted:
        return
    said = what_tensorflow_says()
    raise ConfigurationError(
        f"this needs {wanted} GPU{'s' if wanted > 1 else ''}, but TensorFlow sees {found or 'none'} ({build()}"
        f"{f'; it says: {said}' if said else ''}): install the extra `gpu` or use the image for GPUs (docs/gpu.md), take --preset cpu, "
        "or add --allow-cpu to train on what there is all the same"
    )


def count() -> int:
    """How many devices share a batch: all GPUs, as `replicas.choose_strategy` takes all, or the processor."""
    return max(1, len(tf.config.list_physical_devices("GPU")))


def what_tensorflow_says() -> str:
    """What TensorFlow writes where it looks for GPUs, or "". It says so once in a process, so a new one is asked."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "0"}
    try:
        asked = subprocess.run([sys.executable, "-c", LOOK], env=environment, capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return line_about_gpus(asked.stderr.decode(errors="replace"))


def line_about_gpus(text: str) -> str:
    """The last sentence about GPUs in TensorFlow's log, without time and place: later ones say what came of it; "" if there is none."""
    lines = [line.partition("] ")[2] or line for line in text.splitlines()]
    # This one stands at every start, whatever there is.
    about = [line for line in lines if any(word in line.lower() for word in ABOUT_GPUS) and "optimized to use" not in line]
    return " ".join(about[-1].split())[:LONGEST] if about else ""


def build() -> str:
    """TensorFlow's version and what it was built for, such as "TensorFlow 2.21.0, built with CUDA 12.5.1"."""
    information = tf.sysconfig.get_build_info()
    with_cuda = f"with CUDA {information['cuda_version']}" if information.get("cuda_version") else "without CUDA"
    return f"TensorFlow {tf.__version__}, built {with_cuda}"


def memory_bytes() -> int | None:
    """Memory of the first GPU, in bytes, as NVIDIA's driver has it; without a GPU that of the machine; None if nobody says."""
    if not tf.config.list_physical_devices("GPU"):
        return memory.of_machine()
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        asked = subprocess.run([program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"],
                               capture_output=True, text=True, timeout=SECONDS, check=False)  # fmt: skip
        return int(asked.stdout.split()[0]) << 20  # it answers in MiB
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return None
