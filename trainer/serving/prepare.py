"""`prepared`: the record that ingest would make of a file, and the refusal of what only ingest can read."""

import numpy as np
import tensorflow as tf

import pipeline_config
from contracts import image_files
from trainer.serving import chunked, jpeg, profile, simple
from trainer.serving.header import Header, first_problem, header, zero
from trainer.serving.octets import first_of, part, size_of
from trainer.serving.orientation import orientation

# In the order of the branches below.
FORMATS = ("JPEG", "PNG", "WebP", "GIF", "BMP")
NAMES = "JPEG, PNG, WebP, GIF or BMP"
ADVICE = "`flowers embed` reads it; for this server convert it to an sRGB JPEG"

MAX_PIXELS, MIN_SIDE = pipeline_config.Data.max_pixels, pipeline_config.Data.min_side
# libjpeg decodes at these fractions of the size at almost no cost.
RATIOS = (1, 2, 4, 8)


def prepared(encoded: tf.Tensor, max_side: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    """An upright RGB JPEG in sRGB with a shorter side of at most `max_side` pixels, as ingest would make it of a file.

    A file that is such a JPEG already stays as it is. Anything else is decoded, reduced, turned upright, laid on white where it is
    transparent, converted to sRGB and encoded, in the same steps as at ingest; pixels may differ by rounding.

    Args:
      encoded: scalar string, a JPEG, PNG, WebP, GIF or BMP file; of a GIF the first picture counts.
      max_side: scalar int64.
      name: scalar string, what the file is called in errors.

    Returns:
      Scalar string.

    Raises:
      tf.errors.InvalidArgumentError: the file is refused; the message has `name`, what the file is and what to do.
    """
    kind = _kind(encoded)
    readers = (jpeg.read, chunked.read_png, chunked.read_webp, simple.read_gif, simple.read_bmp)
    branches = [lambda read=read: read(encoded) for read in readers]
    found = Header(*tf.switch_case(kind, [*branches, lambda: _refused(encoded)]))
    colours = profile.Profile(*profile.read(found.profile, found.numbers))
    problem = first_of(found.problem, _size_problem(encoded, found), colours.problem)
    with tf.control_dependencies([_require(problem, name)]):
        text = tf.identity(found.text)
    target = _reduced(found, max_side)
    turn = orientation(found.exif, found.xmp)
    is_record = (kind == FORMATS.index("JPEG")) & (found.numbers == jpeg.COLOUR)
    stays = is_record & tf.reduce_all(target == tf.stack([found.height, found.width])) & (turn == 1) & ~colours.converts

    def converted() -> tf.Tensor:
        pixels = _decoded(kind, text, found.detail, target, tf.stack([found.height, found.width]), name)
        pixels = tf.cond(tf.reduce_all(tf.shape(pixels, tf.int64)[:2] == target), lambda: pixels, lambda: _scaled(pixels, target))
        pixels = _upright(pixels, turn)
        pixels = tf.cond(colours.converts, lambda: profile.to_srgb(pixels, colours), lambda: pixels)
        return tf.io.encode_jpeg(pixels, quality=image_files.JPEG_QUALITY)

    return tf.cond(stays, lambda: text, converted)


def _kind(encoded: tf.Tensor) -> tf.Tensor:
    """The position in FORMATS; their number for what is none of them."""
    known = [(0, b"BM", "BMP"), *(one for one in image_files.SIGNATURES if one[2] in FORMATS)]
    positions = [FORMATS.index(name) for _, _, name in known] + [len(FORMATS)]
    return tf.gather(positions, _first_signature(encoded, known))


def _refused(encoded: tf.Tensor) -> Header:
    known = [one for one in image_files.SIGNATURES if one[2] not in FORMATS]
    known += [(4, b"ftyp" + brand, name) for name, brands in image_files.BRANDS.items() for brand in brands]
    problems = [f"a file in the format {name}" for _, _, name in known] + [f"no file in the formats {NAMES}"]
    problem = tf.where(encoded == "", "an empty file", tf.gather(problems, _first_signature(encoded, known)))
    return header(problem, zero(), zero(), encoded)


def _first_signature(encoded: tf.Tensor, known: list[tuple[int, bytes, str]]) -> tf.Tensor:
    """The position of the first signature that the file has, (offset, bytes, name) each; their number if it has none."""
    most = max(offset + len(signature) for offset, signature, _ in known)
    wanted = np.full((len(known) + 1, most), -1)
    for row, (offset, signature, _) in zip(wanted, known):
        row[offset : offset + len(signature)] = list(signature)
    beginning = tf.cast(tf.io.decode_raw(part(encoded, 0, most), tf.uint8), tf.int32)
    beginning = tf.pad(beginning, [[0, most - tf.shape(beginning)[0]]], constant_values=-2)  # no byte, and so in no signature
    found = tf.reduce_all((beginning == tf.constant(wanted, tf.int32)) | (wanted < 0), axis=1)
    return tf.argmax(found)


def _size_problem(encoded: tf.Tensor, found: Header) -> tf.Tensor:
    most_bytes = 4 * MAX_PIXELS + (16 << 20)  # as photograph.max_file_bytes
    return first_problem(
        (size_of(encoded) > most_bytes, f"a file of more than {most_bytes} bytes"),
        (found.width * found.height > MAX_PIXELS, f"a picture of more than {MAX_PIXELS} pixels"),
        (tf.minimum(found.width, found.height) < MIN_SIDE, f"a picture with a side of less than {MIN_SIDE} pixels"),
    )


def _require(problem: tf.Tensor, name: tf.Tensor) -> tf.Operation:
    return tf.debugging.Assert(problem == "", [tf.strings.join([name, " is refused: ", problem, f"; {ADVICE}"])])


def _reduced(found: Header, max_side: tf.Tensor) -> tf.Tensor:
    """Height and width after the reduction, `[2]` int64."""
    sides = tf.cast(tf.stack([found.height, found.width]), tf.float64)
    scale = tf.minimum(tf.constant(1.0, tf.float64), tf.cast(max_side, tf.float64) / tf.maximum(tf.reduce_min(sides), 1))
    return tf.maximum(tf.cast(tf.round(sides * scale), tf.int64), 1)


def _decoded(kind: tf.Tensor, text: tf.Tensor, detail: tf.Tensor, target: tf.Tensor, sides: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    """Pixels `[height, width, 3]` uint8, as they are stored; of a JPEG perhaps at a fraction of the size."""

    def of_jpeg() -> tf.Tensor:
        # From twice the target on a proper filter does the rest (PIL.JpegImagePlugin.draft).
        fraction = tf.reduce_min(sides // (2 * target))
        chosen = tf.reduce_sum(tf.cast(fraction >= RATIOS[1:], tf.int32))
        by_ratio = [lambda ratio=ratio: tf.io.decode_jpeg(text, 3, ratio, dct_method="INTEGER_ACCURATE") for ratio in RATIOS]
        return tf.switch_case(chosen, by_ratio)

    def of_png() -> tf.Tensor:
        branches = {
            # Asked for alpha that there is not, TensorFlow's decoder takes fewer bits than 8 for something else.
            chunked.OPAQUE: lambda: tf.io.decode_png(text, 3),
            chunked.CLEAR: lambda: _on_white(tf.io.decode_png(text, 4)),
            chunked.GREY_16: lambda: _from_16_bits(tf.io.decode_png(text, 1, tf.uint16), name),
            chunked.COLOUR_16: lambda: _light(tf.io.decode_png(text, 4), name),
        }
        return tf.switch_case(tf.cast(detail, tf.int32), branches)

    def of_webp() -> tf.Tensor:
        pixels = tf.io.decode_image(text, expand_animations=False)  # of as many channels as there are
        return tf.cond(tf.shape(pixels)[2] == 4, lambda: _on_white(pixels), lambda: pixels[..., :3])

    def of_gif() -> tf.Tensor:
        return tf.io.decode_image(text, 3, expand_animations=False)

    def of_bmp() -> tf.Tensor:
        branches = {
            simple.PALETTE: lambda: simple.by_palette(text),
            simple.OPAQUE: lambda: tf.io.decode_bmp(text, 3),
            simple.OPAQUE_OF_FOUR: lambda: tf.io.decode_bmp(text, 4)[..., :3],
            simple.TRANSPARENT: lambda: _on_white(tf.io.decode_bmp(text, 4)),
        }
        return tf.switch_case(tf.cast(detail, tf.int32), branches)

    pixels = tf.switch_case(kind, [of_jpeg, of_png, of_webp, of_gif, of_bmp])
    pixels.set_shape([None, None, 3])
    return pixels


def _on_white(pixels: tf.Tensor) -> tf.Tensor:
    """`[height, width, 4]` uint8, the last alpha, laid on white: `[height, width, 3]` uint8."""
    colours, alpha = tf.cast(pixels[..., :3], tf.float32), tf.cast(pixels[..., 3:], tf.float32) / 255
    return tf.cast(tf.round(colours * alpha + 255 * (1 - alpha)), tf.uint8)


def _light(pixels: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    """As _on_white, of a picture of 16 bits of which the upper 8 were kept."""
    with tf.control_dependencies([_require_light(256 * tf.cast(tf.reduce_max(pixels[..., :3]), tf.int32), name)]):
        return _on_white(pixels)


def _from_16_bits(grey: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    """`[height, width, 1]` uint16 -> `[height, width, 3]` uint8."""
    values = tf.cast(grey, tf.int32)
    with tf.control_dependencies([_require_light(tf.reduce_max(values), name)]):
        shown = tf.cast(values, tf.float32) * (255 / image_files.WHITE_16) + 0.5
    return tf.tile(tf.cast(tf.floor(shown), tf.uint8), [1, 1, 3])


def _require_light(largest: tf.Tensor, name: tf.Tensor) -> tf.Operation:
    return _require(first_problem((largest < image_files.LEAST_16, "a nearly black picture of 16 bits")), name)


def _scaled(pixels: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    scaled = tf.image.resize(pixels, tf.cast(target, tf.int32), "lanczos3", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(scaled), 0, 255), tf.uint8)


def _upright(pixels: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turned as TIFF 6.0 says of each orientation: mirrored at the diagonal, then at the vertical and the horizontal axis."""

    def one_of(*orientations: int) -> tf.Tensor:
        return tf.reduce_any(turn == tf.constant(orientations, tf.int64))

    pixels = tf.cond(turn >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
    return tf.reverse(pixels, tf.boolean_mask([0, 1], [one_of(3, 4, 7, 8), one_of(2, 3, 6, 7)]))
