"""Checks that need TensorFlow and its companions, in a process of their own: whether these can be imported, which GPUs they see,
what the source of photographs holds, how much memory a step needs, and what the registry has.

Run as `python -m cli.doctor_libraries`: reads a request as JSON from standard input, writes its answers as JSON to the file
that the request names. A check that failed has the answer {"error": …}.
"""

import collections
import dataclasses
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable

from contracts import files
from contracts.examples import TRAIN

IMPORTED = ("tensorflow", "tfx", "ml_metadata", "tensorflow_data_validation", "tensorflow_model_analysis", "apache_beam", "mlflow")
PATIENCE_SECONDS = 900


def ask(preset: str, overrides: list[str], datasets: str, registry: str) -> dict[str, dict]:
    """The answers, by question: one for each of IMPORTED, and `gpus`, `source`, `step` and `registry`; each a dictionary."""
    with tempfile.TemporaryDirectory() as folder:
        answers = pathlib.Path(folder) / "answers.json"
        request = {"answers": str(answers), "preset": preset, "overrides": overrides, "datasets": datasets, "registry": registry}
        try:
            process = subprocess.run([sys.executable, "-m", __name__], input=json.dumps(request), text=True, capture_output=True,
                                     timeout=PATIENCE_SECONDS, check=False)  # fmt: skip
            how = f"ended with status {process.returncode}"
        except subprocess.TimeoutExpired:
            how = f"took longer than {PATIENCE_SECONDS} s"
        found = files.read_json(answers) if answers.exists() else {}
        # If a library ends the process, its question and all later ones have no answer.
        names = (*IMPORTED, "gpus", "source", "step", "registry")
        return {name: found.get(name, {"error": f"the process that asked {how}"}) for name in names}


def main() -> None:
    """Answers the request on standard input."""
    request = json.load(sys.stdin)
    from cli import settings

    config = settings.with_absolute_paths(settings.configuration(request["preset"], request["overrides"]))
    questions: dict[str, Callable[[], dict]] = {name: lambda name=name: _version(name) for name in IMPORTED}
    questions["gpus"] = _gpus
    questions["source"] = lambda: _source(config.data, request["datasets"])
    questions["step"] = lambda: _step(config)
    questions["registry"] = lambda: _registry(request["registry"], config.registry.name)
    answers = {}
    for name, question in questions.items():
        try:
            answers[name] = question()
        except Exception as error:  # any error is an answer
            answers[name] = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        files.write_json(request["answers"], answers)


def _version(name: str) -> dict:
    return {"version": importlib.import_module(name).__version__}


def _gpus() -> dict:
    import tensorflow as tf

    return {"gpus": [device.name for device in tf.config.list_physical_devices("GPU")]}


def _source(data, datasets: str) -> dict:
    from components.example_gen import division, folder, source

    if data.unlabelled and not data.unlabelled.startswith(source.TFDS_PREFIX):
        unlabelled = folder.unlabelled_folder(data.unlabelled, data.exclude, data.follow_links)
        more, not_read = sum(not candidate.reason for candidate in unlabelled.candidates), unlabelled.unused
    else:
        more, not_read = 0, ()
    if data.source == "synthetic":
        from components.synthetic_flowers import species

        return {"classes": {name: None for name in species.NAMES}, "images": data.synthetic_images, "unlabelled": more}
    if data.source.startswith(source.TFDS_PREFIX):
        return _data_set(data) | {"unlabelled": more}
    found = source.open_source(dataclasses.replace(data, unlabelled=""), datasets)
    readable = [candidate for candidate in found.candidates if not candidate.reason]
    sizes = collections.Counter(candidate.class_name for candidate in readable)
    more += sizes.pop("", 0)
    if found.given_splits:
        train = sum(candidate.split == TRAIN for candidate in readable)
    else:
        train = sizes.total() - sum(division.held_out(sizes, data.eval_fraction, data.min_eval).values())
    refused = {candidate.reason: candidate.detail for candidate in found.candidates if candidate.reason}
    counts = collections.Counter(candidate.reason for candidate in found.candidates if candidate.reason)
    return {"classes": dict.fromkeys(found.classes, 0) | sizes, "images": sizes.total(), "train": train, "unlabelled": more,
            "not_read": [*found.unused, *not_read], "in_two_classes": folder.files_in_two_classes(found.candidates),
            "refused": [[counts[reason], reason, detail] for reason, detail in refused.items()]}  # fmt: skip


def _data_set(data) -> dict:
    import tensorflow_datasets as tfds

    from components.example_gen import data_set, source

    name = data.source.removeprefix(source.TFDS_PREFIX)
    builder = tfds.builder(name, try_gcs=False)
    if not builder.data_path.exists():
        return {"classes": {}, "images": None, "to_download": str(builder.data_path)}
    found = data_set.open_data_set(data.source, "tfds", builder, data.eval_fraction)
    return {"classes": dict.fromkeys(found.classes), "images": sum(split.num_examples for split in builder.info.splits.values())}


def _step(config) -> dict:
    """Bytes of what a step keeps for its gradients: all outputs of the backbone's layers, in float32, of both views of a batch."""
    import math

    from trainer.simsiam import build_simsiam

    model = build_simsiam(config.pretrain)
    values = sum(math.prod(layer.output.shape[1:]) for layer in model.backbone.layers)
    return {"bytes": 2 * config.pretrain.batch_size * values * 4}


def _registry(directory: str, name: str) -> dict:
    from registry import reading
    from registry.opening import open_registry

    versions = open_registry(directory, name).versions()
    champion = reading.champion_of(versions)
    return {"versions": len(versions), "champion": champion.version if champion else None,
            "missing": [version.version for version in versions if not os.path.isdir(version.path)]}  # fmt: skip


if __name__ == "__main__":
    main()
