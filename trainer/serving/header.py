"""What is known of an image file before its pixels are decoded, whatever its format."""

from typing import NamedTuple

import tensorflow as tf

from trainer.serving.octets import constant

GREY, COLOUR, INK = 0, 1, 2


class Header(NamedTuple):
    """Scalars.

    problem: string, why the file is refused, as a noun ("a damaged JPEG"); "" if it is not. width, height: int64, pixels as they
    are stored. numbers: int64, GREY, COLOUR or INK (CMYK): what a pixel's numbers are. exif, xmp, profile: string, the metadata, ""
    where there are none. text: string, the file, as TensorFlow's decoder is to read it. detail: int64, what the decoding needs
    besides.
    """

    problem: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    numbers: tf.Tensor
    exif: tf.Tensor
    xmp: tf.Tensor
    profile: tf.Tensor
    text: tf.Tensor
    detail: tf.Tensor


def header(
    problem: tf.Tensor | str, width: tf.Tensor, height: tf.Tensor, text: tf.Tensor, *, numbers: tf.Tensor | int = COLOUR,
    exif: tf.Tensor | str = "", xmp: tf.Tensor | str = "", profile: tf.Tensor | str = "", detail: tf.Tensor | int = 0,
) -> Header:  # fmt: skip
    """A Header of tensors and plain values."""
    strings = {"problem": problem, "exif": exif, "xmp": xmp, "profile": profile, "text": text}
    integers = {"width": width, "height": height, "numbers": numbers, "detail": detail}
    return Header(
        **{name: tf.convert_to_tensor(value, tf.string) for name, value in strings.items()},
        **{name: tf.cast(value, tf.int64) for name, value in integers.items()},
    )


def first_problem(*problems: tuple[tf.Tensor, str]) -> tf.Tensor:
    """The text of the first of these conditions that holds; "" if none does."""
    found = tf.constant("")
    for holds, text in reversed(problems):
        found = tf.where(holds, text, found)
    return found


def zero() -> tf.Tensor:
    """The number 0."""
    return constant(0)
