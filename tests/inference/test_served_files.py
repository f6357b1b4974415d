"""`flowers embed` and the SavedModel give the same vector for the same file, of every kind; or the SavedModel refuses it."""

import image_kinds
import numpy as np
import pytest
import tensorflow as tf

from components.example_gen import photograph
from components.example_gen.photograph import Encoded
from inference.embed import Backbone, describe
from inference.registered import find
from trainer.export import PREPARED

# Tracing the graph and optimising it for the first file take seconds; tests/trainer/serving has what is fast.
pytestmark = pytest.mark.slow

SERVED, REFUSED = image_kinds.served(), image_kinds.refused()
MAX_SIDE = 64  # of the registry's backbone
# Least cosine of both vectors of a file; of two different photographs it is about 0.98.
ALIKE = 0.999


@pytest.fixture(scope="module")
def embedded(root):
    """The vector of a file as `flowers embed` computes it."""
    backbone = Backbone(find(root, "2", "flowers-backbone"))
    return lambda data: backbone.vectors([describe(backbone, Encoded("x", "", "", data)).view])[0]


@pytest.fixture(scope="module")
def serving(root):
    return tf.saved_model.load(find(root, "2", "flowers-backbone").directory).signatures["serving_default"]


def ingested(data):
    """The pixels of what ingest and the graph make of a file, in 255 steps."""
    record = photograph.prepare(data, MAX_SIDE, 1_000_000).jpeg
    graph = PREPARED(data, tf.constant(MAX_SIDE, tf.int64), "it").numpy()
    return [tf.io.decode_jpeg(one, channels=3).numpy().astype(int) for one in (record, graph)]


@pytest.mark.parametrize("kind", SERVED)
def test_both_paths_from_a_file_give_one_vector(kind, embedded, serving):
    expected, vector = embedded(SERVED[kind]), serving(image_bytes=tf.constant([SERVED[kind]]))["embedding"][0].numpy()
    cosine = expected @ vector / np.linalg.norm(expected) / np.linalg.norm(vector)
    print(f"{kind}: {cosine:.6f}")  # pytest -rP lists them
    assert cosine >= ALIKE


@pytest.mark.parametrize("kind", SERVED)
def test_both_paths_from_a_file_give_the_same_pixels(kind):
    record, graph = ingested(SERVED[kind])
    assert record.shape == graph.shape
    assert np.abs(record - graph).mean() <= 1  # rounding; another orientation is 40 off, another colour profile 6


def test_what_is_a_record_already_stays_byte_for_byte():
    for kind in ("JPEG", "JPEG, progressive", "JPEG, Exif orientation 1", "JPEG, sRGB profile"):
        assert PREPARED(SERVED[kind], tf.constant(MAX_SIDE, tf.int64), "it").numpy() == SERVED[kind]


@pytest.mark.parametrize("kind", REFUSED)
def test_what_the_graph_cannot_read_is_refused_by_name(kind):
    data, says = REFUSED[kind]
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"a photograph is refused: .*{says}.*convert it to an sRGB JPEG"):
        PREPARED(data, tf.constant(MAX_SIDE, tf.int64), "a photograph")


def test_a_request_that_is_refused_says_which_image_it_is(serving):
    with pytest.raises(tf.errors.InvalidArgumentError, match="image 2 of the request is refused: a file in the format TIFF"):
        serving(image_bytes=tf.constant([SERVED["JPEG"], REFUSED["TIFF"][0]]))


def test_an_image_that_the_decoder_refuses_fails_the_request(serving):
    with pytest.raises(tf.errors.InvalidArgumentError):
        serving(image_bytes=tf.constant([SERVED["JPEG"][:-200]]))
