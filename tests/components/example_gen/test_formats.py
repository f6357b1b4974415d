"""Promises about formats and metadata: what is read, what is refused by its name, and whose brightness is not guessed."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from components.example_gen import photograph, recognise
from components.example_gen.names import IMAGE_ENDINGS


def picture(side=64):
    small = np.random.default_rng(5).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def encode(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def prepare(data, **options):
    return photograph.prepare(data, 256, 1_000_000, **options)


def pixels(data):
    return tf.io.decode_jpeg(prepare(data).jpeg, channels=3).numpy().astype(int)


@pytest.mark.parametrize(
    ("format", "options"),
    [("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("AVIF", {"quality": 95}), ("HEIF", {"quality": 95}), ("JPEG2000", {}),
     ("MPO", {"quality": 95, "save_all": True, "append_images": [Image.new("RGB", (64, 64))]})],
)  # fmt: skip
def test_a_format_is_read_whatever_the_file_is_called(format, options):
    data = encode(picture(), format, **options)
    assert np.abs(pixels(data) - np.asarray(picture()).astype(int)).mean() < 5
    assert photograph.ending(data) in IMAGE_ENDINGS


def test_a_heic_that_its_container_turns_is_turned_once():
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    stored = Image.new("RGB", (64, 32), "red")
    stored.paste("blue", (32, 0, 64, 32))
    found = prepare(encode(stored, "HEIF", quality=95, exif=exif.tobytes()))
    assert (found.width, found.height) == (32, 64)
    # Exif 2.3: of orientation 6, the stored left edge is seen at the top.
    shown = tf.io.decode_jpeg(found.jpeg).numpy()[[8, 56], 16]
    assert shown.argmax(axis=1).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (b"\0\0\0\x1cftypheix" + bytes(300), "truncated or damaged", "HEIC"),
        (b"II*\0" + bytes(3), "truncated or damaged", "TIFF"),
        (b"\xff\x0a" + bytes(300), "a format that is not read", "JPEG XL: convert it"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(90), "a format that is not read", "JPEG XL: convert it"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "a format that is not read", "SVG"),
        (b"8BPS\0\1" + bytes(90), "a format that is not read", "Photoshop"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(90), "a format that is not read", "camera raw file: develop"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1f\nsize 12\n", "not an image", "git lfs pull"),
        (b"\n <!DOCTYPE HTML PUBLIC><title>503</title>", "not an image", "HTML page, probably an error message: download"),
        (b"%PDF-1.4\n", "not an image", "PDF: take the photographs out"),
        (b"\0\0\0\x20ftypisom" + bytes(90), "not an image", "video (MP4 or QuickTime)"),
        (b"\x1aE\xdf\xa3" + bytes(90), "not an image", "video (Matroska or WebM)"),
        (b"PK\3\4" + bytes(90), "not an image", "ZIP"),
        (b'{"label": "rose"}', "not an image", "JSON"),
        ("Notizen über Rosen".encode(), "not an image", "text: remove"),
        (bytes(range(1, 200)), "not an image", "no JPEG, PNG"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_format_and_what_to_do(data, reason, says):
    with pytest.raises(photograph.Unusable) as refused:
        prepare(data)
    assert refused.value.reason == reason
    assert says in refused.value.detail


def test_a_raw_files_preview_is_not_taken_for_the_photograph():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254] = 1  # TIFF 6.0, NewSubfileType: a reduced version of another picture in the file
    with pytest.raises(photograph.Unusable, match="camera raw file"):
        prepare(encode(picture(), "TIFF", tiffinfo=tags))


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def large_text(size):
    info = PngInfo()
    info.add_text("XML:com.adobe.xmp", "x" * size, zip=True)
    return info


@pytest.mark.parametrize(
    "data",
    [
        encode(picture(), "PNG", pnginfo=large_text(1_500_000)),
        encode(picture(), "PNG", pnginfo=large_text(70_000_000)),  # a text bomb of 68 kB
        encode(picture(), "PNG", icc_profile=bytes(1_500_000)),
        encode(picture(), "PNG")[:-12] + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(40_000_000))) + chunk(b"IEND", b""),
        encode(picture(), "PNG")[:33] + struct.pack(">I", 3) + b"tEXta\0b\0\0\0\0" + encode(picture(), "PNG")[33:],  # wrong sum
    ],
    ids=["xmp", "bomb", "icc", "behind the pixels", "damaged"],
)
def test_metadata_do_not_make_a_png_unusable(data):
    assert np.abs(pixels(data) - np.asarray(picture()).astype(int)).mean() < 3


def test_an_orientation_in_a_large_xmp_still_holds():
    info = PngInfo()
    info.add_text("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>' + " " * 1_200_000, zip=True)
    found = prepare(encode(Image.new("RGB", (64, 32)), "PNG", pnginfo=info))
    assert (found.width, found.height) == (32, 64)


def grey(bits, dtype=np.uint16):
    """A ramp from 0 to the largest value of `bits`."""
    return np.linspace(0, 2**bits - 1, 64 * 64).round().astype(dtype).reshape(64, 64)


def png_of_16_bit_colour(values):
    rows = b"".join(b"\0" + np.repeat(row[:, None], 3, 1).astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        encode(Image.fromarray(grey(12)), "PNG"),
        encode(Image.fromarray(grey(10)), "TIFF"),
        png_of_16_bit_colour(grey(12)),
        png_of_16_bit_colour(grey(8)),
        encode(Image.fromarray(grey(8).astype(np.float32) / 255), "TIFF"),
        encode(Image.fromarray(grey(20, np.int32)), "TIFF"),
    ],
    ids=["12 bits in 16", "10 bits in 16", "colour, 12 in 16", "colour, 8 in 16", "float", "32 bits"],
)
def test_a_picture_that_would_be_black_is_refused_with_what_to_do(data):
    with pytest.raises(photograph.Unusable, match="save it with 8") as refused:
        prepare(data)
    assert refused.value.reason == "brightness undefined"


@pytest.mark.parametrize("data", [encode(Image.fromarray(grey(16)), "TIFF"), png_of_16_bit_colour(grey(16))])
def test_16_bits_that_are_used_are_read(data):
    assert np.abs(pixels(data)[..., 0] - grey(16) / 257).max() < 6


def test_cmyk_of_a_tiff_is_ink():
    # Full cyan and yellow: green. No program inverts them in a TIFF, as Adobe's do in a JPEG.
    found = pixels(encode(Image.new("CMYK", (32, 32), (255, 0, 255, 0)), "TIFF"))
    assert found[16, 16].tolist() == pytest.approx([0, 255, 0], abs=6)


def test_the_least_side_is_a_setting():
    assert prepare(encode(picture(20), "PNG"), min_side=20).width == 20
    with pytest.raises(photograph.Unusable, match=r"20 x 20 pixels.*data\.min_side"):
        prepare(encode(picture(20), "PNG"), min_side=21)


def test_a_jpeg_that_only_pillow_reads_is_written_anew():
    data = encode(picture(), "JPEG")[:-2] + bytes(512)  # without the end marker, as of a broken download to a full disk
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_jpeg(data)
    found = prepare(data)
    assert found.jpeg != data
    assert tf.io.decode_jpeg(found.jpeg).shape == (64, 64, 3)


def test_every_format_has_an_ending_of_its_own():
    assert set(recognise.FORMATS) | {"MPO"} == set(recognise.ENDINGS)
    assert {".jpg", ".png", ".tif", ".tiff", ".avif", ".heic", ".jp2"} <= set(IMAGE_ENDINGS)
