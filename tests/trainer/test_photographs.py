import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from contracts import examples
from trainer import photographs as module


def encode(pixels, kind="PNG"):
    from io import BytesIO

    file = BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def test_records_come_back_decoded(record_files, photographs):
    read = module.read_photographs([record_files["train"]], 24)
    assert read.class_names == photographs.class_names
    np.testing.assert_array_equal(read.labels, photographs.labels[:20])
    # JPEG halves the resolution of colour, which these fine stripes feel; another photograph would be 50 grey levels off.
    assert np.abs(read.canvases.astype(int) - photographs.canvases[:20]).mean() < 8
    np.testing.assert_array_equal(read.aspects, np.ones(20))


def test_a_record_that_cannot_be_decoded_is_named(record_files, tmp_path):
    records = list(tf.data.TFRecordDataset(record_files["eval"], "GZIP").as_numpy_iterator())
    damaged = tf.train.Example.FromString(records[2])
    image = damaged.features.feature[examples.IMAGE].bytes_list
    image.value[0] = image.value[0][:-60]
    records[2] = damaged.SerializeToString()
    path = str(tmp_path / "records.gz")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for record in records:
            writer.write(record)
    # The third of the eval photographs, which are those from 20 on.
    with pytest.raises(ValueError, match="record 2, the photograph '22.jpg', cannot be decoded"), module.naming_undecodable([path]):
        module.read_photographs([path], 24)


def test_other_errors_stay_as_they_are(record_files):
    error = tf.errors.InvalidArgumentError(None, None, "of something else")
    with pytest.raises(tf.errors.InvalidArgumentError) as raised, module.naming_undecodable([record_files["eval"]]):
        raise error
    assert raised.value is error


def test_a_canvas_keeps_the_aspect_beside_it():
    pixels = np.zeros((10, 20, 3), np.uint8)
    assert module.canvas(tf.constant(pixels), 8).shape == (8, 8, 3)


def test_halving_averages_pixels():
    """A chequerboard of single pixels becomes grey, not one of its colours: the scaling is antialiased."""
    board = np.indices((32, 32)).sum(0) % 2 * 255
    view = module.evaluation_view(encode(np.repeat(board[..., None], 3, 2).astype(np.uint8)), 8)
    assert view.shape == (8, 8, 3)
    np.testing.assert_allclose(view[2:-2, 2:-2], 0.5, atol=0.02)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_each_served_format_gives_the_same_pixels(kind):
    pixels = np.full((12, 12, 3), (200, 100, 50), np.uint8)
    np.testing.assert_allclose(module.evaluation_view(encode(pixels, kind), 12)[6, 6], np.array([200, 100, 50]) / 255, atol=0.02)


def test_no_record_is_an_error_that_names_the_files(tmp_path):
    path = str(tmp_path / "empty.gz")
    with tf.io.TFRecordWriter(path, "GZIP"):
        pass
    with pytest.raises(ValueError, match="no photograph in.*empty.gz"):
        module.read_photographs([path], 8)
