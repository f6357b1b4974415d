"""Environment variables that libraries read when they are imported: set here before, in every process that uses the project.

Such a process calls `set_variables` first; those that it starts inherit them, and the image has the same values (Dockerfile). What
would change results or end a run is decided, whatever the user has set for other programs; the rest only where nothing is set.
"""

import os
import sys
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
    # The C library's: pools of its own keep what is free, which contracts/memory.py gives back.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


def set_variables(environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets DECIDED, and of UNLESS_SET what is missing."""
    environment.update(DECIDED)
    for name, value in UNLESS_SET.items():
        environment.setdefault(name, value)


class WrongKerasSettings(ImportError):
    """Keras was imported before, with settings under which the project's networks do not work."""


# As Keras has them by DECIDED: name of the function of keras.config, and its value.
NEEDED = {"backend": "tensorflow", "image_data_format": "channels_last", "floatx": "float32"}


def set_variables_or_check() -> None:
    """`set_variables` in a process of somebody else, in which Keras may be imported already: then its settings are checked.

    Raises:
      WrongKerasSettings: they are others, and cannot or should not be changed behind the back of whoever set them.
    """
    keras = sys.modules.get("keras")
    if keras is None:
        set_variables()
        return
    found = {name: getattr(keras.config, name)() for name in NEEDED}
    if found != NEEDED:
        others = found.items() - NEEDED.items()
        wrong = ", ".join(f"{name} {value!r} instead of {NEEDED[name]!r}" for name, value in sorted(others))
        raise WrongKerasSettings(
            f"Keras was imported before, with {wrong}; import `inference`, or call `pipeline.run`, before Keras is imported, "
            "which then has the right settings whatever keras.json and KERAS_BACKEND say, or use it in a process of its own"
        )
