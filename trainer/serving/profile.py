"""Colour profiles of primaries and curves (ICC.1:2022), as cameras, phones and screens have them, turned into sRGB.

Ingest converts with Little CMS; where the profile has tables instead, or is for ink, this refuses. Both round, so that a colour may
differ by a step of 255.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from contracts.image_files import COLOUR_GRID, MOST_PROFILE_BYTES, SAME_COLOUR
from trainer.serving.header import GREY, INK, first_problem
from trainer.serving.octets import NUMBER, TEXT, constant, number, numbers, once, part, size_of, table

# Linear sRGB to XYZ under D50, the profile connection space: IEC 61966-2-1's primaries, adapted by Bradford's matrix as ICC.1:2022,
# annex E, asks for. Columns are red, green, blue.
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])

# The tags that a profile by primaries and curves has, and those whose tables would count instead (section 8.10.2).
PRIMARIES, CURVES, GREY_CURVE, TABLES = (b"rXYZ", b"gXYZ", b"bXYZ"), (b"rTRC", b"gTRC", b"bTRC"), b"kTRC", (b"A2B0", b"D2B0")
LEVELS = 256


class Profile(NamedTuple):
    """What becomes of a file's profile: `problem`, scalar string, "" if nothing speaks against it; `converts`, scalar bool.

    linear: `[LEVELS, 3]` float32, the light of each number of each channel. matrix: `[3, 3]` float32, from there to linear sRGB.
    """

    problem: tf.Tensor
    converts: tf.Tensor
    linear: tf.Tensor
    matrix: tf.Tensor


def read(profile: tf.Tensor, channels: tf.Tensor) -> Profile:
    """What an embedded profile means for a picture whose numbers are GREY, COLOUR or INK; both as in header.Header."""
    size = size_of(profile)
    is_profile = (size > 0) & (size <= MOST_PROFILE_BYTES) & (part(profile, 36, 4) == b"acsp")
    return tf.cond(is_profile, lambda: _of_profile(profile, channels), lambda: _nothing(tf.constant("")))


def to_srgb(pixels: tf.Tensor, profile: Profile) -> tf.Tensor:
    """Pixels `[height, width, 3]` uint8 by a profile that converts, as sRGB."""
    channels = tf.unstack(tf.cast(pixels, tf.int32), axis=-1)
    light = tf.stack([tf.gather(curve, one) for curve, one in zip(tf.unstack(profile.linear, axis=1), channels)], axis=-1)
    light = tf.clip_by_value(tf.einsum("hwc,dc->hwd", light, profile.matrix), 0, 1)
    # IEC 61966-2-1, section 5.2.
    shown = tf.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return tf.cast(tf.round(255 * shown), tf.uint8)


def _nothing(problem: tf.Tensor) -> Profile:
    return Profile(problem, tf.constant(False), tf.zeros([LEVELS, 3]), tf.eye(3))


def _of_profile(profile: tf.Tensor, channels: tf.Tensor) -> Profile:
    space = part(profile, 16, 4)
    place = _places(profile)

    def has(*tags: bytes) -> tf.Tensor:
        return tf.reduce_all([place[tag] > 0 for tag in tags])

    for_colour = (space == "RGB ") & (channels != INK)  # it also holds for a grey picture
    for_grey = (space == "GRAY") & (channels == GREY)
    for_ink = (space == "CMYK") & (channels == INK)
    simple = (part(profile, 20, 4) == "XYZ ") & ~tf.reduce_any([has(tag) for tag in TABLES])
    readable = simple & tf.where(for_colour, has(*PRIMARIES, *CURVES), has(GREY_CURVE))
    problem = first_problem(
        (for_ink, "a picture for print (CMYK) with a colour profile"),
        ((for_colour | for_grey) & ~readable, "a picture whose colour profile has tables"),
    )

    def by_primaries() -> Profile:
        linear = tf.stack([_curve(profile, place[tag]) for tag in CURVES], axis=1)
        columns = tf.stack([_fixed_points(profile, place[tag] + 8, 3) for tag in PRIMARIES], axis=1)
        found = Profile(problem, tf.constant(True), linear, tf.constant(np.linalg.inv(SRGB), tf.float32) @ columns)
        # Only a profile for colours may mean sRGB; see components.example_gen.colour.
        return found._replace(converts=tf.reduce_max(tf.abs(_moved(found))) > SAME_COLOUR)

    def by_grey() -> Profile:
        linear = tf.tile(_curve(profile, place[GREY_CURVE])[:, None], [1, 3])
        return Profile(problem, tf.constant(True), linear, tf.eye(3))

    return tf.cond((for_colour | for_grey) & readable,
                   lambda: tf.cond(for_colour, by_primaries, by_grey), lambda: _nothing(problem))  # fmt: skip


def _places(profile: tf.Tensor) -> dict[bytes, tf.Tensor]:
    """Where the value of each tag of interest is; 0 if there is no such tag."""
    tags = table(profile, constant(132), number(profile, 128, 4), 12)
    wanted = (*PRIMARIES, *CURVES, GREY_CURVE, *TABLES)
    is_it = numbers(tags[:, 0:4])[None, :] == tf.constant([int.from_bytes(tag, "big") for tag in wanted], tf.int64)[:, None]
    places = tf.reduce_max(tf.where(is_it, numbers(tags[:, 4:8])[None, :], 0), axis=1)
    return dict(zip(wanted, tf.unstack(tf.maximum(places, 0))))


def _moved(profile: Profile) -> tf.Tensor:
    steps = np.linspace(0, 255, COLOUR_GRID).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(COLOUR_GRID, COLOUR_GRID**2, 3)
    return tf.cast(to_srgb(tf.constant(colours), profile), tf.int32) - colours.astype(np.int32)


def _fixed_points(profile: tf.Tensor, position: tf.Tensor, count: int) -> tf.Tensor:
    """Numbers of the type s15Fixed16Number (section 4.6): `[count]` float32; 0 where there are none."""
    raw = numbers(table(profile, position, constant(count), 4))
    raw = tf.ensure_shape(tf.pad(raw, [[0, count - tf.shape(raw)[0]]]), [count])
    return tf.cast(tf.where(raw >= 2**31, raw - 2**32, raw), tf.float32) / 65536


@once(input_signature=[TEXT, NUMBER])
def _curve(profile: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    """The light of each of LEVELS numbers by a curve of the type curveType or parametricCurveType (sections 10.6 and 10.18)."""
    numbers_ = tf.linspace(0.0, 1.0, LEVELS)
    is_formula = part(profile, position, 4) == "para"
    return tf.cond(is_formula, lambda: _by_formula(profile, position, numbers_), lambda: _by_points(profile, position, numbers_))


def _by_formula(profile: tf.Tensor, position: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    g, a, b, c, d, e, f = tf.unstack(_fixed_points(profile, position + 12, 7))
    nothing, one = tf.constant(0.0), tf.constant(1.0)
    zero_at = -b / a
    # Table 68, all as (a x + b)^g + e from d on, and c x + f below.
    forms = tf.stack([
        (g, one, nothing, nothing, nothing, nothing, nothing),
        (g, a, b, nothing, zero_at, nothing, nothing),
        (g, a, b, nothing, zero_at, c, c),
        (g, a, b, c, d, nothing, nothing),
        (g, a, b, c, d, e, f),
    ])  # fmt: skip
    g, a, b, c, d, e, f = tf.unstack(forms[tf.minimum(number(profile, position + 8, 2), 4)])
    return tf.where(x >= d, tf.maximum(a * x + b, 0) ** g + e, c * x + f)


def _by_points(profile: tf.Tensor, position: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    count = number(profile, position + 8, 4)
    points = tf.cast(numbers(table(profile, position + 12, count, 2)), tf.float32)
    points = tf.cond(tf.size(points) < 2, lambda: tf.constant([0.0, 65535.0]), lambda: points)
    along = x * tf.cast(tf.size(points) - 1, tf.float32)
    below = tf.minimum(tf.cast(along, tf.int32), tf.size(points) - 2)
    share = along - tf.cast(below, tf.float32)
    between = (tf.gather(points, below) * (1 - share) + tf.gather(points, below + 1) * share) / 65535
    gamma = tf.cast(number(profile, position + 12, 2), tf.float32) / 256
    return tf.where(count == 1, x**gamma, between)
