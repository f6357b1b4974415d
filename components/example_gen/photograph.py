"""One image file becomes one upright RGB JPEG in sRGB, or a reason why it cannot.

The bytes are untrusted: only the formats below are tried, the pixel count is checked before anything is decoded, and every
accepted file has been decoded to its end. What is returned has been decoded by TensorFlow too, which trains and serves with it.
"""

import hashlib
import io
from dataclasses import dataclass, replace

import numpy as np
import pillow_heif
import tensorflow as tf
from PIL import Image

# Importing a plugin registers its format; done here once, before threads decode.
from PIL import (  # noqa: F401 isort: skip
    AvifImagePlugin, BmpImagePlugin, GifImagePlugin, Jpeg2KImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin,
    TiffImagePlugin, WebPImagePlugin,
)  # fmt: skip

import pipeline_config
from components.example_gen import colour, jpeg_2000
from components.example_gen.recognise import DEVELOP, ENDINGS, FORMATS, NAMES, RAW, recognise
from contracts.image_files import JPEG_QUALITY, LEAST_16, ORIENTATION_TAG, PORTABLE_FRAMES, WHITE_16, readable_format

pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)

# Reasons for quarantine; the report counts by them.
ZERO_BYTES = "zero bytes"
NOT_AN_IMAGE = "not an image"
OTHER_FORMAT = "a format that is not read"
DAMAGED = "truncated or damaged"
TOO_SMALL = "too small"
TOO_MANY_PIXELS = "over the pixel limit"
TOO_MANY_BYTES = "over the size limit"
NO_WHITE = "brightness undefined"

JPEG_MAX_SIDE = 65_500  # what libjpeg can write

# TIFF 6.0: what each value of Exif's orientation asks for.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# TIFF 6.0, section 8, 15 and supplement 1 of DNG: what a file's first picture is and how it is stored.
SUBFILE_TYPE, BITS_PER_SAMPLE, TILE_WIDTH, TILE_LENGTH, DNG_VERSION = 254, 258, 322, 323, 50706
PREVIEW = 1  # bit of SUBFILE_TYPE: a reduced version of another picture in the file

