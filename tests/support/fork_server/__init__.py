"""Starts Python commands as forks of one process that has the large libraries imported, for tests that start the project.

A start of `flowers run` spends most of its time importing TensorFlow and TFX. `server` is a process that has imported them, and
nothing of this project; it forks a child for each command, and the child does what `python ARGUMENTS` would do, importing the
project's modules from the disk. `client` is what tests use: `Process` and `run`, which look like those of the module subprocess.

What a child shares with all others, as it cannot be set after the start of an interpreter: the seed of `hash()`, options such as
-X and -W, and the variables that libraries and Python read when they are imported (TF_ENABLE_ONEDNN_OPTS, TF_CPP_MIN_LOG_LEVEL,
OMP_NUM_THREADS, KERAS_BACKEND, PYTHONUTF8, …). A test that is about one of those, or about the start itself, takes subprocess.
"""

from fork_server.client import DEVNULL, PIPE, STDOUT, Process, run

__all__ = ["DEVNULL", "PIPE", "STDOUT", "Process", "run"]
