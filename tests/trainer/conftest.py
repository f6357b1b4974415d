"""Small data and settings that the trainer's tests share."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from contracts import examples
from pipeline_config import Embedding, Pretrain, Views
from trainer.photographs import Photographs


@pytest.fixture(scope="session")
def settings():
    """The smallest SimSiam that still has every part."""
    return Pretrain(
        backbone="small", width=4, stem="small", resolution=16, epochs=2, batch_size=8, base_learning_rate=0.2,
        projector_layers=2, projector_width=16, predictor_width=8, views=Views(blur_probability=0.5),
        checkpoint_seconds=0, knn_epochs=1, min_effective_rank=1.0, seed=3)  # fmt: skip


@pytest.fixture(scope="session")
def embedding():
    """Every way of pooling over the last two stages, at a resolution other than that of training.

    Two views: the network is traced for each, and twelve would take as long as all else. tests/trainer/test_embedding_network.py
    has the others.
    """
    return Embedding(resolution=24, stages=2, pooling=("mean", "deviation", "maximum"), mirrored=True)


@pytest.fixture(scope="session")
def photographs():
    """28 striped squares of two classes, told apart by the direction of the stripes."""
    random = np.random.default_rng(0)
    labels = np.arange(28) % 2
    canvases = np.zeros((28, 24, 24, 3), np.uint8)
    for index, label in enumerate(labels):
        wave = 128 + 100 * np.sin(np.arange(24) * random.uniform(0.8, 1.6) + random.uniform(0, 6))
        stripes = np.broadcast_to(wave[:, None] if label else wave[None, :], (24, 24))
        canvases[index] = (stripes[..., None] * random.uniform(0.4, 1, 3)).astype(np.uint8)
    return Photographs(canvases, np.ones(28, np.float32), labels.astype(np.int64), ("across", "down"))


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """An image file of `[height, width, 3]` uint8."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=95)
    return file.getvalue()


@pytest.fixture(scope="session")
def record_files(photographs, tmp_path_factory):
    """Two gzip TFRecords of the photographs, laid out as ExampleGen does: 20 to train, 8 to evaluate."""

    def text(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    folder = tmp_path_factory.mktemp("records")
    paths = {split: folder / f"Split-{split}" / "records.gz" for split in ("train", "eval")}
    (folder / examples.ORIGIN_FILE).write_text(examples.origin("d", {"max_side": 256}, "c"))
    for split, rows in (("train", range(20)), ("eval", range(20, 28))):
        paths[split].parent.mkdir()
        with tf.io.TFRecordWriter(str(paths[split]), "GZIP") as writer:
            for row in rows:
                label = int(photographs.labels[row])
                feature = {
                    examples.IMAGE: text(encode(photographs.canvases[row], "JPEG")),
                    examples.LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                    examples.CLASS_NAME: text(photographs.class_names[label].encode()),
                    examples.CONTENT_HASH: text(b"%064d" % row),
                    examples.SOURCE_PATH: text(b"%d.jpg" % row),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return {split: str(path) for split, path in paths.items()}
