"""What the chunks of a PNG (its specification, third edition) and of a WebP file (RFC 9649) say."""

from typing import NamedTuple

import tensorflow as tf

from trainer.serving.header import COLOUR, GREY, Header, first_problem, header
from trainer.serving.octets import constant, number, part, size_of

# PNG's colour types, and what the decoding has to know.
GREY_TYPE, COLOUR_TYPE, GREY_ALPHA_TYPE, COLOUR_ALPHA_TYPE = 0, 2, 4, 6
OPAQUE, CLEAR, GREY_16, COLOUR_16 = 0, 1, 2, 3

# PNG keeps a profile compressed: at most 1,032 times, as deflate does.
MOST_COMPRESSED = 64 << 10

XMP_KEY, RAW_EXIF_KEY = b"XML:com.adobe.xmp\0", b"Raw profile type exif\0"
ANIMATED = 2  # bit of VP8X's flags


class _Png(NamedTuple):
    position: tf.Tensor
    ended: tf.Tensor
    exif: tf.Tensor
    xmp: tf.Tensor
    profile: tf.Tensor
    unread: tf.Tensor
    transparent: tf.Tensor


def read_png(text: tf.Tensor) -> Header:
    """The header of a file that begins as a PNG does."""
    no, nothing = tf.constant(False), tf.constant("")
    found = _Png(*tf.while_loop(
        lambda *state: ~_Png(*state).ended & (_Png(*state).position + 12 <= size_of(text)),
        lambda *state: _next_of_png(text, _Png(*state)),
        _Png(constant(8), no, nothing, nothing, nothing, no, no), parallel_iterations=1))  # fmt: skip
    bits, kind = number(text, 24, 1), number(text, 25, 1)
    is_grey = (kind == GREY_TYPE) | (kind == GREY_ALPHA_TYPE)
    has_alpha = found.transparent | (kind == GREY_ALPHA_TYPE) | (kind == COLOUR_ALPHA_TYPE)
    unusual = found.transparent & (((bits == 16) & (kind == COLOUR_TYPE)) | ((bits < 8) & (kind == GREY_TYPE)))
    too_large = size_of(found.profile) > MOST_COMPRESSED
    problem = first_problem(
        (part(text, 12, 4) != "IHDR", "a damaged PNG"),
        (found.unread & (found.exif == ""), "a PNG that has Exif data or XMP as compressed text"),
        (unusual, "a PNG of 1, 2, 4 or 16 bits with a transparent colour"),
        (too_large, "a PNG with a large colour profile"),
    )
    profile = tf.cond((found.profile != "") & ~too_large,
                      lambda: tf.io.decode_compressed(found.profile, "ZLIB"), lambda: tf.constant(""))  # fmt: skip
    return header(
        problem, number(text, 16, 4), number(text, 20, 4), text, exif=found.exif, xmp=found.xmp, profile=profile,
        numbers=tf.where(is_grey, GREY, COLOUR),
        detail=tf.where(bits == 16, tf.where(kind == GREY_TYPE, GREY_16, COLOUR_16),
                        tf.where(has_alpha, CLEAR, OPAQUE)))  # fmt: skip


def _next_of_png(text: tf.Tensor, state: _Png) -> _Png:
    size, kind = number(text, state.position, 4), part(text, state.position + 4, 4)
    content = part(text, state.position + 8, tf.where(kind == "IDAT", constant(0), size))
    is_text = (kind == "tEXt") | (kind == "zTXt") | (kind == "iTXt")
    is_xmp = is_text & (part(content, 0, len(XMP_KEY)) == XMP_KEY)
    is_raw_exif = is_text & (part(content, 0, len(RAW_EXIF_KEY)) == RAW_EXIF_KEY)
    compressed = (kind == "zTXt") | ((kind == "iTXt") & (number(content, len(XMP_KEY), 1) != 0))
    # A name of any bytes, a zero, the method, and the compressed profile.
    unnamed = tf.strings.regex_replace(content, r"(?s)^\C*?\x00\C", "", replace_global=False)
    return _Png(
        position=state.position + 12 + size,
        ended=kind == "IEND",
        exif=tf.where(kind == "eXIf", content, state.exif),
        xmp=tf.where(is_xmp & ~compressed, content, state.xmp),
        profile=tf.where(kind == "iCCP", unnamed, state.profile),
        unread=state.unread | is_raw_exif | (is_xmp & compressed),
        transparent=state.transparent | (kind == "tRNS"),
    )


class _WebP(NamedTuple):
    position: tf.Tensor
    exif: tf.Tensor
    xmp: tf.Tensor
    profile: tf.Tensor


def read_webp(text: tf.Tensor) -> Header:
    """The header of a file that begins as a WebP does."""
    kind, nothing = part(text, 12, 4), tf.constant("")
    found = _WebP(*tf.while_loop(
        lambda *state: _WebP(*state).position + 8 <= size_of(text),
        lambda *state: _next_of_webp(text, _WebP(*state)),
        _WebP(constant(12), nothing, nothing, nothing), parallel_iterations=1))  # fmt: skip
    # RFC 9649, section 2.7; RFC 6386, section 9.1; the specification of lossless WebP, section 3.
    extended = [1 + number(text, position, 3, little=True) for position in (24, 27)]
    lossy = [number(text, position, 2, little=True) % 2**14 for position in (26, 28)]
    sides = number(text, 21, 4, little=True)
    lossless = [1 + sides % 2**14, 1 + sides // 2**14 % 2**14]
    width, height = (
        tf.where(kind == "VP8X", in_extended, tf.where(kind == "VP8L", in_lossless, in_lossy))
        for in_extended, in_lossy, in_lossless in zip(extended, lossy, lossless)
    )
    animated = (kind == "VP8X") & (number(text, 20, 1) // ANIMATED % 2 == 1)
    return header(first_problem((animated, "an animated WebP")), width, height, text,
                  exif=found.exif, xmp=found.xmp, profile=found.profile)  # fmt: skip


def _next_of_webp(text: tf.Tensor, state: _WebP) -> _WebP:
    kind, size = part(text, state.position, 4), number(text, state.position + 4, 4, little=True)
    is_metadata = (kind == "EXIF") | (kind == "XMP ") | (kind == "ICCP")
    content = part(text, state.position + 8, tf.where(is_metadata, size, 0))

    def kept(name: str, before: tf.Tensor) -> tf.Tensor:
        return tf.where((kind == name) & (before == ""), content, before)

    after = state.position + 8 + size + size % 2
    return _WebP(after, kept("EXIF", state.exif), kept("XMP ", state.xmp), kept("ICCP", state.profile))
