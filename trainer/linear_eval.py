"""Trainer 2 for TFX: `run_fn` fits a linear probe on the frozen backbone. One of the two modules here that know TFX.

custom_config: `linear_eval` (a pipeline_config.LinearEval as JSON), `code_version`. Writes a probe directory to
fn_args.serving_model_dir, and the random-init baseline (the same probe on the same network untrained), PREDICTIONS and
LINEAR_EVAL_REPORT to fn_args.model_run_dir.
"""

import json
import logging
import os
import posixpath

import numpy as np
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from contracts import examples, files, how_to_run, model_files, source_code
from contracts.content_hash import content_hash
from trainer import devices
from trainer.evaluation import Features, evaluate, predictions, settings_from_json
from trainer.export import export_probe, folded, ingested_side, load_backbone, untrained_network, write_arrays
from trainer.features import BATCH, embedder
from trainer.photographs import evaluation_view, list_records, naming_undecodable, paths_of, read_records, record_bytes

log = logging.getLogger(__name__)


def run_fn(fn_args: FnArgs) -> None:
    """Fits and measures the probe; only reads the backbone in fn_args.base_model.

    Without any label there is no probe: its directory has a record without classes alone, and the report is null.
    """
    running = how_to_run.settings(os.environ)
    devices.require_gpus(running.get("min_gpus", 0), running.get("allow_cpu", False))
    config = fn_args.custom_config
    settings = settings_from_json(json.loads(config["linear_eval"]))
    network, record = load_backbone(fn_args.base_model)
    common = {"schema_version": 1, "photograph_side": record["photograph_side"],
              "code_version": source_code.version(json.loads(config["code_version"]))}  # fmt: skip
    backbone = {
        # The artifact's own URI: TFX passes the directory of the model inside it.
        "backbone_uri": posixpath.dirname(fn_args.base_model.rstrip("/")),
        "backbone_content_hash": content_hash(fn_args.base_model),
    }
    report_path = posixpath.join(fn_args.model_run_dir, model_files.LINEAR_EVAL_REPORT)
    if not has_records([*fn_args.train_files, *fn_args.eval_files]):
        log.info("No photograph has a label, so there is no probe to fit")
        files.write_json(report_path, None)
        files.write_json(posixpath.join(fn_args.serving_model_dir, model_files.PROBE_RECORD), common | backbone | {"classes": []})
        return

    untrained = untrained_network(record)
    train, train_labels, classes = read_views(fn_args.train_files, record["photograph_side"])
    held_out, eval_labels, _ = read_views(fn_args.eval_files, record["photograph_side"])
    embed = embedder([folded(one, record) for one in (network, untrained)])
    with naming_undecodable([*fn_args.train_files, *fn_args.eval_files]):
        features, random_init_features = (
            Features(on_train, train_labels, on_eval, eval_labels)
            for on_train, on_eval in zip(embed(train), embed(held_out))
        )
    probe, random_init, report = evaluate(features, random_init_features, settings)
    log.info("Linear probe on %d photographs of %d classes, fitted on the frozen backbone", len(train_labels), len(classes))

    common["classes"] = classes
    untrained_dir = posixpath.join(fn_args.model_run_dir, model_files.UNTRAINED_PROBE)
    export_probe(untrained, ingested_side(record), random_init, common | {"untrained": True}, untrained_dir)
    shown = predictions(probe, features, report["calibration"]["candidate"]["temperature"])
    write_arrays(shown, posixpath.join(fn_args.model_run_dir, model_files.PREDICTIONS))
    files.write_json(report_path, report)
    written = common | backbone | {"calibration": report["calibration"]}
    export_probe(network, ingested_side(record), probe, written, fn_args.serving_model_dir)


def has_records(patterns: list[str]) -> bool:
    """Whether any of the files that match `patterns` has a record."""
    return any(True for _ in record_bytes(paths_of(patterns)).take(1))


def read_views(files: list[str], side: int) -> tuple[tf.data.Dataset, np.ndarray, list[str]]:
    """Evaluation views of all records in batches, decoded while reading, their labels, and the class names by label.

    Raises:
      ValueError: there is no record, or one without a label.
    """
    listing = list_records(files)
    if (listing.labels < 0).any():
        raise ValueError(f"{(listing.labels < 0).sum()} photographs in {files} have no label; ExampleGen writes those into the split "
                         f"{examples.UNLABELLED}")  # fmt: skip
    views = read_records(files).map(
        lambda record: evaluation_view(record[examples.IMAGE], side), num_parallel_calls=tf.data.AUTOTUNE
    )
    return views.batch(BATCH).prefetch(1), listing.labels, list(listing.class_names)
