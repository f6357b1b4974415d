"""A network as a `.keras` file that older releases of Keras read too, back to those that know its layers.

Each release writes every argument of every layer, also those that it has only just got and that are left at their defaults; an
older one refuses the file for them. benchmarks/oldest_tensorflow.py tries which releases read a version.
"""

import json
import os
import tempfile
import zipfile

import keras
import tensorflow as tf

from contracts import model_files

CONFIG = "config.json"
# Arguments that only newer releases know, and the values at which they change nothing. Those of VarianceScaling only say how
# weights began, which counts for nothing where the file has them.
LATER = {"input_axes": None, "output_axes": None, "renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99}


def save_keras(network: keras.Model, path: str) -> None:
    """Writes a network of stock layers; `path` is local or remote and ends in `.keras`."""
    # Keras writes to local paths only.
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, model_files.BACKBONE_KERAS)
        network.save(local)
        with zipfile.ZipFile(local) as archive:
            parts = {entry: archive.read(entry) for entry in archive.infolist()}
        with zipfile.ZipFile(local, "w") as archive:
            for entry, data in parts.items():
                archive.writestr(entry, without_later(data) if entry.filename == CONFIG else data)
        tf.io.gfile.copy(local, path, overwrite=True)


def without_later(config: bytes) -> bytes:
    """The description of a network in JSON, without the arguments of LATER that have the values there."""

    def known(one: dict) -> dict:
        return {name: value for name, value in one.items() if name not in LATER or value != LATER[name]}

    return json.dumps(json.loads(config, object_hook=known)).encode()
