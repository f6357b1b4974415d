"""What the segments of a JPEG file say (ITU-T T.81, annex B; Exif 2.3; ICC.1:2022, annex B.4), up to its first scan."""

from typing import NamedTuple

import tensorflow as tf

from contracts.image_files import PORTABLE_FRAMES
from trainer.serving.header import COLOUR, GREY, INK, Header, first_problem, header
from trainer.serving.octets import constant, number, part, rest, size_of

EXIF, XMP, PROFILE = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
SCAN = 0xDA


class _State(NamedTuple):
    """Where the reading is, and what was found so far; `parts` counts those of the profile, `parts_stated` is what they state."""

    position: tf.Tensor
    scan_found: tf.Tensor
    exif: tf.Tensor
    xmp: tf.Tensor
    profile: tf.Tensor
    parts: tf.Tensor
    parts_stated: tf.Tensor
    in_order: tf.Tensor
    frame: tf.Tensor
    bits: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    channels: tf.Tensor


def read(text: tf.Tensor) -> Header:
    """The header of a file that begins as a JPEG does."""
    zero, nothing, no, yes = constant(0), tf.constant(""), tf.constant(False), tf.constant(True)
    state = _State(constant(2), no, nothing, nothing, nothing, zero, zero, yes, zero, zero, zero, zero, zero)
    end = size_of(text)
    found = tf.while_loop(
        lambda *state: ~_State(*state).scan_found & (_State(*state).position + 4 <= end),
        lambda *state: _next(text, _State(*state)), state, parallel_iterations=1)  # fmt: skip
    found = _State(*found)
    portable = tf.reduce_any(found.frame == tf.constant(PORTABLE_FRAMES, tf.int64))
    known = tf.reduce_any(found.channels == tf.constant([1, 3, 4], tf.int64))
    problem = first_problem(
        (~found.scan_found | (found.frame == 0), "a damaged JPEG"),
        (~portable, "a JPEG that is arithmetic-coded, lossless or hierarchical"),
        ((found.bits != 8) | ~known, "a JPEG of other numbers than 8 bits in 1, 3 or 4 channels"),
        (~found.in_order, "a JPEG whose colour profile is in disorder"),
    )
    whole = found.parts == found.parts_stated  # of a profile that is not whole ingest takes no notice
    return header(
        problem, found.width, found.height, text, exif=found.exif, xmp=found.xmp, profile=tf.where(whole, found.profile, ""),
        numbers=tf.where(found.channels == 1, GREY, tf.where(found.channels == 4, INK, COLOUR)))  # fmt: skip


def _next(text: tf.Tensor, state: _State) -> _State:
    first, kind = number(text, state.position, 1), number(text, state.position + 1, 1)
    is_marker = first == 0xFF
    # Fill bytes, and bytes between segments, are passed over one by one; some markers have no segment.
    padding = ~is_marker | (kind == 0xFF)
    alone = (kind == 0) | (kind == 0xC8) | ((kind >= 0xD0) & (kind <= 0xD9)) | ((kind >= 0xF0) & (kind <= 0xFD))
    damaged = is_marker & (kind > 0) & (kind < 0xC0)
    size = number(text, state.position + 2, 2)
    is_segment = ~padding & ~alone & ~damaged
    content = part(text, state.position + 4, tf.where(is_segment, size - 2, 0))

    def begins(marker: int, name: bytes) -> tf.Tensor:
        return is_segment & (kind == marker) & (part(content, 0, len(name)) == name)

    has_exif, has_xmp = begins(0xE1, EXIF), begins(0xE1, XMP)
    has_profile = begins(0xE2, PROFILE) & (state.frame == 0)
    is_frame = is_segment & (kind >= 0xC0) & (kind <= 0xCF) & (kind != 0xC4) & (kind != 0xCC)
    more_exif = tf.strings.join([state.exif, rest(content, tf.where(state.exif == "", constant(0), len(EXIF)))])
    step = tf.where(padding, constant(1), tf.where(alone, constant(2), tf.where(damaged, size_of(text), 2 + size)))

    def in_frame(position: int, size: int, before: tf.Tensor) -> tf.Tensor:
        return tf.where(is_frame, number(content, position, size), before)

    return _State(
        position=state.position + step,
        scan_found=is_segment & (kind == SCAN),
        exif=tf.where(has_exif, more_exif, state.exif),
        xmp=tf.where(has_xmp, content, state.xmp),
        profile=tf.where(has_profile, tf.strings.join([state.profile, rest(content, 14)]), state.profile),
        parts=state.parts + tf.cast(has_profile, tf.int64),
        parts_stated=tf.where(has_profile & (state.parts == 0), number(content, 13, 1), state.parts_stated),
        in_order=state.in_order & (~has_profile | (number(content, 12, 1) == state.parts + 1)),
        frame=tf.where(is_frame, kind, state.frame),
        bits=in_frame(0, 1, state.bits), height=in_frame(1, 2, state.height), width=in_frame(3, 2, state.width),
        channels=in_frame(5, 1, state.channels),
    )  # fmt: skip