METADATA_BYTES = 16 << 20
# Pillow refuses a PNG with more than 1 MiB in a text or a profile; the sum of all texts stays limited to 64 MiB.
PngImagePlugin.MAX_TEXT_CHUNK = METADATA_BYTES
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_METADATA = (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf")  # without which the pixels are the same

WHITE_12 = 4095

DESCRIPTOR_SIDE = 16


class Unusable(Exception):
    """A file that cannot be used: `reason` is one of this module's constants, `detail` says more about this file."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Photograph:
    """`jpeg`: upright RGB JPEG, sRGB. `descriptor`: its 16 x 16 RGB thumbnail, 768 bytes, by which near-duplicates are found.

    `profile`: what became of an embedded colour profile, see colour.outcome.
    """

    jpeg: bytes
    width: int
    height: int
    descriptor: bytes
    profile: str = ""


def max_file_bytes(max_pixels: int) -> int:
    """The size in bytes above which a file is not read: uncompressed 8-bit RGBA of `max_pixels`, and 16 MiB for metadata."""
    return 4 * max_pixels + METADATA_BYTES


def prepare(data: bytes, max_side: int, max_pixels: int, min_side: int = pipeline_config.Data.min_side) -> Photograph:
    """Decodes `data` completely and returns it as upright RGB JPEG with a shorter side of at most `max_side` pixels.

    A file that is already such a JPEG, in sRGB or without a colour profile, is returned byte for byte, with its metadata. Anything
    else is converted: Exif orientation applied, the first frame of an animation, transparency on white, 16-bit grey scaled to 8
    bits, CMYK to RGB, an embedded colour profile to sRGB. TensorFlow's decoder reads every JPEG that is returned. Damage that
    leaves a JPEG decodable is not detected, as JPEG has no checksums.

    Raises:
      Unusable: the file is empty, of no format of NAMES, damaged, has a side of less than `min_side` or more than `max_pixels`
        pixels, or values of which nothing says how bright they are (floating point, 32-bit integers, few of 16 bits).
    """
    if not data:
        raise Unusable(ZERO_BYTES, "the file is empty")
    if len(data) > max_file_bytes(max_pixels):
        raise Unusable(TOO_MANY_BYTES, f"{len(data)} bytes; at most {max_file_bytes(max_pixels)} are read")
    try:
        return _prepare(data, max_side, max_pixels, min_side)
    except Unusable as unusable:
        # Pixels count: a PNG with damaged metadata, or more of it than Pillow reads, is a picture all the same.
        bare, lost_profile = _without_metadata(data) if unusable.reason == DAMAGED else (data, False)
        if len(bare) == len(data):
            raise
        found = _prepare(bare, max_side, max_pixels, min_side)
        return replace(found, profile=colour.IGNORED) if lost_profile else found


def ending(data: bytes) -> str:
    """The ending for a file with these bytes, such as ".jpg".

    Raises:
      Unusable: it is of no format of NAMES, or its header is damaged.
    """
    with _open(data) as image:
        return ENDINGS[image.format][0]


def pixels(data: bytes) -> int:
    """Width x height as the header says, without decoding; 0 if it is of no format that is read, or damaged."""
    try:
        with _open(data) as image:
            return image.width * image.height
    except Unusable:
        return 0


def _prepare(data: bytes, max_side: int, max_pixels: int, min_side: int) -> Photograph:
    # Pillow's plugins raise all kinds of errors on a hostile file (OSError, SyntaxError, struct.error, ...): each means damage.
    # MemoryError too: the pixels were counted before, so that only a hostile header asks for more than there is.
    with _open(data) as image:
        try:
            return _prepare_opened(image, data, max_side, max_pixels, min_side)
        except Unusable:
            raise
        except Exception as error:
            raise Unusable(DAMAGED, f"{type(error).__name__}: {error}") from error


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:  # Pillow's own limit, if `max_pixels` is above it
        raise Unusable(TOO_MANY_PIXELS, str(error)) from None
    except Exception:
        found = recognise(data)
        if not (found and found.name == RAW) and (name := readable_format(data)):  # many raw files begin as a TIFF does
            raise Unusable(DAMAGED, f"it begins like an image ({name}), but its header cannot be read") from None
        if found:
            raise Unusable(OTHER_FORMAT if found.is_image else NOT_AN_IMAGE, str(found)) from None
        raise Unusable(NOT_AN_IMAGE, f"no {NAMES}") from None


def _prepare_opened(image: Image.Image, data: bytes, max_side: int, max_pixels: int, min_side: int) -> Photograph:
    width, height = image.size
    if width * height > max_pixels:
        raise Unusable(TOO_MANY_PIXELS, f"{width} x {height} pixels; at most {max_pixels} are decoded (data.max_pixels)")
    if min(width, height) < min_side:
        raise Unusable(TOO_SMALL, f"{width} x {height} pixels; each side needs {min_side} (data.min_side)")
    if image.format == "PNG":
        _open(data).verify()  # the checksums, which Pillow's decoder skips
    elif image.format == "TIFF":
        _check_tiff(image, data, max_pixels)
    orientation = _orientation(image)
    target = _reduced_size(width, height, max_side)
    profile = image.info.get("icc_profile")
    if target == (width, height) and orientation == 1 and image.mode == "RGB" and _is_portable_jpeg(image, data):
        fate = colour.outcome(profile, "RGB")
        pixels = None if fate == colour.CONVERTED else _decoded(data)
        if pixels is not None and pixels.shape == (height, width, 3):
            return Photograph(data, width, height, _describe(Image.fromarray(pixels)), fate)
    if image.format in ("JPEG", "MPO"):
        # libjpeg decodes at 1/2, 1/4 or 1/8 size at almost no cost; from twice the target a proper filter does the rest.
        image.draft(None, (2 * target[0], 2 * target[1]))
    elif image.format == "JPEG2000" and (excess := jpeg_2000.reduce(image, data, target, max_pixels)):
        raise Unusable(
            TOO_MANY_PIXELS,
            f"{width} x {height} pixels of JPEG 2000, {excess} more than the quarter of data.max_pixels that its "
            "decoder has memory for; convert it to JPEG, PNG or TIFF, or raise data.max_pixels",
        )
    image.load()
    upright = _flat(image, data)
    if upright.size != target:
        upright = upright.resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if orientation != 1:
        upright = upright.transpose(UPRIGHT[orientation])
    fate = colour.outcome(profile, upright.mode)
    upright = colour.to_srgb(upright, profile)
    jpeg = _encode(upright)
    if _decoded(jpeg) is None:
        raise Unusable(TOO_MANY_PIXELS, f"{upright.width} x {upright.height} pixels are more than TensorFlow decodes")
    return Photograph(jpeg, *upright.size, _describe(upright), fate)


def _check_tiff(image: Image.Image, data: bytes, max_pixels: int) -> None:
    tags = image.tag_v2
    if tags.get(SUBFILE_TYPE, 0) & PREVIEW or DNG_VERSION in tags or recognise(data):
        raise Unusable(OTHER_FORMAT, f"{RAW}: {DEVELOP}")
    tile = int(tags.get(TILE_WIDTH, 1)) * int(tags.get(TILE_LENGTH, 1))  # in a hostile file they may be texts
    if tile > max_pixels:  # libtiff decodes whole tiles, however small the picture is
        raise Unusable(TOO_MANY_PIXELS, f"tiles of {tile} pixels; at most {max_pixels} are decoded")


def _decoded(jpeg: bytes) -> np.ndarray | None:
    """The pixels as TensorFlow decodes them, `[height, width, 3]` uint8; None if it cannot.

    With the accurate inverse transform they are those that Pillow decodes; what can be decoded does not depend on the transform.
    """
    try:
        return tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    except tf.errors.OpError:
        return None


def _reduced_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    scale = min(1.0, max_side / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged Exif data does not mean a damaged picture
        return 1
    return orientation if type(orientation) is int and orientation in UPRIGHT else 1  # a fraction or a text is no orientation


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


def _flat(image: Image.Image, data: bytes) -> Image.Image:
    """The loaded image as 8-bit RGB, grey (L) or CMYK (ink: 255 is full), transparency laid on white."""
    if image.mode in ("I", "F"):
        kind = "floating-point numbers" if image.mode == "F" else "32-bit integers"
        raise Unusable(NO_WHITE, f"its values are {kind}, and nothing says which is white: save it with 8 or 16 bits")
    bits = _bits(image, data)
    _require_light(image, bits)
    if image.mode.startswith("I;16"):  # Pillow's own conversion would clip it at 255
        grey = np.asarray(image).astype(np.float32)
        return Image.fromarray((np.minimum(grey * (255 / (WHITE_12 if bits == 12 else WHITE_16)), 255) + 0.5).astype(np.uint8))
    if image.mode == "CMYK":
        # Pillow takes every CMYK JPEG for Adobe's, which is stored inverted; without Adobe's marker it is not.
        inverted = image.format in ("JPEG", "MPO") and "adobe" not in image.info
        return Image.fromarray(255 - np.asarray(image), mode="CMYK") if inverted else image
    if image.mode == "LAB":
        return colour.lab_to_srgb(image)
    is_grey = image.mode in ("1", "L", "LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if is_grey else "RGB")


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits of a value as the file states them, where more than 8 are possible."""
    if image.format == "PNG":
        return data[24]  # PNG, section 11.2.1: IHDR is the first chunk, and this its bit depth
    if image.format == "TIFF":
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (8,)))
    return 16 if image.mode.startswith("I;16") else 8


