"""How a stored picture is turned upright, as Exif data or XMP say; damaged data say nothing, exactly as at ingest.

Ingest reads them with Pillow, whose ways (PIL.Image.Exif, PIL.TiffImagePlugin) these functions follow.
"""

import tensorflow as tf

from contracts.image_files import ORIENTATION_TAG
from trainer.serving.octets import constant, number, numbers, part, size_of, table

# Bytes of a value by its type, TIFF 6.0, section 2, and BigTIFF; 0: there is no such type.
SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8)
SHORT, LONG, SIGNED_SHORT, SIGNED_LONG, SIGNED_BYTE, POINTER = 3, 4, 8, 9, 6, 13
INTEGERS = (SHORT, LONG, SIGNED_BYTE, SIGNED_SHORT, SIGNED_LONG, POINTER)

XMP = r"tiff:Orientation(?:=\"|>)([0-9])"


def orientation(exif: tf.Tensor, xmp: tf.Tensor) -> tf.Tensor:
    """The orientation, 1 (upright) to 8 as TIFF 6.0 has it, of Exif data and, where those have none, of XMP: int64 scalar.

    Args:
      exif: scalar string, TIFF structures, with or without "Exif\\0\\0" before them; may be empty.
      xmp: scalar string, XML; may be empty.
    """
    exif = tf.strings.regex_replace(exif, "^(?:Exif\\x00\\x00)+", "")
    beginning = part(exif, 0, 4)
    little, big = ([tf.equal(beginning, one) for one in ones] for ones in ((b"II*\0", b"II\0*"), (b"MM\0*", b"MM*\0")))
    is_tiff = tf.reduce_any(little + big) & (size_of(exif) >= 8)
    found = tf.cond(is_tiff, lambda: _of_tiff(exif, tf.reduce_any(little)), lambda: constant(-1))
    # Data that are no TIFF at all end the search; a TIFF without the tag, or no data, do not.
    searched = is_tiff | tf.equal(exif, "")
    found = tf.cond((found < 0) & searched, lambda: _of_xmp(xmp), lambda: found)
    return tf.where((found >= 1) & (found <= 8), found, 1)


def _of_tiff(exif: tf.Tensor, little: tf.Tensor) -> tf.Tensor:
    """The value of the tag in the first directory: -1 if it is not there, 0 if it is no integer."""
    directory = number(exif, 4, 4, little)
    entries = table(exif, directory + 2, number(exif, directory, 2, little), 12)
    tags, kinds, counts, offsets = (numbers(entries[:, begin:end], little) for begin, end in ((0, 2), (2, 4), (4, 8), (8, 12)))
    units = tf.gather(tf.constant(SIZES, tf.int64), tf.where(kinds < len(SIZES), kinds, 0))
    sizes = units * counts
    # A value that lies outside ends the reading: entries after it are not seen.
    outside = (sizes > 4) & (offsets + sizes > size_of(exif))
    before = tf.cumsum(tf.cast(outside, tf.int64)) == 0
    rows = tf.where(before & (tags == ORIENTATION_TAG) & (sizes > 0))[:, 0]

    def value() -> tf.Tensor:
        row = rows[-1]
        unit, inline = units[row], directory + 2 + 12 * row + 8
        position = tf.where(sizes[row] > 4, offsets[row], inline)
        values = tf.stack([number(exif, position, size, little) for size in (1, 2, 4)])
        is_integer = tf.reduce_any(kinds[row] == tf.constant(INTEGERS, tf.int64))
        return tf.where(is_integer, values[tf.minimum(unit // 2, 2)], 0)

    return tf.cond(tf.size(rows) > 0, value, lambda: constant(-1))


def _of_xmp(xmp: tf.Tensor) -> tf.Tensor:
    # \C is any byte: what is no UTF-8 matches nothing else.
    whole = rf"(?s)^\C*?{XMP}\C*$"
    digit = tf.strings.regex_replace(xmp, whole, r"\1")
    return tf.cond(tf.strings.regex_full_match(xmp, whole), lambda: tf.strings.to_number(digit, tf.int64), lambda: constant(1))
