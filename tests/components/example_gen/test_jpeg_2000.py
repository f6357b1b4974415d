"""JPEG 2000 is decoded at a level near what is kept, as far as the file and Pillow have one, and refused where that is too much."""

import io

import numpy as np
import pytest
from PIL import Image

from components.example_gen import jpeg_2000, photograph


def encoded(width, height, resolutions, **options):
    small = np.random.default_rng(7).integers(0, 256, (5, 7, 3), np.uint8)
    picture = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG2000", num_resolutions=resolutions, **options)
    return picture, buffer.getvalue()


@pytest.mark.parametrize("resolutions", [1, 2, 6])
@pytest.mark.parametrize("no_jp2", [False, True])
def test_the_levels_are_those_that_were_written(resolutions, no_jp2):
    assert jpeg_2000.levels(encoded(640, 480, resolutions, no_jp2=no_jp2)[1]) == resolutions - 1


@pytest.mark.parametrize(
    "data", [b"", jpeg_2000.BEGINNING, jpeg_2000.BEGINNING + b"\0\0", jpeg_2000.BEGINNING * 9, b"\xff\x4f" + b"\xff" * 99]
)
def test_a_file_that_states_no_levels_has_none(data):
    assert jpeg_2000.levels(data) == 0


@pytest.mark.parametrize(("size", "resolutions", "decoded"), [
    ((640, 480), 6, (160, 120)),  # twice 60 high: at half of that it would be too small
    ((640, 480), 2, (320, 240)),  # the file has no smaller level
    ((640, 480), 1, (640, 480)),
    ((641, 483), 6, (321, 242)),  # at a quarter Pillow expects 160 x 121, the format has 161 x 121
])  # fmt: skip
def test_the_level_is_the_smallest_of_twice_what_is_kept(size, resolutions, decoded):
    image = Image.open(io.BytesIO(encoded(*size, resolutions)[1]))
    assert jpeg_2000.reduce(image, image.fp.getvalue(), (80, 60), 4 * 10**6) == 0
    image.load()
    assert image.size == decoded


def test_a_picture_that_was_decoded_at_a_level_looks_like_the_whole():
    for width, height in ((640, 480), (643, 479), (1001, 777)):
        picture, data = encoded(width, height, 6)
        prepared = photograph.prepare(data, 96, 10**7)
        expected = picture.resize((prepared.width, prepared.height), Image.Resampling.LANCZOS)
        found = np.asarray(Image.open(io.BytesIO(prepared.jpeg)), np.int32)
        assert np.abs(found - np.asarray(expected, np.int32)).mean() < 2


def test_what_its_decoder_has_no_memory_for_is_refused_by_the_setting_s_name():
    data = encoded(640, 480, 1)[1]  # no level: 307,200 pixels are decoded, and a quarter of the limit is 100,000
    with pytest.raises(photograph.Unusable, match="640 x 480 pixels of JPEG 2000, 207200 more than .*data.max_pixels"):
        photograph.prepare(data, 64, 400_000)
    assert photograph.prepare(data, 64, 4 * 640 * 480).height == 64
    assert photograph.prepare(encoded(640, 480, 6)[1], 64, 400_000).height == 64
    with pytest.raises(photograph.Unusable, match=r"640 x 480 pixels; at most 300000 are decoded \(data.max_pixels\)"):
        photograph.prepare(data, 64, 300_000)
