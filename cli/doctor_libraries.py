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

from components.errors import DataRefused, SourceNotFound
from contracts import files
from contracts.examples import EVAL, SPLITS, TRAIN, UNLABELLED
from pipeline_config import ConfigurationError

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
    from pipeline import settings

    config = settings.with_absolute_paths(settings.configuration(request["preset"], request["overrides"]))
    questions: dict[str, Callable[[], dict]] = {name: lambda name=name: _version(name) for name in IMPORTED}
    questions["gpus"] = lambda: _gpus(config.pretrain)
    questions["source"] = lambda: _source(config.data, config.pretrain.batch_size, request["datasets"])
    questions["step"] = lambda: _step(config)
    questions["registry"] = lambda: _registry(request["registry"], config.registry.name)
    answers = {}
    for name, question in questions.items():
        try:
            answers[name] = question()
        except (DataRefused, SourceNotFound) as error:  # as a run says it
            answers[name] = {"error": str(error), "as_a_run": True}
        except Exception as error:  # any error is an answer
            answers[name] = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        files.write_json(request["answers"], answers)


def _version(name: str) -> dict:
    return {"version": importlib.import_module(name).__version__}


def _gpus(pretrain) -> dict:
    import tensorflow as tf

    from trainer import devices, replicas, step_memory

    found = {"gpus": [device.name for device in tf.config.list_physical_devices("GPU")]}
    if found["gpus"]:
        found |= {"memory": devices.memory_bytes(), "too_large": step_memory.warning(pretrain)}
    try:
        replicas.require_shared(pretrain, max(1, len(found["gpus"])))
    except ConfigurationError as error:
        return found | {"not_shared": str(error)}
    return found


def _source(data, batch_size: int, datasets: str) -> dict:
    from components.example_gen.source import TFDS_PREFIX

    # A second source of TFDS is not counted: it may have to be downloaded.
    local = data if not data.unlabelled.startswith(TFDS_PREFIX) else dataclasses.replace(data, unlabelled="")
    if data.source == "synthetic":
        found = _synthetic(data)
    elif data.source.startswith(TFDS_PREFIX):
        found = _data_set(data)
    else:
        return _folders(local, batch_size, datasets)
    if local.unlabelled:
        from components.example_gen import folder

        second = folder.unlabelled_folder(local.unlabelled, local.exclude, local.follow_links)
        found |= {"unlabelled": found["unlabelled"] + sum(not one.reason for one in second.candidates), "not_read": second.unused}
    return found


def _folders(data, batch_size: int, datasets: str) -> dict:
    """What listing the folders tells, and what a look at their photographs: all that a run refuses if these are not too many."""
    from components import data_gate
    from components.errors import DataRefused
    from components.example_gen import division, folder, look, report, source

    opened = source.open_source(data, datasets)
    parts = getattr(opened, "parts", (opened,))
    candidates = [candidate for part in parts for candidate in part.candidates]
    readable = [candidate for candidate in candidates if not candidate.reason]
    sizes = collections.Counter(candidate.class_name for candidate in readable)
    unlabelled = sizes.pop("", 0)
    if opened.given_splits:
        train = sum(candidate.split == TRAIN for candidate in readable)
    else:
        train = sizes.total() - sum(division.held_out(sizes, data.eval_fraction, data.min_eval).values())
    answer = {"classes": dict.fromkeys(opened.classes, 0) | sizes, "images": sizes.total(), "train": train, "unlabelled": unlabelled,
              "not_read": list(opened.unused)}  # fmt: skip
    try:
        source.require_usable(opened, data)
    except DataRefused as refused:
        return answer | {"refusals": [str(refused)]}
    found = look.look(parts, data)
    quarantined, pictures = found.report["quarantined"], found.report["near_duplicates"]["in_two_classes"]
    details = {one["reason"]: one["detail"] for one in reversed(quarantined["files"])}
    answer |= {
        "looked_at": found.looked_at, "files": found.files, "bad_fraction": found.report["bad_fraction"],
        "refused": [[count, reason, details[reason]] for reason, count in quarantined["by_reason"].items()],
        "in_two_classes": [[one["path"] for one in picture] for picture in pictures],
        "ignored_profiles": found.report["profiles"]["ignored"], "nearly_black": report.nearly_black(found.report)}  # fmt: skip
    if not found.is_whole:
        return answer | {"in_two_classes": folder.files_in_two_classes(candidates)}
    train, _, unlabelled = (found.report["splits"][split]["images"] for split in SPLITS)
    refusals = data_gate.refusals_of_ingest(found.report, data.max_bad_fraction, batch_size)
    return answer | {"train": train, "unlabelled": unlabelled, "refusals": refusals, "is_whole": True}


def _synthetic(data) -> dict:
    from components.synthetic_flowers import builder, species

    drawn = builder.configuration(data.synthetic_images, data.synthetic_labelled, data.synthetic_side, data.synthetic_seed,
                                  data.eval_fraction)  # fmt: skip
    return {"classes": dict.fromkeys(species.NAMES), "images": drawn.train_images + drawn.eval_images, "train": drawn.train_images,
            "unlabelled": drawn.images - drawn.train_images - drawn.eval_images}  # fmt: skip


def _data_set(data) -> dict:
    import tensorflow_datasets as tfds

    from components.example_gen import data_set, downloads, source

    name = data.source.removeprefix(source.TFDS_PREFIX)
    builder = tfds.builder(name, try_gcs=False)
    if not builder.data_path.exists():
        why = downloads.unreachable(builder)
        return {"classes": {}, "images": None, "unlabelled": 0, "to_download": str(builder.data_path),
                **({"error": data_set.not_reached(name, builder, why), "as_a_run": True} if why else {})}  # fmt: skip
    found = data_set.open_data_set(data.source, "tfds", builder, data.eval_fraction)
    counts = {split: builder.info.splits[instruction].num_examples for split, instruction in found.splits.items()}
    refusals = [] if len(found.classes) != 1 else [f"{data.source} has one class, {found.classes[0]!r}, and needs two or more"]
    return {"classes": dict.fromkeys(found.classes), "images": counts[TRAIN] + counts[EVAL], "train": counts[TRAIN],
            "unlabelled": counts.get(UNLABELLED, 0), "refusals": refusals}  # fmt: skip


def _step(config) -> dict:
    """Bytes of what a step keeps for its gradients."""
    from trainer.step_memory import step_memory

    return {"bytes": step_memory(config.pretrain).of(config.pretrain.batch_size)}


def _registry(place: str, name: str) -> dict:
    from registry import reading
    from registry.backend import RegistryError
    from registry.opening import is_shared, open_registry

    try:
        versions = open_registry(place, name).versions()
    except RegistryError as error:  # what is wrong, and what to do
        what, _, fix = str(error).partition("; ")
        return {"error": what, "fix": fix}
    champion, here = reading.champion_of(versions), [] if is_shared(place) else versions
    return {"versions": len(versions), "champion": champion.version if champion else None,
            "missing": [version.version for version in here if not os.path.isdir(version.path)]}  # fmt: skip


if __name__ == "__main__":
    main()
