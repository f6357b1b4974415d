"""Colours of petals, centres, greenery and skies, drawn from the same distributions for every species.

All colours are RGB in [0, 1], float32, in the picture's own (gamma-encoded) space.
"""

import colorsys
from dataclasses import dataclass

import numpy as np

# (hue, spread of hue, saturation range, value range) of flowers as gardens have them; hue as a share of the colour circle.
PETAL_HUES = (
    (0.12, 0.06, (0.02, 0.12), (0.92, 1.00)),  # white, cream
    (0.14, 0.02, (0.55, 0.85), (0.93, 1.00)),  # yellow
    (0.07, 0.02, (0.55, 0.85), (0.90, 1.00)),  # apricot, orange
    (0.99, 0.02, (0.65, 0.88), (0.72, 0.92)),  # red
    (0.95, 0.03, (0.25, 0.60), (0.88, 1.00)),  # rose
    (0.88, 0.03, (0.45, 0.75), (0.70, 0.92)),  # magenta
    (0.76, 0.04, (0.30, 0.65), (0.65, 0.92)),  # violet
    (0.64, 0.03, (0.35, 0.65), (0.70, 0.95)),  # blue
)
CENTRE_HUES = (
    (0.13, 0.02, (0.70, 0.95), (0.80, 0.98)),  # yellow
    (0.08, 0.02, (0.60, 0.85), (0.55, 0.85)),  # amber
    (0.06, 0.02, (0.45, 0.70), (0.22, 0.40)),  # brown
    (0.24, 0.04, (0.40, 0.65), (0.50, 0.75)),  # green
    (0.80, 0.06, (0.25, 0.50), (0.22, 0.38)),  # dark violet
)
# Backdrops: greenery, then what shines through it.
BACKDROP_HUES = (
    (0.30, 0.06, (0.35, 0.65), (0.22, 0.50)),  # foliage
    (0.24, 0.04, (0.35, 0.60), (0.45, 0.75)),  # meadow in the sun
    (0.38, 0.05, (0.30, 0.55), (0.14, 0.32)),  # shade
    (0.56, 0.04, (0.18, 0.45), (0.65, 0.92)),  # sky
    (0.09, 0.02, (0.25, 0.45), (0.30, 0.55)),  # earth, straw
    (0.70, 0.06, (0.15, 0.35), (0.30, 0.60)),  # dusk
)
GREEN = (0.27, 0.05, (0.35, 0.70), (0.25, 0.68))


@dataclass(frozen=True)
class Palette:
    """The colours of one blossom, each of shape (3,)."""

    petal_base: np.ndarray
    petal_tip: np.ndarray
    eye: np.ndarray
    centre: np.ndarray
    stamen: np.ndarray


def pick(random: np.random.Generator, families: tuple) -> np.ndarray:
    """One colour, shape (3,), from one of the `families` (see PETAL_HUES)."""
    hue, spread, saturation, value = families[int(random.integers(len(families)))]
    return colour(random, hue, spread, saturation, value)


def colour(random: np.random.Generator, hue: float, spread: float, saturation: tuple, value: tuple) -> np.ndarray:
    """One colour, shape (3,), around `hue`."""
    a, b, c = random.random(3)
    rgb = colorsys.hsv_to_rgb(
        (hue + spread * (2 * a - 1)) % 1.0,
        saturation[0] + (saturation[1] - saturation[0]) * b,
        value[0] + (value[1] - value[0]) * c,
    )
    return np.array(rgb, np.float32)


def blossom_palette(random: np.random.Generator) -> Palette:
    """The colours of a plant: petals that shade from base to tip, an eye at their base, and a centre."""
    tip = pick(random, PETAL_HUES)
    # The base is deeper, lighter or of a neighbouring hue; multiplying and mixing keeps it a colour of the same petal.
    other = pick(random, PETAL_HUES)
    amount = random.uniform(0.0, 0.45)
    base = (tip * (1 - amount) + other * amount) * np.float32(random.uniform(0.72, 1.05))
    eye = pick(random, PETAL_HUES + CENTRE_HUES)
    centre = pick(random, CENTRE_HUES)
    stamen = pick(random, CENTRE_HUES)
    return Palette(np.clip(base, 0, 1), tip, eye, centre, stamen)
