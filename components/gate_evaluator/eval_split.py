"""Which photographs a figure was measured on: the eval split's files, and one hash of its content.

Called by the GateEvaluator component. Two accuracies can be compared if this hash is the same.
"""

import hashlib
from collections.abc import Sequence

import tensorflow as tf
from tfx.components.util import examples_utils
from tfx.types import standard_artifacts

from components.gate_evaluator.measured import EvaluationError
from contracts import examples as features

EVAL_SPLIT = "eval"


def eval_files(examples: standard_artifacts.Examples) -> list[str]:
    """File patterns of the eval split, each of which matches a file."""
    patterns = examples_utils.get_split_file_patterns([examples], EVAL_SPLIT)
    if not any(tf.io.gfile.glob(pattern) for pattern in patterns):
        raise EvaluationError(f"the eval split holds no file ({', '.join(patterns)}); the gate needs a photograph")
    return patterns


def eval_split_hash(patterns: Sequence[str]) -> str:
    """SHA-256 (hex) over the sorted class names and stored images of gzip TFRecord files.

    Neither the files that they are divided into nor their order count, nor where a photograph lay in its source.
    """
    files = sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in (features.CLASS_NAME, features.IMAGE)}
    photographs = []
    for record in records.as_numpy_iterator():
        example = tf.io.parse_single_example(record, spec)
        class_name, image = example[features.CLASS_NAME].numpy(), example[features.IMAGE].numpy()
        # Hashed each, so that memory stays small and no bytes can move from one to the other unnoticed.
        photographs.append(hashlib.sha256(class_name).digest() + hashlib.sha256(image).digest())
    return hashlib.sha256(b"".join(sorted(photographs))).hexdigest()