def _require_light(image: Image.Image, bits: int) -> None:
    """Refuses a picture of 16 bits that uses so few of them that it would be black."""
    if bits != 16:
        return
    extrema = image.getextrema()
    ranges = [extrema] if isinstance(extrema[0], (int, float)) else extrema
    largest = max(high for band, (_, high) in zip(image.getbands(), ranges, strict=True) if band != "A")
    scale = 1 if image.mode.startswith("I;16") else 256  # of colours with 16 bits Pillow keeps the upper 8
    if largest * scale < LEAST_16:
        raise Unusable(NO_WHITE, f"nearly black: no value reaches {LEAST_16} of {WHITE_16}, as if it had 12 bits or fewer stored "
                       "in 16; multiply its values so that white is 65535, or save it with 8 bits")  # fmt: skip


def _without_metadata(data: bytes) -> tuple[bytes, bool]:
    """A PNG without texts, Exif data and colour profile, and whether it had a profile; any other file as it is."""
    if not data.startswith(PNG_SIGNATURE):
        return data, False
    kept, position, had_profile = [PNG_SIGNATURE], len(PNG_SIGNATURE), False
    while position + 8 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if kind not in PNG_METADATA:
            kept.append(data[position:end])
        had_profile |= kind == b"iCCP"
        position = end
    return b"".join(kept), had_profile


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

    An unlabelled photograph has the class "" and the split "unlabelled". `data` holds the file's bytes; if they could not be read,
    `reason` and `detail` say why.
    """

    path: str
    class_name: str
    split: str
    data: bytes = b""
    reason: str = ""
    detail: str = ""

    @property
    def content_hash(self) -> str:
        """SHA-256 (hex) of `data`."""
        return hashlib.sha256(self.data).hexdigest()
