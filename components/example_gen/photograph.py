"""One image file becomes one upright RGB JPEG, or a reason why it cannot.

The bytes are untrusted: only five formats are tried, the pixel count is checked before anything is decoded, and every accepted
file has been decoded to its end.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

# Importing a plugin registers its format; done here once, before threads decode.
from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401 isort: skip


FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")

# Reasons for quarantine; the report counts by them.
ZERO_BYTES = "zero bytes"
NOT_AN_IMAGE = "not an image"
DAMAGED = "truncated or damaged"
TOO_MANY_PIXELS = "over the pixel limit"
TOO_MANY_BYTES = "over the size limit"

# First bytes of image files; a file with them that Pillow cannot open was truncated or overwritten. Not BMP's "BM", with which
# ordinary text may begin.
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")

# JPEG frames that TensorFlow's decoder reads: Huffman-coded baseline, extended and progressive (SOF0 to SOF2).
PORTABLE_FRAMES = (0xC0, 0xC1, 0xC2)
JPEG_QUALITY = 92  # visually lossless; only files that have to be converted are re-encoded
JPEG_MAX_SIDE = 65_500  # what libjpeg can write

# Exif tag 0x0112, TIFF 6.0: the operation that turns the stored picture upright.
ORIENTATION_TAG = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

DESCRIPTOR_SIDE = 16


class Unusable(Exception):
    """A file that cannot be used: `reason` is one of this module's constants, `detail` says more about this file."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Photograph:
    """`jpeg`: upright RGB JPEG. `descriptor`: its 16 x 16 RGB thumbnail, 768 bytes, by which near-duplicates are found."""

    jpeg: bytes
    width: int
    height: int
    descriptor: bytes


def max_file_bytes(max_pixels: int) -> int:
    """The size in bytes above which a file is not read: uncompressed 8-bit RGBA of `max_pixels`, and 16 MiB for metadata."""
    return 4 * max_pixels + (16 << 20)


def prepare(data: bytes, max_side: int, max_pixels: int) -> Photograph:
    """Decodes `data` completely and returns it as upright RGB JPEG with a shorter side of at most `max_side` pixels.

    A file that is already such a JPEG is returned byte for byte (with its metadata and colour profile). Anything else is
    converted: Exif orientation applied, the first frame of an animation, transparency on white, 16-bit grey scaled to 8 bits,
    CMYK to RGB. Embedded colour profiles are not applied: pixel values are taken as sRGB. Damage that leaves a JPEG decodable is
    not detected, as JPEG has no checksums.

    Raises:
      Unusable: the file is empty, not a JPEG, PNG, WebP, BMP or GIF, damaged, or has more than `max_pixels` pixels.
    """
    if not data:
        raise Unusable(ZERO_BYTES, "the file is empty")
    if len(data) > max_file_bytes(max_pixels):
        raise Unusable(TOO_MANY_BYTES, f"{len(data)} bytes; at most {max_file_bytes(max_pixels)} are read")
    # Pillow's plugins raise all kinds of errors on a hostile file (OSError, SyntaxError, struct.error, ...): each means damage.
    with _open(data) as image:
        try:
            return _prepare_opened(image, data, max_side, max_pixels)
        except (Unusable, MemoryError):
            raise
        except Exception as error:
            raise Unusable(DAMAGED, f"{type(error).__name__}: {error}") from error


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:  # Pillow's own limit, if `max_pixels` is above it
        raise Unusable(TOO_MANY_PIXELS, str(error)) from None
    except Exception:
        if data.startswith(SIGNATURES) or (data.startswith(b"RIFF") and data[8:12] == b"WEBP"):
            raise Unusable(DAMAGED, "it begins like an image, but its header cannot be read") from None
        raise Unusable(NOT_AN_IMAGE, "no JPEG, PNG, WebP, BMP or GIF") from None


def _prepare_opened(image: Image.Image, data: bytes, max_side: int, max_pixels: int) -> Photograph:
    width, height = image.size
    if width * height > max_pixels:
        raise Unusable(TOO_MANY_PIXELS, f"{width} x {height} pixels; at most {max_pixels} are decoded")
    if image.format == "PNG":
        _open(data).verify()  # the checksums, which Pillow's decoder skips
    orientation = _orientation(image)
    target = _reduced_size(width, height, max_side)
    as_it_is = target == (width, height) and orientation == 1 and image.mode == "RGB" and _is_portable_jpeg(image, data)
    if image.format in ("JPEG", "MPO"):
        # libjpeg decodes at 1/2, 1/4 or 1/8 size at almost no cost; from twice the target a proper filter does the rest.
        image.draft(None, (2 * target[0], 2 * target[1]))
    image.load()
    upright = _to_rgb(image)
    if upright.size != target:
        upright = upright.resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if orientation != 1:
        upright = upright.transpose(UPRIGHT[orientation])
    return Photograph(data if as_it_is else _encode(upright), *upright.size, _describe(upright))


def _reduced_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    scale = min(1.0, max_side / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged Exif data does not mean a damaged picture
        return 1
    return orientation if orientation in UPRIGHT else 1


def _is_portable_jpeg(image: Image.Image, data: bytes) -> bool:
    """Whether `data` can be kept as it is: a three-component JPEG whose first frame is of a kind that every decoder reads."""
    if image.format not in ("JPEG", "MPO"):
        return False
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return False
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker in PORTABLE_FRAMES
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255
        grey = np.asarray(image).astype(np.int64)
        return Image.fromarray((np.clip(grey, 0, 65_535) / 257 + 0.5).astype(np.uint8)).convert("RGB")
    if image.mode == "CMYK" and "adobe" not in image.info:
        # Pillow takes every CMYK JPEG for Adobe's, which is stored inverted; without Adobe's marker it is not.
        image = Image.fromarray(255 - np.asarray(image), mode="CMYK")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _encode(image: Image.Image) -> bytes:
    if max(image.size) > JPEG_MAX_SIDE:
        raise Unusable(TOO_MANY_PIXELS, f"{image.width} x {image.height}: a JPEG's side has at most {JPEG_MAX_SIDE} pixels")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _describe(image: Image.Image) -> bytes:
    return image.resize((DESCRIPTOR_SIDE, DESCRIPTOR_SIDE), Image.Resampling.BOX).tobytes()


@dataclass(frozen=True)
class Encoded:
    """`path` is relative to the source; `split` is "train", "eval" or "" if the source has no splits.

    An unlabelled photograph has the class "" and the split "unlabelled". `data` holds the file's bytes; if they could not be read, `reason` and `detail` say why.
    """

    path: str
    class_name: str
    split: str
    data: bytes = b""
    reason: str = ""
    detail: str = ""


def printable(name: str) -> str:
    """A file name as valid UTF-8: invalid bytes appear as `\\xNN`, so that report and records can hold any name."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
