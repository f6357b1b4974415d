"""Promises of photograph.prepare: what is accepted, what it becomes, and what is refused for which reason."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.example_gen import photograph

QUADRANTS = {"A": (255, 0, 0), "B": (0, 255, 0), "C": (0, 0, 255), "D": (255, 255, 255)}

# Exif 2.3, section 4.6.4 A: where row 0 and column 0 of the stored picture are seen. A picture stored as A B over C D is seen so:
UPRIGHT_QUADRANTS = {1: "ABCD", 2: "BADC", 3: "DCBA", 4: "CDAB", 5: "ACBD", 6: "CADB", 7: "DBCA", 8: "BDAC"}


def encode(image, format="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def prepare(data, max_side=256, max_pixels=1_000_000):
    return photograph.prepare(data, max_side, max_pixels)


def decoded(prepared):
    pixels = tf.io.decode_jpeg(prepared.jpeg).numpy()
    assert pixels.shape == (prepared.height, prepared.width, 3)
    return pixels


def noise(width=64, height=48, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def quadrants():
    """64 x 32, stored as A B over C D."""
    picture = Image.new("RGB", (64, 32))
    for index, color in enumerate(QUADRANTS.values()):
        picture.paste(color, (32 * (index % 2), 16 * (index // 2), 32 * (index % 2) + 32, 16 * (index // 2) + 16))
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_every_exif_orientation_becomes_upright(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format == "JPEG" else {}
    prepared = prepare(encode(quadrants(), format, exif=exif, **options))
    assert (prepared.width, prepared.height) == ((64, 32) if orientation <= 4 else (32, 64))
    pixels = decoded(prepared).astype(int)
    rows, columns = prepared.height // 4, prepared.width // 4
    seen = [pixels[r, c] for r in (rows, 3 * rows) for c in (columns, 3 * columns)]
    for color, name in zip(seen, UPRIGHT_QUADRANTS[orientation], strict=True):
        assert np.abs(color - QUADRANTS[name]).max() < 30, (orientation, name)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 30}])
def test_an_upright_rgb_jpeg_of_the_right_size_passes_through_and_decodes_alike_everywhere(options):
    data = encode(noise(), **options)
    prepared = prepare(data)
    assert prepared.jpeg == data
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image).astype(int)
    # With the same inverse transform the two decoders agree on every value; TensorFlow's default is a faster, rougher one.
    assert np.array_equal(tf.io.decode_jpeg(data, dct_method="INTEGER_ACCURATE").numpy(), pixels)
    assert np.abs(decoded(prepared) - pixels).max() <= 4


def test_the_shorter_side_is_reduced_and_never_enlarged():
    large = prepare(encode(noise(400, 300)), max_side=100)
    assert (large.width, large.height) == (133, 100)
    tall = prepare(encode(noise(300, 3000), "PNG"), max_side=100)
    assert (tall.width, tall.height) == (100, 1000)
    assert prepare(encode(noise(40, 30), "PNG"), max_side=100).width == 40
    original = np.asarray(noise(400, 300).resize((133, 100), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(decoded(large).astype(int) - original).mean() < 4


@pytest.mark.parametrize("format", ["PNG", "BMP", "WEBP"])
def test_other_formats_become_jpeg_with_the_same_picture(format):
    picture = noise()
    prepared = prepare(encode(picture, format, **({"lossless": True} if format == "WEBP" else {})))
    assert prepared.jpeg.startswith(b"\xff\xd8\xff")
    assert np.abs(decoded(prepared).astype(int) - np.asarray(picture).astype(int)).mean() < 3


def test_only_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (40, 30), color) for color in ((200, 30, 30), (30, 30, 200))]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.abs(decoded(prepare(data)).astype(int) - (200, 30, 30)).max() < 12


@pytest.mark.parametrize(
    ("mode", "stored", "seen"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 100 * 257, (100, 100, 100)),  # 16-bit grey: 65,535 is white, so 257 steps make one of 255
        ("LA", (0, 51), (204, 204, 204)),  # a fifth of black on white
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("RGBA", (0, 0, 0, 0), (255, 255, 255)),  # clear: white, whatever colour lies below
        ("RGBA", (255, 0, 0, 51), (255, 204, 204)),
    ],
)  # fmt: skip
def test_grey_16_bit_and_transparent_pictures_become_rgb_on_white(mode, stored, seen):
    pixels = decoded(prepare(encode(Image.new(mode, (32, 32), stored), "PNG")))
    assert np.abs(pixels.astype(int) - seen).max() <= 3


def test_a_palette_with_a_clear_colour_is_laid_on_white():
    picture = Image.new("P", (32, 32), 1)
    picture.putpalette([0, 0, 0, 200, 30, 30])
    picture.paste(0, (0, 0, 16, 32))
    pixels = decoded(prepare(encode(picture, "PNG", transparency=0))).astype(int)
    assert np.abs(pixels[16, 4] - (255, 255, 255)).max() < 12
    assert np.abs(pixels[16, 28] - (200, 30, 30)).max() < 12


def test_cmyk_is_read_as_ink_with_and_without_adobes_inversion():
    # Magenta and yellow ink at full strength give red. Pillow stores CMYK as Adobe does: inverted, with an APP14 segment.
    adobe = encode(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), quality=95)
    start = adobe.index(b"\xff\xee\x00\x0eAdobe")
    assert np.abs(decoded(prepare(adobe)).astype(int) - (255, 0, 0)).max() < 6
    # Without the segment the same stored values are not inverted: (255, 0, 0, 255) is full cyan and full black.
    plain = adobe[:start] + adobe[start + 16 :]
    assert decoded(prepare(plain)).max() < 6


def test_damaged_exif_data_does_not_matter():
    data = encode(noise(), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage")
    assert prepare(data).jpeg == data


def png_header(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png_body(b"a few bytes")


def png_body(data):
    return struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))


def overwritten(data):
    return data[:200] + b"\0" * 100 + data[300:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "zero bytes"),
        (b"<html>404 not found</html>", "not an image"),
        (b"BMW and other words", "not an image"),
        (b"\0" * 5000, "not an image"),
        (b"%PDF-1.7 ...", "not an image"),
        (encode(noise())[:-200], "truncated or damaged"),
        (encode(noise())[:100], "truncated or damaged"),
        (b"\xff\xd8\xff\xe0", "truncated or damaged"),
        (encode(noise(), "PNG")[:-300], "truncated or damaged"),
        (overwritten(encode(noise(), "PNG")), "truncated or damaged"),
        (encode(noise(), "WEBP")[:-300], "truncated or damaged"),
        (encode(noise(), "BMP")[:-300], "truncated or damaged"),
        (encode(noise(), "GIF")[:-300], "truncated or damaged"),
        (encode(Image.new("L", (1001, 1000)), "PNG"), "over the pixel limit"),
        (png_header(60_000, 60_000), "over the pixel limit"),
        (png_header(2_000_000_000, 2_000_000_000), "over the pixel limit"),
        (encode(Image.new("RGB", (1, 1)), "PNG"), "too small"),
        (encode(Image.new("RGB", (400, 15)), "PNG"), "too small"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_for_its_reason(data, reason):
    with pytest.raises(photograph.Unusable) as refused:
        prepare(data)
    assert refused.value.reason == reason
    assert refused.value.detail


def test_what_no_jpeg_can_hold_is_refused():
    with pytest.raises(photograph.Unusable, match="70000 x 16: a JPEG's side"):
        prepare(encode(Image.new("L", (70_000, 16)), "PNG"), max_pixels=2_000_000)


def test_a_decompression_bomb_is_refused_before_it_is_decoded():
    row = b"\0" + b"\0" * 3 * 30_000
    bomb = png_header(30_000, 3000)[:33] + png_body(zlib.compress(row * 3000, 1))  # 270 MB of pixels in a file of 1.2 MB
    started = time.process_time()
    with pytest.raises(photograph.Unusable, match="30000 x 3000"):
        prepare(bomb)
    assert time.process_time() - started < 0.1


def test_a_file_too_large_to_be_an_ordinary_picture_is_not_decoded():
    with pytest.raises(photograph.Unusable) as refused:
        photograph.prepare(b"\xff\xd8\xff" + bytes(photograph.max_file_bytes(1024)), 64, 1024)
    assert refused.value.reason == "over the size limit"
