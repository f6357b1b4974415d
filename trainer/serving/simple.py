"""What the beginnings of GIF (its specification of 1989) and BMP files (Microsoft's BITMAPINFOHEADER to BITMAPV5HEADER) say."""

from typing import NamedTuple

import tensorflow as tf

from trainer.serving.header import Header, first_problem, header
from trainer.serving.octets import constant, number, part, rest, size_of, table

EXTENSION, PICTURE, CONTROL = 0x21, 0x2C, 0xF9
ORIENTED = r"(?s)\C*tiff:Orientation(?:=\"|>)[2-8]\C*"

UNCOMPRESSED, MASKED = 0, 3
# What the decoding has to know of a BMP.
PALETTE, OPAQUE, OPAQUE_OF_FOUR, TRANSPARENT = 0, 1, 2, 3
RED, GREEN, BLUE, ALPHA = 0xFF0000, 0xFF00, 0xFF, 0xFF000000  # the masks of bytes in the order blue, green, red, alpha


class _Gif(NamedTuple):
    """`control`: position of the flags of the graphic control extension that has a transparent colour; 0: there is none."""

    position: tf.Tensor
    inside: tf.Tensor
    control: tf.Tensor


def read_gif(text: tf.Tensor) -> Header:
    """The header of a GIF, whose first picture counts; the file is changed such that its transparent colour is white."""
    width, height, flags = number(text, 6, 2, True), number(text, 8, 2, True), number(text, 10, 1)
    begin = 13 + tf.where(flags >= 128, 3 * _colours(flags), 0)
    found = _Gif(*tf.while_loop(
        lambda *state: (_Gif(*state).position < size_of(text))
        & (_Gif(*state).inside | (number(text, _Gif(*state).position, 1) == EXTENSION)),
        lambda *state: _next_of_gif(text, _Gif(*state)),
        _Gif(begin, tf.constant(False), constant(0)), parallel_iterations=1))  # fmt: skip
    at = found.position
    corner = number(text, at + 1, 4)
    fills = (corner == 0) & (number(text, at + 5, 2, True) == width) & (number(text, at + 7, 2, True) == height)
    problem = first_problem(
        (number(text, at, 1) != PICTURE, "a damaged GIF"),
        (~fills, "a GIF whose first picture does not fill it"),
        (tf.strings.regex_full_match(text, ORIENTED), "a GIF with an orientation"),
    )
    own_palette = number(text, at + 9, 1) >= 128
    entry = tf.where(own_palette, at + 10, 13) + 3 * number(text, found.control + 3, 1)

    def on_white() -> tf.Tensor:
        return _replaced(_replaced(text, entry, b"\xff\xff\xff"), found.control, b"\0")

    return header(problem, width, height, tf.cond(found.control > 0, on_white, lambda: text))


def _colours(flags: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.left_shift(constant(2), flags % 8)


def _next_of_gif(text: tf.Tensor, state: _Gif) -> _Gif:
    """The next extension's beginning, or the next of its parts, each of which begins with its size; the last has size 0."""
    flags = number(text, state.position + 3, 1)
    is_control = ~state.inside & (number(text, state.position + 1, 1) == CONTROL) & (flags % 2 == 1)
    size = number(text, state.position, 1)
    return _Gif(
        position=state.position + tf.where(state.inside, 1 + size, 2),
        inside=~state.inside | (size > 0),
        control=tf.where(is_control, state.position + 3, state.control),
    )


def _replaced(text: tf.Tensor, position: tf.Tensor, by: bytes) -> tf.Tensor:
    return tf.strings.join([part(text, 0, position), by, rest(text, position + len(by))])


def read_bmp(text: tf.Tensor) -> Header:
    """The header of a BMP file."""
    size, bits, compression = number(text, 14, 4, True), number(text, 28, 2, True), number(text, 30, 4, True)
    width, stored_height = number(text, 18, 4, True), number(text, 22, 4, True)
    height = tf.where(stored_height >= 2**31, 2**32 - stored_height, stored_height)  # negative: the first row is the upper one
    red, green, blue, alpha = (number(text, position, 4, True) for position in (54, 58, 62, 66))
    usual = (red == RED) & (green == GREEN) & (blue == BLUE) & ((alpha == 0) | (alpha == ALPHA) | (size < 56))
    masked = (bits == 32) & (compression == MASKED) & usual
    plain = ((bits == 8) | (bits == 24) | (bits == 32)) & (compression == UNCOMPRESSED)
    problem = first_problem(((size < 40) | ~(plain | masked), "a BMP of other numbers than 8, 24 or 32 bits, or compressed"))
    four = tf.where(masked & (size >= 56) & (alpha == ALPHA), TRANSPARENT, OPAQUE_OF_FOUR)
    return header(problem, width, height, text, detail=tf.where(bits == 8, PALETTE, tf.where(bits == 24, OPAQUE, four)))


def by_palette(text: tf.Tensor) -> tf.Tensor:
    """The pixels of a BMP of 8 bits, `[height, width, 3]` uint8; TensorFlow's decoder knows no palette."""
    begin, width, stored_height = (number(text, position, 4, True) for position in (10, 18, 22))
    height = tf.where(stored_height >= 2**31, 2**32 - stored_height, stored_height)
    places = table(text, begin, height * ((width + 3) // 4 * 4), 1)  # rows are filled up to a multiple of 4 bytes
    places = tf.reshape(places, [height, -1])[:, :width]
    places = tf.cond(stored_height < 2**31, lambda: places[::-1], lambda: places)
    palette = table(text, 14 + number(text, 14, 4, True), constant(256), 4)
    return tf.gather(tf.cast(palette[:, 2::-1], tf.uint8), places)
