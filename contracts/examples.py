"""The feature spec of the TFRecords: the one place that says what an example holds, and which data it came from.

ExampleGen writes it, the schema demands it, both trainers and the exported probe parse it. One example is one photograph.
"""

import json

IMAGE = "image"  # bytes: upright RGB JPEG, shorter side at most data.max_side pixels
LABEL = "label"  # int64: index of the class in the sorted class names, from 0; NO_LABEL if it is unlabelled
CLASS_NAME = "class_name"  # UTF-8 bytes: the class; empty if it is unlabelled
CONTENT_HASH = "content_hash"  # ASCII bytes: SHA-256 (hex) of the source file's bytes, before any conversion
SOURCE_PATH = "source_path"  # UTF-8 bytes: the file's path relative to the source, or the TFDS id

TRAIN, EVAL, UNLABELLED = "train", "eval", "unlabelled"
# The splits whose photographs have labels, and all; each is in every data set, though it may have no example.
LABELLED_SPLITS = (TRAIN, EVAL)
SPLITS = (*LABELLED_SPLITS, UNLABELLED)
NO_LABEL = -1  # as TensorFlow Datasets has it in published splits without labels

# Beside the splits' folders: JSON of what the records were made from, `data_fingerprint`, `settings` and `code_version`. The
# data is read when ExampleGen runs, not when the DAG is built, so readers of the records find its identity here.
ORIGIN_FILE = "origin.json"

BYTES_FEATURES = (IMAGE, CLASS_NAME, CONTENT_HASH, SOURCE_PATH)
INT_FEATURES = (LABEL,)


def origin(data_fingerprint: str, settings: dict, code_version: str) -> str:
    """The content of ORIGIN_FILE."""
    return json.dumps({"data_fingerprint": data_fingerprint, "settings": settings, "code_version": code_version}, sort_keys=True)


def parsing_spec() -> dict:
    """The spec for `tf.io.parse_example`: every feature is one required value, of dtype string or int64."""
    import tensorflow as tf  # here, so that the names above cost nothing to import

    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in BYTES_FEATURES}
    return spec | {name: tf.io.FixedLenFeature([], tf.int64) for name in INT_FEATURES}
