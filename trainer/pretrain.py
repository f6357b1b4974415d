"""Trainer 1 as TFX calls it: `run_fn` pre-trains a backbone by SimSiam. One of the two modules here that know TFX.

custom_config: `pretrain` and `embedding` (pipeline_config.Pretrain and Embedding as JSON), `neighbours`, `checkpoint_dir` (in which
this pre-training has a folder of its own) and `code_version`. Runs on all GPUs of its machine, or on the workers that TF_CONFIG names.
Leaves a backbone directory at fn_args.serving_model_dir, and TensorBoard's scalars, VIEWS and PRETRAIN_REPORT at
fn_args.model_run_dir.
"""

import dataclasses
import hashlib
import json
import os
import posixpath

import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from contracts import examples, model_files
from pipeline_config import Pretrain, Views, WarmStart
from trainer import replicas
from trainer.export import export_backbone, write_arrays, write_json
from trainer.pretraining import pretrain
from trainer.shown_views import shown_views
from trainer.train_split import open_train_split


def run_fn(fn_args: FnArgs) -> None:
    """Pre-trains on the train split.

    Raises:
      ConfigurationError: the train split has fewer photographs than one batch.
      trainer.monitors.CollapseError: the outputs collapsed.
    """
    # First, as several workers have to meet before TensorFlow does anything else.
    strategy = replicas.choose_strategy(os.environ.get("TF_CONFIG"))
    config = fn_args.custom_config
    settings = settings_from_json(config["pretrain"])
    origin = read_origin(fn_args.train_files)
    key = checkpoint_key(settings, origin, config["code_version"])
    side = round(settings.resolution * settings.canvas_scale)
    photographs = open_train_split(fn_args.train_files, side, settings.memory_megabytes)
    result = pretrain(
        photographs, settings, checkpoint_dir=posixpath.join(config["checkpoint_dir"], key), log_dir=fn_args.model_run_dir,
        neighbours=config["neighbours"], strategy=strategy)  # fmt: skip
    record = {
        "schema_version": 1,
        "backbone": settings.backbone,
        "width": settings.width,
        "stem": settings.stem,
        "resolution": settings.resolution,
        "seed": settings.seed,
        "embedding": json.loads(config["embedding"]),
        "pretrain": dataclasses.asdict(settings),
        "data_fingerprint": origin["data_fingerprint"],
        "max_side": origin["settings"]["max_side"],
        "code_version": config["code_version"],
    }
    if replicas.is_chief(strategy):
        export_backbone(result.model.backbone, record, fn_args.serving_model_dir)
        write_arrays(shown_views(fn_args.train_files, settings), posixpath.join(fn_args.model_run_dir, model_files.VIEWS))
        write_json(result.report, posixpath.join(fn_args.model_run_dir, model_files.PRETRAIN_REPORT))
    # TFX looks for the model as soon as this function returns, on every worker.
    replicas.agree(strategy, settings.epochs)


def settings_from_json(text: str) -> Pretrain:
    """A Pretrain section from its JSON, checked as any other."""
    values = json.loads(text)
    return Pretrain(**values | {"views": Views(**values["views"]), "warm_start": WarmStart(**values["warm_start"])})


def read_origin(train_files: list[str]) -> dict:
    """What the records were made from: contracts.examples.ORIGIN_FILE, beside the folder of the train split."""
    examples_dir = posixpath.dirname(posixpath.dirname(train_files[0]))
    with tf.io.gfile.GFile(posixpath.join(examples_dir, examples.ORIGIN_FILE)) as file:
        return json.load(file)


def checkpoint_key(settings: Pretrain, origin: dict, code_version: str) -> str:
    """First 16 hex digits of the hash of everything that determines pre-training: the name of its checkpoints' folder."""
    determined_by = {"pretrain": dataclasses.asdict(settings), "origin": origin, "code_version": code_version}
    return hashlib.sha256(json.dumps(determined_by, sort_keys=True).encode()).hexdigest()[:16]
