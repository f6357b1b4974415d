"""Environment variables that libraries read when they are imported: set here before, in every process that the project starts.

Such a process calls `set_variables` first; those that it starts inherit them, and the image has the same values (Dockerfile). What
would change results or end a run is decided, whatever the user has set for other programs; the rest only where nothing is set.
"""

import os
from collections.abc import MutableMapping

DECIDED = {
    # Networks, checkpoints and exports are TensorFlow's.
    "KERAS_BACKEND": "tensorflow",
    # Keras reads keras.json below this folder: another backend, image data format, float type, epsilon. Nothing is below this
    # name, so Keras' own defaults hold (channels last, float32), and nothing is written to the home folder.
    "KERAS_HOME": os.devnull,
    # 1 makes tf.keras the package tf_keras, which is Keras 2.
    "TF_USE_LEGACY_KERAS": "0",
}

UNLESS_SET = {
    # oneDNN is off by default on some processors, where it makes a step several times as fast.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def set_variables(environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets DECIDED, and of UNLESS_SET what is missing."""
    environment.update(DECIDED)
    for name, value in UNLESS_SET.items():
        environment.setdefault(name, value)
