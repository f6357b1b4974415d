"""The graph reads the orientation that ingest reads, also where Exif data and XMP are damaged."""

import io
import struct

import image_kinds
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.example_gen import photograph
from trainer.serving.orientation import orientation

READ = tf.function(orientation, input_signature=[tf.TensorSpec([], tf.string)] * 2)


def of_graph(exif, xmp=b""):
    return int(READ(exif, xmp))


def of_ingest(exif, xmp=b""):
    """What ingest reads of a JPEG with these segments."""
    contents = [one for one in (exif, b"http://ns.adobe.com/xap/1.0/\0" + xmp) if one]
    segments = [b"\xff\xe1" + struct.pack(">H", 2 + len(one)) + one for one in contents]
    plain = image_kinds.encode(Image.new("RGB", (16, 16)), "JPEG")
    return photograph._orientation(Image.open(io.BytesIO(plain[:2] + b"".join(segments) + plain[2:])))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("number", range(10))
def test_each_orientation_in_both_byte_orders(number, order):
    expected = number if 1 <= number <= 8 else 1
    assert of_graph(image_kinds.exif(number, order)) == expected == of_ingest(image_kinds.exif(number, order))


@pytest.mark.parametrize(("exif", "xmp", "expected"), [
    (b"", b"", 1),
    (b"", image_kinds.xmp(6), 6),
    (b"", b"<tiff:Orientation>3</tiff:Orientation>", 3),
    (b"", b"\xff\xfe no UTF-8 tiff:Orientation=\"8", 8),
    (image_kinds.exif(6), image_kinds.xmp(3), 6),
    (image_kinds.exif(6).replace(b"\x01\x12", b"\x01\x13"), image_kinds.xmp(3), 3),
    (image_kinds.exif(9), image_kinds.xmp(3), 1),
    (b"Exif\0\0no TIFF at all", image_kinds.xmp(3), 1),
    (image_kinds.exif(6)[:20], image_kinds.xmp(3), 3),
    (image_kinds.exif(6).replace(struct.pack(">II", 8, 38), struct.pack(">II", 8, 999)), b"", 1),  # ends the reading before it
    (image_kinds.exif(6).replace(struct.pack(">HI", 3, 1), struct.pack(">HI", 1, 1)), b"", 1),  # a byte, which is no integer
    (image_kinds.exif(6).replace(struct.pack(">HI", 3, 1), struct.pack(">HI", 3, 0)), b"", 1),
])  # fmt: skip
def test_damaged_data_say_what_they_say_at_ingest(exif, xmp, expected):
    if exif[:6] == b"Exif\0\0" or not exif:
        assert of_ingest(exif, xmp) == expected
    assert of_graph(exif, xmp) == expected


@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged data
def test_mutants_of_exif_data_are_read_as_at_ingest():
    random = np.random.default_rng(0)
    turned = 0
    for trial in range(150):
        data = bytearray(image_kinds.exif(int(random.integers(2, 9)), "<>"[trial % 2]))
        for position in random.integers(6, len(data), random.integers(1, 4)):
            data[position] = random.choice([0, 1, 2, 3, 4, 6, 18, 255])
        mutant = bytes(data[: random.integers(20, len(data) + 1)]) if trial % 3 == 0 else bytes(data)
        assert of_graph(mutant, image_kinds.xmp(3)) == (expected := of_ingest(mutant, image_kinds.xmp(3))), mutant
        turned += expected not in (1, 3)
    assert 20 < turned < 130
