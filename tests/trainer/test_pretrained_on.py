"""Which photographs a backbone was pre-trained on, and how many of others are among them."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from contracts import examples
from trainer import pretrained_on


@pytest.fixture
def records(tmp_path):
    """records(name, numbers) writes photographs known by their number, and returns the file in a list."""

    def write(name, numbers):
        path = str(tmp_path / f"{name}.gz")
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for number in numbers:
                digest = hashlib.sha256(str(number).encode()).hexdigest().encode()
                feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[digest]))
                features = tf.train.Features(feature={examples.CONTENT_HASH: feature})
                writer.write(tf.train.Example(features=features).SerializeToString())
        return [path]

    return write


def counted(backbone, files):
    return pretrained_on.count(backbone, pretrained_on.hashes(files))


def test_photographs_are_known_by_their_content_hash(records, tmp_path):
    backbone = str(tmp_path / "backbone")
    pretrained_on.write(records("train", range(20)) + records("unlabelled", range(20, 30)), "", backbone)
    assert counted(backbone, records("eval", range(25, 45))) == 5
    assert counted(backbone, records("none", [])) == 0
    kept = np.load(tmp_path / "backbone" / "pretrained_on.npy")
    # The first 16 hex digits of sha256("7"), by sha256sum.
    assert kept.dtype == np.uint64 and len(kept) == 30 and int("7902699be42c8a8e", 16) in kept


def test_a_backbone_that_continues_from_another_knows_the_photographs_of_both(records, tmp_path):
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    pretrained_on.write(records("a", range(10)), "", first)
    pretrained_on.write(records("b", range(5, 15)), first, second)
    assert counted(second, records("all", range(100))) == 15


def test_where_not_all_are_known_none_are(records, tmp_path):
    """A backbone that continues from one of an earlier release may have seen anything."""
    (tmp_path / "earlier").mkdir()
    pretrained_on.write(records("a", range(10)), str(tmp_path / "earlier"), str(tmp_path / "later"))
    assert counted(str(tmp_path / "later"), records("b", range(10))) is None
