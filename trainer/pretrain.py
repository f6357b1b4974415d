"""Trainer 1 for TFX: `run_fn` pre-trains a backbone by SimSiam. One of the two modules here that know TFX.

custom_config: `pretrain` and `embedding` (pipeline_config.identity of these sections as JSON), `checkpoint_dir` (in which each
pre-training has its own folder), `code_version` (hashes of the files that run), and perhaps `warm_start` (settings of `pretrain`
that are others if there is a backbone in fn_args.base_model, as JSON). Settings that only say how to run come from
contracts.how_to_run. Runs on all GPUs of its machine, or on the workers that TF_CONFIG names. Writes a backbone directory to
fn_args.serving_model_dir, and TensorBoard's scalars, VIEWS and PRETRAIN_REPORT to fn_args.model_run_dir.
"""

import contextlib
import dataclasses
import json
import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType

import numpy as np
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

import pipeline_config
from contracts import examples, files, how_to_run, memory, model_files, source_code
from pipeline_config import LinearEval, Pretrain, Views, WarmStart
from trainer import devices, photographs, pretrained_on, replicas, threads
from trainer.export import export_backbone, write_arrays
from trainer.loop import pretrain
from trainer.photographs import naming_undecodable, open_train_split
from trainer.simsiam import SimSiam
from trainer.views import random_view

# Enough to show what varies, and fits one screen; so many views of a photograph have room beside it.
SHOWN, SHOWN_VIEWS = 6, 4


def shown_views(files: Sequence[str], settings: Pretrain) -> dict[str, np.ndarray]:
    """The arrays of contracts.model_files.VIEWS for the first SHOWN records of `files`, with at most SHOWN_VIEWS views of each.

    They are a random sample, as records are sorted by content hash. The views are those that a first batch of these photographs
    would get, of the size and by the code that training uses.
    """
    side = round(settings.resolution * settings.canvas_scale)
    records = photographs.record_bytes(photographs.paths_of(files)).take(SHOWN)
    canvases, aspects = next(iter(records.map(lambda record: photographs.decode(record, side)).batch(SHOWN)))
    views = [
        random_view(canvases, aspects, tf.constant([settings.seed, index]), settings.resolution, settings.views)
        for index in range(min(settings.view_count, SHOWN_VIEWS))
    ]
    as_bytes = np.round(255 * np.stack([view.numpy() for view in views])).astype(np.uint8)
    return {"photographs": canvases.numpy(), "aspects": aspects.numpy(), "views": as_bytes}


def layers_of(model: SimSiam) -> dict[str, list[dict]]:
    """The layers of backbone, projector and predictor, each with `name`, `kind`, `output` (its shape without the batch) and the
    number of its `parameters`, with running statistics."""
    return {
        name: [
            {"name": layer.name, "kind": type(layer).__name__, "output": list(layer.output.shape[1:]), "parameters": layer.count_params()}
            for layer in network.layers
        ]
        for name, network in (("backbone", model.backbone), ("projector", model.projector), ("predictor", model.predictor))
    }


