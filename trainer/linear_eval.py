"""Trainer 2 for TFX: `run_fn` fits the same linear probe on frozen backbones. One of the two modules here that know TFX.

The backbones are the candidate's, the baseline's (the same network untrained, or the network of others that it started from) and
those of the registered versions that the gate compares with; all see the photographs in one pass.

custom_config: `linear_eval` (a pipeline_config.LinearEval as JSON), `code_version`, and, where they are known before the run,
`champion`: the registered versions as JSON (`references.named`). Where they are looked up in the run, fn_args.hyperparameters has
the same. Writes the candidate's probe to fn_args.serving_model_dir, and the other probes, PREDICTIONS, LINEAR_EVAL_REPORT and
REFERENCES to fn_args.model_run_dir.
"""

import json
import logging
import os
import posixpath
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from contracts import baseline, examples, files, how_to_run, model_files, source_code
from contracts.content_hash import content_hash
from trainer import devices, references
from trainer.evaluation import Features, evaluate, predictions, settings_from_json
from trainer.export import baseline_network, export_probe, folded, ingested_side, load_backbone, network_of_others, write_arrays
from trainer.features import BATCH, embedder
from trainer.photographs import evaluation_views_at, list_records, naming_undecodable, paths_of, read_records, record_bytes

log = logging.getLogger(__name__)

CANDIDATE, UNTRAINED = "candidate", "untrained"
# Folder of model_run with the probes on the backbones of registered versions.
REFERENCE_PROBES = "reference_probes"


def run_fn(fn_args: FnArgs) -> None:
    """Fits and measures the probes; only reads the backbone in fn_args.base_model, and those of registered versions.

    Without any label there is no probe: its directory has a record without classes alone, and the report is null.

    Raises:
      ReferenceUnusable: a registered version is damaged.
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

    versions = references.named(json.loads(config.get("champion", "{}")) | (fn_args.hyperparameters or {}))
    references.require_undamaged(versions)
    # A version that is the candidate's own backbone is neither embedded nor fitted twice.
    others = {name: one for name, one in versions.items() if one.content_hash != backbone["backbone_content_hash"]}
    networks = {CANDIDATE: (network, record), UNTRAINED: (baseline_network(fn_args.base_model, record), record)}
    networks |= {name: load_backbone(one.backbone) for name, one in others.items()}
    features, classes = embedded(networks, fn_args.train_files, fn_args.eval_files)
    common["classes"] = classes
    probe, random_init, report = evaluate(features[CANDIDATE], features[UNTRAINED], settings)
    report["baseline"] = baseline.START if network_of_others(record) else baseline.RANDOM_INIT
    log.info("Linear probe on %d photographs of %d classes, fitted on the frozen backbone", len(features[CANDIDATE].train_labels),
             len(classes))  # fmt: skip

    probes, curves = {}, {name: [point["candidate"] for point in report["label_curve"]] for name in versions}
    for name, one in others.items():
        (its_network, its_record), probes[name] = networks[name], posixpath.join(REFERENCE_PROBES, name)
        fitted, curves[name] = references.fit(features[name], settings)
        written = common | {"photograph_side": its_record["photograph_side"], "version": one.version}
        export_probe(its_network, ingested_side(its_record), fitted, written, posixpath.join(fn_args.model_run_dir, probes[name]))
        log.info("The same probe on the backbone of %s %s", references.TITLES[name], one.version)
    references.write_record(versions, probes, fn_args.eval_files, fn_args.model_run_dir)
    for point, reached in zip(report["label_curve"], curves.get(references.CHAMPION, ())):
        point["champion"] = reached

    untrained_dir = posixpath.join(fn_args.model_run_dir, model_files.UNTRAINED_PROBE)
    export_probe(networks[UNTRAINED][0], ingested_side(record), random_init, common | {"baseline": report["baseline"]}, untrained_dir)
    shown = predictions(probe, features[CANDIDATE], report["calibration"]["candidate"]["temperature"])
    write_arrays(shown, posixpath.join(fn_args.model_run_dir, model_files.PREDICTIONS))
    files.write_json(report_path, report)
    written = common | backbone | {"calibration": report["calibration"], "baseline": report["baseline"]}
    export_probe(network, ingested_side(record), probe, written, fn_args.serving_model_dir)


def has_records(patterns: list[str]) -> bool:
    """Whether any of the files that match `patterns` has a record."""
    return any(True for _ in record_bytes(paths_of(patterns)).take(1))


def embedded(
    networks: Mapping[str, tuple[keras.Model, dict]], train_files: list[str], eval_files: list[str]
) -> tuple[dict[str, Features], list[str]]:
    """Features of both splits by each network, and the class names by label. Every photograph is read and decoded once.

    Args:
      networks: by name, embedding networks with their backbone records; each sees photographs at its own side.

    Raises:
      ValueError: as `read_views`, or a photograph cannot be decoded.
    """
    sides = sorted({record["photograph_side"] for _, record in networks.values()})
    train, train_labels, classes = read_views_at(train_files, sides)
    held_out, eval_labels, _ = read_views_at(eval_files, sides)
    embed = embedder([folded(network, record) for network, record in networks.values()])
    with naming_undecodable([*train_files, *eval_files]):
        both = zip(networks, embed(train), embed(held_out), strict=True)
        return {name: Features(on_train, train_labels, on_eval, eval_labels) for name, on_train, on_eval in both}, classes


def read_views(files: list[str], side: int) -> tuple[tf.data.Dataset, np.ndarray, list[str]]:
    """Evaluation views of all records in batches, decoded while reading, their labels, and the class names by label.

    Raises:
      ValueError: there is no record, or one without a label.
    """
    views, labels, classes = read_views_at(files, [side])
    return views.map(lambda by_side: by_side[side]), labels, classes


def read_views_at(files: list[str], sides: Sequence[int]) -> tuple[tf.data.Dataset, np.ndarray, list[str]]:
    """As `read_views`, with the views of each batch by side."""
    listing = list_records(files)
    if (listing.labels < 0).any():
        raise ValueError(f"{(listing.labels < 0).sum()} photographs in {files} have no label; ExampleGen writes those into the split "
                         f"{examples.UNLABELLED}")  # fmt: skip
    views = read_records(files).map(lambda record: evaluation_views_at(record[examples.IMAGE], sides), num_parallel_calls=tf.data.AUTOTUNE)
    return views.batch(BATCH).prefetch(1), listing.labels, list(listing.class_names)
