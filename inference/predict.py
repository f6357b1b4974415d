"""`predict`: what the photographs of a source show, by a registered version's backbone and probe, whose files were checked.

Probabilities are calibrated, and predictions below the version's threshold are marked as unsure (trainer/calibration.py).
Photographs are read and checked as by `embed`; memory does not grow with their number.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

import pipeline_config
from components.example_gen.photograph import Encoded
from contracts import baseline, files, model_files
from inference.embed import Backbone, Described, batches, images_of, log_unreadable
from inference.registered import find_both, require_unchanged
from registry.backend import CHAMPION, RegistryError
from trainer.probe import load_probe


@dataclass(frozen=True)
class Prediction:
    """What one photograph shows.

    path: in the source. content_hash: SHA-256 (hex) of the file's bytes. label: the most probable class. probability: of it, in
    [0, 1]. second_label: the next in probability. unsure: whether the probability is below the threshold.
    """

    path: str
    content_hash: str
    label: str
    probability: float
    second_label: str
    unsure: bool


class Classifier:
    """A loaded version: its backbone and its probe.

    Attributes:
      backbone: the inference.embed.Backbone.
      name, version: in the registry.
      backbone_content_hash, probe_content_hash: `contracts.content_hash` of the two directories.
      classes: names, sorted.
      calibration: as `linear_eval.calibration` in run.json, measured when the probe was fitted.
      temperature: by which logits are divided; None if the probabilities are not calibrated.
      threshold: probability below which a prediction is unsure, in [0, 1]; None: all are.
    """

    def __init__(self, root: str, version: str, name: str, threshold: float | None = None, unverified: bool = False, registry: str = ""):
        """Loads a version; nothing in its files is executed.

        Args:
          root, version, name, registry, unverified: as in `predict`.
          threshold: instead of the version's own.

        Raises:
          RegistryError: there is no such version, it may not be used (`registered.find`), or its probe has no calibration.
        """
        registered, probe = find_both(root, version, name, unverified, registry)
        require_unchanged(probe)
        record = files.read_json(f"{probe.directory}/{model_files.PROBE_RECORD}")
        if "calibration" not in record:
            raise RegistryError(
                f"version {probe.version} of {probe.name} was registered by a release without calibrated probabilities; "
                "register a new version with `flowers run`, or choose another with --version"
            )
        self.backbone = Backbone(registered)
        self.name, self.version = registered.name, registered.version
        self.backbone_content_hash, self.probe_content_hash = registered.content_hash, probe.content_hash
        self.classes: tuple[str, ...] = tuple(record["classes"])
        self.calibration: dict = record["calibration"] | {"baseline": baseline.of(record)}
        self.temperature: float | None = self.calibration["candidate"]["temperature"]
        self.threshold: float | None = self.calibration["candidate"]["threshold"] if threshold is None else threshold
        self._probe = load_probe(probe.directory)

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """The probability of each class for each vector of the backbone, `[count, embedding_size]`: `[count, classes]` in [0, 1].

        Without a temperature they are the probe's own, at temperature 1.
        """
        return softmax(self._probe.logits(vectors) / (self.temperature or 1.0), axis=1)

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights `[embedding_size, classes]` and bias `[classes]`, float32; `probabilities` is softmax(vectors @ weights + bias)."""
        weights = self._probe.weights.astype(np.float64) / self._probe.scale[:, None]
        temperature = self.temperature or 1.0
        return ((weights / temperature).astype(np.float32),
                ((self._probe.bias - self._probe.mean @ weights) / temperature).astype(np.float32))  # fmt: skip

    def predictions(self, described: Iterable[Described], vectors: np.ndarray) -> list[Prediction]:
        """The predictions for photographs with these vectors."""
        found = []
        for one, row in zip(described, self.probabilities(vectors), strict=True):
            first, second = np.argsort(-row, kind="stable")[:2]
            unsure = self.threshold is None or bool(row[first] < self.threshold)
            found.append(Prediction(
                one.path, one.content_hash, self.classes[first], float(row[first]), self.classes[second], unsure))  # fmt: skip
        return found


def predicted_batches(
    classifier: Classifier, images: Iterable[Callable[[], Encoded]]
) -> Iterator[tuple[list[Prediction], list[Described]]]:
    """Predicts `images` in their order, a batch at a time.

    Args:
      images: functions that read one image each, as from components.example_gen.source.every_image.

    Yields:
      The predictions, and the images that cannot be used, with the reason.
    """
    for batch, vectors in batches(classifier.backbone, images):
        usable = [one for one in batch if one.view is not None]
        yield classifier.predictions(usable, vectors), [one for one in batch if one.view is None]


def predict(
    source: str,
    *,
    root: str = "runs",
    version: str = CHAMPION,
    name: str = pipeline_config.Registry.name,
    registry: str = "",
    unverified: bool = False,
    threshold: float | None = None,
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    on_unreadable: Callable[[Described], None] = log_unreadable,
) -> Iterator[Prediction]:
    """What each photograph of a source shows, one after another. Images that cannot be used are left out.

    Args:
      source: a folder of any layout, an image file, `tfds:NAME` or `synthetic`.
      root: where the registry is, as `--root`.
      version: number or alias of the registered version; `name` is the registered model.
      registry: http(s)://HOST:PORT of the MLflow server that has the registry; "": that below `root`.
      unverified: use it in any case, as in inference.embed.embed.
      threshold: probability below which a prediction is unsure, in [0, 1]; None for the version's own.
      exclude, follow_links: as `data.exclude` and `data.follow_links` of a run.
      on_unreadable: called with each image that is left out; by default they are logged.

    Raises:
      RegistryError: there is no such version, it may not be used, or its probe has no calibration.
      ConfigurationError: `exclude` or `follow_links` for a source that is no folder.
      SourceNotFound: there is no such source.
    """
    images = images_of(source, root, exclude, follow_links)
    return _one_by_one(Classifier(root, version, name, threshold, unverified, registry), images, on_unreadable)


def _one_by_one(
    classifier: Classifier, images: Iterable[Callable[[], Encoded]], on_unreadable: Callable[[Described], None]
) -> Iterator[Prediction]:
    for predictions, unusable in predicted_batches(classifier, images):
        for one in unusable:
            on_unreadable(one)
        yield from predictions
