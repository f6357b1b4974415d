"""What MLflow runs to use a version as a model: `mlflow.pyfunc.load_model` calls `_load_pyfunc`. A copy is in every version.

It needs MLflow, TensorFlow, NumPy and pandas, and nothing of this project.
"""

import json
import os

import numpy as np
import pandas
import tensorflow as tf

COLUMN = "image_bytes"
# Images that pass through the network at a time, so that memory does not grow with the number of rows.
BATCH = 32


class Model:
    """A backbone and its probe."""

    def __init__(self, path: str):
        """Loads the version in the directory `path`; nothing in its files is executed but TensorFlow's graph."""
        self._backbone = tf.saved_model.load(os.path.join(path, "backbone"))
        with np.load(os.path.join(path, "probe", "probe.npz"), allow_pickle=False) as arrays:
            self._probe = {name: arrays[name].astype(np.float64) for name in ("mean", "scale", "weights", "bias")}
        with open(os.path.join(path, "probe", "probe.json"), encoding="utf-8") as file:
            record = json.load(file)
        self._classes = record["classes"]
        measured = record.get("calibration", {}).get("candidate", {})
        self._temperature, self._threshold = measured.get("temperature") or 1.0, measured.get("threshold")

    def predict(self, data: pandas.DataFrame, params: dict | None = None) -> pandas.DataFrame:
        """What images show.

        Args:
          data: a column COLUMN of bytes, encoded image files (JPEG, PNG, WebP, GIF, BMP), one a row.
          params: not used; MLflow passes it.

        Returns:
          A row for each image, with the index of `data`: `label`, the most probable class; `probability` of it in [0, 1], calibrated
          where the version is; `unsure`, whether that is below the version's threshold; `embedding`, a list of float, 0 or more.

        Raises:
          tf.errors.InvalidArgumentError: an image is refused; the message says which, and why.
          ValueError: there is no such column, or it has something else than bytes.
        """
        if COLUMN not in data or not all(isinstance(one, bytes) for one in data[COLUMN]):
            raise ValueError(f"the model takes a column {COLUMN!r} of bytes, encoded image files; got columns {list(data)}")
        served = self._backbone.signatures["encoded_images"]
        # Of objects: in an array of NumPy's own bytes a file would lose the zeros at its end.
        files = data[COLUMN].to_numpy(dtype=object)
        parts = [served(**{COLUMN: tf.constant(files[first : first + BATCH], tf.string)})["embedding"].numpy()
                 for first in range(0, len(files), BATCH)]  # fmt: skip
        embeddings = np.concatenate(parts) if parts else np.zeros((0, len(self._probe["mean"])), np.float32)
        probabilities = self._probabilities(embeddings)
        most = probabilities.argmax(axis=1)
        highest = probabilities[np.arange(len(most)), most]
        return pandas.DataFrame({
            "label": [self._classes[position] for position in most],
            "probability": highest,
            "unsure": [self._threshold is None or bool(one < self._threshold) for one in highest],
            "embedding": embeddings.tolist(),
        }, index=data.index)  # fmt: skip

    def _probabilities(self, embeddings: np.ndarray) -> np.ndarray:
        probe = self._probe
        logits = ((embeddings - probe["mean"]) / probe["scale"] @ probe["weights"] + probe["bias"]) / self._temperature
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


def _load_pyfunc(path: str) -> Model:
    return Model(path)
