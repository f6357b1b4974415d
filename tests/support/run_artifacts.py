"""A finished run's artifacts, written by hand: small pictures under names that nobody should trust."""

import io
import json
import pathlib

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow_metadata.proto.v0 import anomalies_pb2

import pipeline_config
from components.example_gen.report import BINS
from components.report import artifacts
from contracts import examples, model_files

# What a name may try: to run, to end a string or an element, to turn the direction of writing, to be endless.
NASTY = (
    "<script>window.hurt = 1</script>",
    "\"'><img src=x onerror='window.hurt = 2'>",
    "\u202egpj.txt\u2066",
    "🌷🌻 tulip & sunflower",
    "l" + "o" * 298 + "g",
    "</script><script>window.hurt = 3</script><!-- end drift -->",
)
TRAIN, EVAL, UNLABELLED = 36, 24, 9


def write_json(folder: pathlib.Path, name: str, content: dict) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return str(folder)


def write_records(folder: pathlib.Path, count: int, files: int = 2) -> None:
    """`count` pictures of one colour each, which tells their position; a class after the other."""
    folder.mkdir(parents=True)
    for part in range(files):
        with tf.io.TFRecordWriter(str(folder / f"data-{part}.gz"), "GZIP") as writer:
            for position in range(count * part // files, count * (part + 1) // files):
                writer.write(record(position))


def record(position: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (position * 5, 100, 50)).save(buffer, "JPEG", quality=95)
    label = position % len(NASTY)
    values = {examples.IMAGE: buffer.getvalue(), examples.CLASS_NAME: NASTY[label].encode(), examples.CONTENT_HASH: b"0" * 64,
              examples.SOURCE_PATH: f"{NASTY[label]}/{position}.jpg".encode()}  # fmt: skip
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for name, value in values.items()}
    features[examples.LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def predictions() -> dict[str, np.ndarray]:
    """Every third photograph is named wrongly, the later the surer."""
    random = np.random.default_rng(0)
    label = np.arange(EVAL) % len(NASTY)
    wrong = np.arange(EVAL) % 3 == 0
    return {
        "label": label.astype(np.int32),
        "predicted": np.where(wrong, (label + 1) % len(NASTY), label).astype(np.int32),
        "confidence": np.linspace(0.3, 0.9, EVAL).astype(np.float32),
        "embedding": (random.normal(size=(EVAL, 8)) + 3 * np.eye(8)[label]).astype(np.float16),
        "query": np.array([0, 1], np.int32),
        "neighbour": np.array([[6, 35, 12], [7, 1, 2]], np.int32),
        "similarity": np.array([[0.9, 0.8, 0.7], [0.6, 0.5, 0.4]], np.float32),
    }


def views() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {"photographs": random.integers(0, 255, (2, 24, 24, 3), np.uint8), "aspects": np.array([1.5, 0.5], np.float32),
            "views": random.integers(0, 255, (4, 2, 16, 16, 3), np.uint8)}  # fmt: skip


def confusion_matrix() -> list[list[int]]:
    arrays = predictions()
    matrix = np.zeros((len(NASTY), len(NASTY)), int)
    np.add.at(matrix, (arrays["label"], arrays["predicted"]), 1)
    return matrix.tolist()


def ingest() -> dict:
    looks = {measure: [0] * 5 + [TRAIN] + [0] * (BINS - 6) for measure in ("brightness", "contrast", "saturation")}
    return {
        "schema_version": 1, "source": f"/data/{NASTY[0]}", "kind": "folder", "fingerprint": "f" * 64, "classes": list(NASTY),
        "images": TRAIN + EVAL, "bad_fraction": 0.01,
        "quarantined": {"total": 60, "by_reason": {"damaged": 60},
                        "files": [{"path": f"{NASTY[1]}/{index}", "reason": "damaged", "detail": NASTY[0]}
                                  for index in range(60)],
            "large": [], "group_by": ""},
        "splits": {split: {"images": count, "by_class": {name: count // len(NASTY) for name in NASTY}}
                   for split, count in (("train", TRAIN), ("eval", EVAL))}
        | {"unlabelled": {"images": UNLABELLED}},
        "sizes": {side: {"min": 30, "median": 40, "max": 50} for side in ("width", "height")},
        "appearance": {split: looks | {"mean_colour": [1.0, 0.5, 0.0]} for split in ("train", "eval", "unlabelled")},
        "profiles": {"converted": 4, "ignored": 3}, "split_rule": "by content", "unused": [],
        "near_duplicates": {"groups": 1, "images": 2, "left_out_of_train": 1, "files": [], "in_two_classes": [
            [{"path": f"{index}/{NASTY[0]}", "class": NASTY[0]}, {"path": NASTY[1], "class": NASTY[1]}] for index in range(60)]},
    }  # fmt: skip


def label_curve() -> list[dict]:
    def spread(*draws):
        return {"mean": sum(draws) / len(draws), "deviation": float(np.std(draws, ddof=1)) if len(draws) > 1 else None,
                "draws": list(draws)}  # fmt: skip

    return [
        *({"fraction": fraction, "labels": 6, "candidate": spread(0.4, 0.5), "random_init": spread(0.2, 0.3),
           "champion": spread(0.3, 0.4)} for fraction in (0.01, 0.1)),
        {"fraction": 1.0, "labels": 36, "candidate": spread(16 / 24), "random_init": spread(0.5), "champion": spread(0.625)},
    ]  # fmt: skip


def calibration(**changes) -> dict:
    measured = {"temperature": 0.83, "threshold": 0.71, "calibration_error": 0.031, "uncalibrated_error": 0.094, "coverage": 0.625,
                "precision": 0.933}  # fmt: skip
    nothing_sure = measured | {"calibration_error": 0.052, "threshold": None, "coverage": 0.0, "precision": None}
    return {"stated_precision": 0.95, "candidate": measured | changes, "random_init": nothing_sure}


def verdict(blessed: bool = True) -> dict:
    figures = {"macro_f1": 0.6, "cross_entropy": 1.1}
    return {
        "schema_version": 1, "blessed": blessed, "takes_alias": blessed,
        "reasons": ["accuracy 66.7 % (95 % interval 46.7 to 82.0 %) is at least gate.min_accuracy 50.0 %"],
        "baseline_version": "3", "best_version": None,
        "metrics": {"candidate": figures | {"accuracy": 16 / 24}, "untrained": figures | {"accuracy": 12 / 24},
                    "champion": figures | {"accuracy": 15 / 24}, "best": None},
        "evidence": {
            "untrained": {"only_candidate": 7, "only_other": 3, "difference": 4 / 24, "low": -0.0859, "high": 0.3926,
                          "p": 0.171875, "sure": False, "more_photographs": 92},
            "champion": {"only_candidate": 1, "only_other": 0, "difference": 1 / 24, "low": -0.1006, "high": 0.1924, "p": 0.5,
                         "sure": False, "more_photographs": 160}, "best": None},
        "per_class": {}, "confusion_matrix": confusion_matrix(), "classes": list(NASTY), "eval_examples": EVAL,
        "gate": {"min_accuracy": 0.5, "min_gain_over_random": 0.03, "max_regression": 0.01, "significance": 0.025,
                 "power": 0.8},
        "probe": {"uri": "/x/probe", "content_hash": "a" * 64},
    }  # fmt: skip


def push(**changes) -> dict:
    return {"schema_version": 1, "pushed": True, "created": True, "name": "flowers-backbone", "version": "4", "alias": "champion",
            "reasons": ["champion in place of version 3"]} | changes  # fmt: skip


def pretrain() -> dict:
    history = [{"epoch": epoch, "step": 10 * epoch, "loss": -0.1 * epoch, "output_std_ratio": 0.9, "effective_rank": 20.0,
                "learning_rate": 0.3 / epoch, "images_per_second": 100.0, "knn_train_top1": 0.5 if epoch == 4 else None}
               for epoch in range(1, 5)]  # fmt: skip
    return {
        "epochs": 4,
        "steps": 40,
        "seconds": 12.5,
        "images_per_second": 101.0,
        "final_loss": -0.4,
        "output_std_ratio": 0.9,
        "effective_rank": 20.0,
        "knn_train_top1": 0.5,
        "resumed_from_step": 0,
        "steps_an_epoch": 10,
        "device": "CPU",
        "device_memory": 16_000_000_000,
        "tensorflow": "TensorFlow 2.21.0, built with CUDA 12.5.1",
        "warm_start": None,
        "history": history,
    }


def network() -> dict:
    """As pretrain.json has it, of the longest names and shapes that there are."""
    layers = [{"name": f"stage4_block3_{name}", "kind": kind, "output": [56, 56, 2048], "parameters": parameters}
              for name, kind, parameters in (("shortcut_conv", "Conv2D", 2_359_296), ("shortcut_norm", "FusedBatchNormalization", 8192),
                                             ("relu", "ReLU", 0))]  # fmt: skip
    return dict.fromkeys(("backbone", "projector", "predictor"), layers)


def configuration() -> dict:
    config = pipeline_config.identity(pipeline_config.PRESETS["quick"])
    config["data"]["source"] = NASTY[1]
    config["pretrain"]["epochs"] = 4
    return json.loads(json.dumps(config))


def preset() -> dict:
    return json.loads(json.dumps(pipeline_config.identity(pipeline_config.PRESETS["quick"])))


def write_all(root: pathlib.Path) -> dict[str, str]:
    """URI by name of INPUTS, as the nodes leave them, below `root`."""
    for split, count in (("train", TRAIN), ("eval", EVAL)):
        write_records(root / "examples" / f"Split-{split}", count)
    for split in ("train", "eval", "unlabelled"):
        (root / "anomalies" / f"Split-{split}").mkdir(parents=True)
        (root / "anomalies" / f"Split-{split}" / "SchemaDiff.pb").write_bytes(anomalies_pb2.Anomalies().SerializeToString())
    linear = {"top1": 16 / 24, "knn_top1": 0.5, "random_init_top1": 0.5, "random_init_knn_top1": 0.4,
              "top1_at_10_percent_labels": 0.45, "few_labels": 6, "label_curve": label_curve(),
              "calibration": calibration()}  # fmt: skip
    found = {
        "examples": str(root / "examples"),
        "anomalies": str(root / "anomalies"),
        "ingest_report": write_json(root / "ingest", model_files.INGEST_REPORT, ingest()),
        "pretrain_run": write_json(root / "pretrain", model_files.PRETRAIN_REPORT, pretrain()),
        "linear_eval_run": write_json(root / "linear", model_files.LINEAR_EVAL_REPORT, linear),
        "evaluation": write_json(root / "evaluation", model_files.VERDICT, verdict()),
        "pushed_model": write_json(root / "push", model_files.PUSH_RECORD, push()),
    }
    np.savez_compressed(root / "pretrain" / model_files.VIEWS, **views())
    np.savez_compressed(root / "linear" / model_files.PREDICTIONS, **predictions())
    probe = {"classes": list(NASTY), "backbone_content_hash": "b" * 64}
    write_json(root / "probe" / "Format-Serving", model_files.PROBE_RECORD, probe)
    assert found.keys() | {"probe"} == artifacts.INPUTS.keys()
    return found | {"probe": str(root / "probe")}


def run_json() -> dict:
    """As run.json has it, of what the page looks at."""
    then = ingest()
    return {
        "run_id": "20260131-184502-3fa9", "status": "finished", "error": None, "failing_node": None,
        "started_at": "2026-01-31T18:45:02+00:00", "seconds": 75.0, "cached_nodes": ["ExampleGen"],
        "code": {"components": "c", "trainer": "t"}, "recipe": "r" * 64,
        "nodes": {"ExampleGen": {"state": "cached", "seconds": 0.1}, "Pretrain": {"state": "complete", "seconds": 61.5}},
        "registry": {"pushed": True, "version": "4", "alias": "champion"},
        "data": {"fingerprint": "f" * 64, "appearance": then["appearance"],
                 "train_by_class": then["splits"]["train"]["by_class"], "eval_by_class": then["splits"]["eval"]["by_class"]},
    }  # fmt: skip
