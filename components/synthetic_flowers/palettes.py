"""Colours of petals, centres, greenery and skies, drawn from the same distributions for every species.

All colours are RGB in [0, 1], float32, in the picture's own (gamma-encoded) space.
"""

import colorsys
from dataclasses import dataclass

import numpy as np

# (hue, spread of hue, saturation range, value range) of flowers as gardens have them; hue as a share of the colour circle.
PETAL_HUES = (
    (0.12, 0.06, (0.02, 0.08), (0.95, 1.00)),  # white, cream
    (0.14, 0.02, (0.18, 0.40), (0.95, 1.00)),  # lemon
    (0.08, 0.02, (0.16, 0.34), (0.96, 1.00)),  # apricot
    (0.01, 0.02, (0.18, 0.34), (0.96, 1.00)),  # coral
    (0.95, 0.03, (0.10, 0.24), (0.96, 1.00)),  # blush
    (0.88, 0.03, (0.12, 0.28), (0.95, 1.00)),  # mallow
    (0.76, 0.04, (0.10, 0.22), (0.95, 1.00)),  # lilac
    (0.62, 0.03, (0.10, 0.22), (0.95, 1.00)),  # sky blue
)
CENTRE_HUES = (
    (0.13, 0.02, (0.45, 0.68), (0.72, 0.90)),  # yellow
    (0.09, 0.02, (0.42, 0.64), (0.60, 0.80)),  # amber
    (0.06, 0.02, (0.30, 0.52), (0.45, 0.60)),  # brown
    (0.22, 0.04, (0.30, 0.52), (0.52, 0.70)),  # olive
    (0.12, 0.04, (0.10, 0.30), (0.70, 0.88)),  # cream
    (0.92, 0.04, (0.22, 0.45), (0.52, 0.72)),  # wine
    (0.74, 0.05, (0.18, 0.38), (0.45, 0.65)),  # slate
)
# Backdrops: darker than the petals, as when one exposes for a blossom in the sun.
BACKDROP_HUES = (
    (0.30, 0.06, (0.40, 0.70), (0.18, 0.40)),  # foliage
    (0.24, 0.04, (0.40, 0.65), (0.28, 0.48)),  # meadow
    (0.40, 0.05, (0.35, 0.60), (0.12, 0.28)),  # shade
    (0.57, 0.04, (0.25, 0.50), (0.25, 0.48)),  # sky before rain
    (0.09, 0.02, (0.30, 0.50), (0.22, 0.42)),  # earth, straw
    (0.70, 0.06, (0.18, 0.38), (0.20, 0.42)),  # dusk
)
GREEN = (0.27, 0.05, (0.40, 0.70), (0.18, 0.46))


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
    amount = random.uniform(0.0, 0.4)
    base = (tip * (1 - amount) + other * amount) * np.float32(random.uniform(0.82, 0.98))
    eye = pick(random, PETAL_HUES + CENTRE_HUES)
    centre = pick(random, CENTRE_HUES)
    stamen = pick(random, CENTRE_HUES)
    return Palette(np.clip(base, 0, 1), tip, eye, centre, stamen)