def run_fn(fn_args: FnArgs, alone_in: Callable[[str], AbstractContextManager] = contextlib.nullcontext) -> None:
    """Pre-trains on the splits train and unlabelled.

    Args:
      alone_in: called with the folder of the checkpoints, what is entered while they are read and written; on the chief only.

    Raises:
      ConfigurationError: both together have fewer photographs than one batch.
      trainer.monitors.CollapseError: the outputs collapsed.
    """
    config = fn_args.custom_config
    running = how_to_run.settings(os.environ)
    neighbours = running.pop("neighbours", LinearEval.neighbours)
    settings = settings_from_json(config["pretrain"], running)
    threads.share_cores(settings)
    # Before all else that TensorFlow does, because several workers must connect first.
    strategy = replicas.choose_strategy(os.environ.get("TF_CONFIG"))
    if "warm_start" in config:
        settings = started_from(fn_args.base_model, settings, json.loads(config["warm_start"]))
    devices.require_gpus(settings.min_gpus, settings.allow_cpu)
    origin = read_origin(fn_args.train_files)
    checkpoint_dir = posixpath.join(config["checkpoint_dir"], checkpoint_key(settings, origin, config["code_version"]))
    alone = alone_in(checkpoint_dir) if replicas.is_chief(strategy) else contextlib.nullcontext()
    side = round(settings.resolution * settings.canvas_scale)
    with naming_undecodable(fn_args.train_files), alone, memory.kept_for_reuse():
        photographs = open_train_split(fn_args.train_files, side, settings.memory_megabytes)
        result = pretrain(
            photographs, settings, checkpoint_dir=checkpoint_dir, log_dir=fn_args.model_run_dir, neighbours=neighbours,
            strategy=strategy)  # fmt: skip
    record = {
        "schema_version": 1,
        **architecture(settings),
        "resolution": settings.resolution,
        "seed": settings.seed,
        "embedding": json.loads(config["embedding"]),
        "pretrain": pipeline_config.identity(result.settings),
        "data_fingerprint": origin["data_fingerprint"],
        "max_side": origin["settings"]["max_side"],
        "code_version": source_code.version(json.loads(config["code_version"])),
    }
    if replicas.is_chief(strategy):
        pretrained_on.write(fn_args.train_files, settings.warm_start.backbone, fn_args.serving_model_dir)
        export_backbone(result.model.backbone, record, fn_args.serving_model_dir)
        write_arrays(shown_views(fn_args.train_files, settings), posixpath.join(fn_args.model_run_dir, model_files.VIEWS))
        report = result.report | {"network": layers_of(result.model)}
        files.write_json(posixpath.join(fn_args.model_run_dir, model_files.PRETRAIN_REPORT), report)
    # TFX expects the model as soon as this function returns, on every worker.
    replicas.agree(strategy, settings.epochs)


def architecture(settings: Pretrain) -> dict:
    """What a backbone record says of the network: by which settings it was built, or which network of others it was."""
    if settings.warm_start.network:
        return {"backbone": settings.warm_start.network, "width": None, "stem": None}
    return {"backbone": settings.backbone, "width": settings.width, "stem": settings.stem}


def settings_from_json(text: str, running: Mapping[str, object] = MappingProxyType({})) -> Pretrain:
    """A Pretrain section from its JSON and the settings that say how to run, validated like any other."""
    values = json.loads(text) | running
    return Pretrain(**values | {"views": Views(**values["views"]), "warm_start": WarmStart(**values["warm_start"])})


def started_from(base_model: str, settings: Pretrain, warm: Mapping[str, object]) -> Pretrain:
    """`settings` of a pre-training that continues from the backbone in `base_model`, which components.warm_start copied; as they are if
    there is none in it.

    Args:
      base_model: directory of the backbone; contracts.model_files.WARM_START is beside it.
      warm: values of the settings that are others then.
    """
    found = WarmStart(**files.read_json(posixpath.join(posixpath.dirname(base_model.rstrip("/")), model_files.WARM_START)))
    if not found.backbone:
        return settings
    return dataclasses.replace(settings, warm_start=dataclasses.replace(found, backbone=base_model), **warm)


def read_origin(train_files: list[str]) -> dict:
    """What the records were made from: contracts.examples.ORIGIN_FILE, beside the folder of the train split."""
    examples_dir = posixpath.dirname(posixpath.dirname(train_files[0]))
    return files.read_json(posixpath.join(examples_dir, examples.ORIGIN_FILE))


def checkpoint_key(settings: Pretrain, origin: dict, code_version: str) -> str:
    """First 16 hex digits of the hash of everything that determines pre-training: the name of its checkpoints' folder."""
    # Of the backbone to start from its content: where a copy of it is decides nothing.
    pretraining = pipeline_config.identity(settings) | {"warm_start": settings.warm_start.content_hash}
    determined_by = {"pretrain": pretraining, "origin": origin, "code_version": code_version}
    return files.json_sha256(determined_by)[:16]
