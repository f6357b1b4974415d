"""The five species, as data: how many petals, of which shape, in which arrangement, around which centre; and the colours of all.

A species is its form and nothing else: colours of petals, centres, greenery and skies come from the same distributions for every
one. Lengths are fractions of the blossom's radius, angles are radians, colours RGB in [0, 1], float32, in the picture's own
(gamma-encoded) space.
"""

import colorsys
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Outline:
    """A petal's outline: its half-width is proportional to u**base * (1 - u)**tip, where u goes from 0 (base) to 1 (tip)."""

    base: float
    # Below 0.5 the tip is blunt, from 1 it is pointed.
    tip: float
    # Depth of the notch in the tip, as a fraction of the petal's length; 0 has none.
    notch: float = 0.0
    # Half-width of the bead at the end of a filament, as a multiple of its stalk; 0 has none.
    bead: float = 0.0
    # How far the edge waves in and out, as a fraction of the petal's length.
    wave: float = 0.0


@dataclass(frozen=True)
class Whorl:
    """One ring of petals (or of stamens, which are drawn as very narrow petals)."""

    # Fewest and most petals.
    count: tuple[int, int]
    length: float
    # Greatest half-width of a petal over half the distance to its neighbour at the petal's length: over 1, neighbours overlap.
    fullness: float
    outline: Outline
    # Where the first petal stands, as a fraction of the distance between two petals, seen from the whorl below.
    offset: float = 0.5
    # Petals are drawn in this many layers, each over the one before, so that neighbours overlap.
    layers: int = 1


@dataclass(frozen=True)
class Centre:
    """What is in the middle: a dome of about `radius` with a pattern."""

    # `florets` (spirals of dots), `pod` (rays), `tube` (a dark throat with a rim) or `none`.
    pattern: str
    radius: float = 0.0


@dataclass(frozen=True)
class Species:
    """One species: its whorls from the outermost to the innermost, its stamens and its centre."""

    name: str
    whorls: tuple[Whorl, ...]
    centre: Centre
    stamens: Whorl | None = None
    # Radius within which petals take the centre's colour, so that this colour is as common in each species.
    heart: float = 0.0
    # Multiplies the blossom's radius, so that all species cover about as much of the picture.
    size: float = 1.0


STRAP = Outline(base=0.45, tip=0.26)
LANCE = Outline(base=0.62, tip=0.95)
HEART = Outline(base=1.1, tip=0.40, notch=0.26)
FAN = Outline(base=0.9, tip=0.30, wave=0.035)
SCALE = Outline(base=0.55, tip=0.55)
FILAMENT = Outline(base=0.0, tip=0.0, bead=2.6)

DAHLIA = Species(
    name="dahlia",
    whorls=(
        Whorl((13, 15), 1.00, 1.10, SCALE),
        Whorl((13, 15), 0.80, 1.10, SCALE),
        Whorl((11, 13), 0.61, 1.12, SCALE),
        Whorl((8, 10), 0.43, 1.15, SCALE),
        Whorl((6, 7), 0.27, 1.20, SCALE),
        Whorl((4, 5), 0.14, 1.20, SCALE),
    ),
    centre=Centre("none"),
    heart=0.26,
    size=0.89,
)
DAISY = Species(
    name="daisy",
    whorls=(Whorl((13, 17), 1.00, 0.80, STRAP, layers=2),),
    centre=Centre("florets", 0.29),
    size=0.88,
)
LILY = Species(
    name="lily",
    whorls=(
        Whorl((3, 3), 1.00, 0.23, LANCE),
        Whorl((3, 3), 0.97, 0.26, LANCE),
    ),
    stamens=Whorl((6, 6), 0.46, 0.045, FILAMENT),
    centre=Centre("tube", 0.08),
    heart=0.21,
    size=1.13,
)
POPPY = Species(
    name="poppy",
    whorls=(
        Whorl((2, 2), 1.00, 0.55, FAN),
        Whorl((2, 2), 0.93, 0.52, FAN),
    ),
    stamens=Whorl((20, 26), 0.36, 0.16, FILAMENT),
    centre=Centre("pod", 0.16),
    heart=0.33,
    size=0.80,
)
PRIMROSE = Species(
    name="primrose",
    whorls=(Whorl((5, 5), 1.00, 0.80, HEART, layers=2),),
    centre=Centre("tube", 0.13),
    heart=0.26,
    size=0.905,
)

# In alphabetical order: a species' place is its label.
SPECIES = (DAHLIA, DAISY, LILY, POPPY, PRIMROSE)
NAMES = tuple(species.name for species in SPECIES)


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
