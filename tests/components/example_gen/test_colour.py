"""Promises about colour profiles: colours are what the profile says, and a broken profile does no harm."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageCms

from components.example_gen import photograph

# XYZ (D50) of full red, green and blue, in columns. sRGB: brucelindbloom.com, "RGB/XYZ Matrices". Display P3: Apple's profile.
SRGB = np.array([[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]])
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
# Adobe RGB (1998), annex C; its curve is a power of 563/256.
ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
SEEN = np.array([180, 90, 60])  # in sRGB


def numbers(*values):
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def profile(matrix, gamma=None):
    """An ICC profile, version 4, of three colours and one curve: a power, or sRGB's."""
    curve = [gamma] if gamma else [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]
    word = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 2, 28) + b"\0X"
    tags = {b"desc": word, b"cprt": word, b"wtpt": b"XYZ \0\0\0\0" + numbers(0.9642, 1, 0.8249)}
    for column, name in enumerate("rgb"):
        tags[f"{name}XYZ".encode()] = b"XYZ \0\0\0\0" + numbers(*matrix[:, column])
        tags[f"{name}TRC".encode()] = b"para\0\0\0\0" + struct.pack(">HH", 0 if gamma else 3, 0) + numbers(*curve)
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    head = struct.pack(">II", start + len(body), 0) + b"\4\0\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    return (head + numbers(0.9642, 1, 0.8249)).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def stored(matrix, gamma=None):
    """The numbers that mean SEEN where full red, green and blue are `matrix`."""
    linear = ((SEEN / 255 + 0.055) / 1.055) ** 2.4  # IEC 61966-2-1, above its linear part
    other = np.linalg.solve(matrix, SRGB @ linear)
    return np.round(255 * (other ** (1 / gamma) if gamma else 1.055 * other ** (1 / 2.4) - 0.055)).astype(np.uint8)


def encode(image, format="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def shown(prepared):
    return tf.io.decode_jpeg(prepared.jpeg, channels=3).numpy()[16, 16].astype(int)


def prepare(data):
    return photograph.prepare(data, 256, 1_000_000)


@pytest.mark.parametrize(("matrix", "gamma"), [(DISPLAY_P3, None), (ADOBE, 563 / 256)], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize(
    ("format", "options"),
    [("JPEG", {"quality": 100, "subsampling": 0}), ("PNG", {}), ("TIFF", {}), ("AVIF", {"quality": 100})],
)  # fmt: skip
def test_colours_are_those_that_the_profile_says(matrix, gamma, format, options):
    numbers_in_file = stored(matrix, gamma)
    assert np.abs(numbers_in_file.astype(int) - SEEN).max() > 8
    picture = Image.new("RGB", (32, 32), tuple(map(int, numbers_in_file)))
    found = prepare(encode(picture, format, icc_profile=profile(matrix, gamma), **options))
    assert np.abs(shown(found) - SEEN).max() <= 4
    assert found.profile == "converted"
    assert b"ICC_PROFILE" not in found.jpeg


@pytest.mark.parametrize("srgb", [profile(SRGB), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
def test_a_jpeg_whose_profile_means_srgb_passes_through(srgb):
    data = encode(Image.new("RGB", (32, 32), (180, 90, 60)), icc_profile=srgb)
    found = prepare(data)
    assert found.jpeg == data
    assert found.profile == ""


@pytest.mark.parametrize(
    "broken", [b"not a profile", bytes(3000), profile(DISPLAY_P3)[:200], bytes(5 << 20)], ids=["words", "zeros", "cut", "large"]
)
@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_a_broken_profile_is_ignored_and_said(broken, format):
    found = prepare(encode(Image.new("RGB", (32, 32), (180, 90, 60)), format, icc_profile=broken))
    assert np.abs(shown(found) - SEEN).max() <= 4
    assert found.profile == "ignored"


def test_a_grey_picture_may_have_a_profile_for_colours():
    # A curve of 1: half the light is 128 in the file, and 188 in sRGB.
    found = prepare(encode(Image.new("L", (32, 32), 128), "PNG", icc_profile=profile(SRGB, 1.0)))
    assert np.abs(shown(found) - 188).max() <= 2


def test_a_profile_for_other_numbers_than_the_pictures_is_ignored():
    found = prepare(encode(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "TIFF", icc_profile=profile(DISPLAY_P3)))
    assert found.profile == "ignored"
    assert np.abs(shown(found) - (255, 0, 0)).max() <= 6
