"""The five species, as data: how many petals, of which shape, in which arrangement, around which centre.

`blossom.py` draws what stands here. Nothing here has a colour: a species is its form and nothing else. Lengths are fractions of
the blossom's radius, angles are radians.
"""

from dataclasses import dataclass


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
