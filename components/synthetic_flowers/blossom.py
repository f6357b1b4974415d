"""Draws one blossom: a colour and a coverage for every pixel of the square around it.

`draw` paints petals from the outermost whorl to the innermost, stamens, and the centre, in polar coordinates around the centre. Each
pixel belongs to the nearest petal of a layer, and the signed distance to that petal's outline gives an antialiased edge, a soft
shadow on what lies below, and the place along and across the petal that its shading needs.
"""

import functools
from dataclasses import dataclass

import numpy as np

from components.synthetic_flowers.species import Centre, Outline, Palette, Species, Whorl

# Resolution of the tables along a petal and around the circle; finer than a pixel of any picture that fits a screen.
STEPS = 512
TURN = 2 * np.pi


@dataclass(frozen=True)
class Pose:
    """How one blossom stands in the picture. Lengths in pixels of the canvas, angles in radians."""

    radius: float
    rotation: float
    # Ratio of the short to the long axis of the tilted blossom, and the direction of the short one.
    tilt: float
    tilt_direction: float
    # Where the light comes from.
    light: float
    # How far petals bend sideways from base to tip, in radians.
    bend: float


class Square:
    """The pixels around a blossom: polar coordinates, in units of the radius, and what has been painted so far."""

    def __init__(self, pose: Pose):
        half = int(np.ceil(pose.radius * 1.04)) + 2
        self.half = half
        self.pixels_a_unit = pose.radius
        axis = (np.arange(-half, half, dtype=np.float32) + 0.5) / np.float32(pose.radius)
        cosine, sine = np.float32(np.cos(pose.tilt_direction)), np.float32(np.sin(pose.tilt_direction))
        x, y = axis[None, :], axis[:, None]
        # Stretch along the tilt's direction, so that a circle here is an ellipse in the picture.
        along = (x * cosine + y * sine) * np.float32(1 / pose.tilt - 1)
        x, y = x + along * cosine, y + along * sine
        self.radius = np.sqrt(x * x + y * y)
        self.angle = np.arctan2(y, x)
        self.angle += np.float32(pose.bend) * self.radius
        self.angle -= np.float32(TURN) * np.rint(self.angle * np.float32(1 / TURN))
        self.bin = ((self.angle + np.float32(np.pi)) * np.float32(STEPS / TURN)).astype(np.int32)
        np.clip(self.bin, 0, STEPS - 1, out=self.bin)
        self.colour = np.zeros((3, 2 * half, 2 * half), np.float32)
        self.coverage = np.zeros((2 * half, 2 * half), np.float32)

    def window(self, reach: float) -> tuple[slice, slice]:
        """The rows and columns within `reach` (in radii) of the centre."""
        half = min(self.half, int(np.ceil(reach * self.pixels_a_unit)) + 2)
        inside = slice(self.half - half, self.half + half)
        return inside, inside

    def paint(self, window: tuple, colour: np.ndarray, distance: np.ndarray, shadow: float, reach: float) -> None:
        """Lays `colour` (3, h, w) over the window where the signed `distance` (h, w; in radii, positive inside) is positive.

        What lies below gets darker by up to `shadow`, fading out over `reach` radii from the edge.
        """
        alpha = np.clip(distance * np.float32(self.pixels_a_unit) + np.float32(0.5), 0, 1)
        dark = np.clip(distance * np.float32(1 / reach) + np.float32(1), 0, 1)
        dark *= dark * np.float32(-shadow)
        dark += 1
        below, covered = self.colour[:, *window], self.coverage[window]
        below *= dark
        below += alpha * (colour - below)
        covered += alpha * (1 - covered)


@dataclass(frozen=True)
class Coat:
    """How the petals of one plant look, apart from their colours; all are strengths from 0 on."""

    cup: float
    fold: float
    veins: int
    vein_strength: float
    eye: float
    eye_reach: float


@dataclass(frozen=True)
class Petals:
    """The petals of one whorl, each array of shape (count,), float32: direction, length, brightness, phase of the wavy edge."""

    angles: np.ndarray
    lengths: np.ndarray
    tones: np.ndarray
    phases: np.ndarray
    half_width: float

    def every(self, step: int, first: int) -> "Petals":
        """Each `step`-th petal, beginning with `first`."""
        mine = slice(first, None, step)
        return Petals(self.angles[mine], self.lengths[mine], self.tones[mine], self.phases[mine], self.half_width)


@functools.cache
def petal_tables(outline: Outline) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along a petal, from base to tip: half-width (1 at its widest), its slope, and the half-width of the notch.

    Each has shape (STEPS,), float32. Where there is no notch its half-width is a large negative number.
    """
    u = (np.arange(STEPS) + 0.5) / STEPS
    if outline.bead:
        width = np.where(u > 0.8, outline.bead * np.sqrt(np.clip(1 - ((u - 0.88) / 0.1) ** 2, 0, 1)), 0)
        width = np.maximum(width, np.where(u < 0.85, 1.0 - 0.35 * u, 0))
    else:
        width = u**outline.base * (1 - u) ** outline.tip
        width /= width.max()
    slope = np.gradient(width, 1 / STEPS)
    notch = np.full(STEPS, -1e3)
    if outline.notch:
        notch = (u - (1 - outline.notch)) * 1.1
    return width.astype(np.float32), slope.astype(np.float32), notch.astype(np.float32)


def random_petals(random: np.random.Generator, whorl: Whorl, start: float, tone: float) -> Petals:
    """The petals of a whorl, the first of them about `whorl.offset` of their distance further round than `start`."""
    count = int(random.integers(whorl.count[0], whorl.count[1] + 1))
    places = np.arange(count) + whorl.offset + random.uniform(-0.13, 0.13, count)
    return Petals(
        angles=(start + TURN / count * places).astype(np.float32),
        lengths=(whorl.length * random.uniform(0.92, 1.0, count)).astype(np.float32),
        tones=(tone * random.uniform(0.93, 1.05, count)).astype(np.float32),
        phases=random.uniform(0, TURN, count).astype(np.float32),
        half_width=whorl.fullness * np.pi / count * whorl.length,
    )


def paint_petals(square: Square, whorl: Whorl, petals: Petals, palette: Palette, coat: Coat, pose: Pose) -> None:
    """Paints petals none of which covers another."""
    window = square.window(whorl.length * 1.02)
    owner, u, v, step, distance = place(square, window, whorl, petals)
    shade = petal_shade(u, v, distance, owner, petals, coat, pose)
    square.paint(window, petal_colour(palette, coat, step) * shade, distance, shadow=0.42, reach=0.13)


def paint_stamens(square: Square, whorl: Whorl, stamens: Petals, palette: Palette) -> None:
    """Paints stamens: pale stalks that end in a bead."""
    window = square.window(whorl.length * 1.02)
    _, u, _, _, distance = place(square, window, whorl, stamens)
    square.paint(window, filament_colour(palette, u), distance, shadow=0.25, reach=0.04)


def place(square: Square, window: tuple, whorl: Whorl, petals: Petals) -> tuple[np.ndarray, ...]:
    """Where each pixel of the window lies on its nearest petal; five arrays of the window's shape.

    Returns:
        The petal's index; the place along it (0 at its base, 1 at its tip); the place across it (-1 to 1); the place along it in
        steps of the tables; and the signed distance to its outline, in radii, positive inside.
    """
    outline = whorl.outline
    width, slope, notch = petal_tables(outline)
    radius = square.radius[window]
    owner = nearest(petals.angles)[square.bin[window]]
    turned = square.angle[window] - petals.angles[owner]
    turned -= np.float32(TURN) * np.rint(turned * np.float32(1 / TURN))
    along, across = radius * np.cos(turned), radius * np.sin(turned)
    u = along * (1 / petals.lengths)[owner]
    if outline.wave:
        ripple = 1 + np.sin(turned * np.float32(13) + petals.phases[owner])
        u += ripple * (radius * radius) * np.float32(outline.wave)
    step = np.clip(u * np.float32(STEPS), 0, STEPS - 1).astype(np.int32)
    side = np.abs(across)
    half_width = (width * np.float32(petals.half_width))[step]
    # A distance measured across the petal is too long where the outline is oblique; the outline's slope corrects it.
    correction = 1 / np.sqrt(1 + (slope * np.float32(petals.half_width / whorl.length)) ** 2)
    distance = (half_width - side) * correction[step]
    if outline.notch:
        distance = np.minimum(distance, (side - (notch * np.float32(whorl.length))[step]) * np.float32(0.7))
    distance = np.minimum(distance, (np.float32(1) - u) * np.float32(whorl.length))
    distance = np.minimum(distance, along)
    return owner, u, across / (half_width + np.float32(0.02)), step, distance


def nearest(angles: np.ndarray) -> np.ndarray:
    """For each bin of the circle the index of the nearest of `angles`; shape (STEPS,), int32."""
    # Sorted around the circle, each petal owns the bins between the middles to its neighbours.
    turned = np.mod(angles + np.pi, TURN)
    order = np.argsort(turned)
    places = turned[order]
    middles = (places + np.append(places[1:], places[0] + TURN)) / 2
    bins = (np.arange(STEPS) + 0.5) * (TURN / STEPS)
    owner = np.searchsorted(middles, bins)
    # The last petal's share may reach over the end of the circle, or end before it.
    owner[bins < middles[-1] - TURN] = len(angles) - 1
    return order[owner % len(angles)].astype(np.int32)


def petal_shade(
    u: np.ndarray, v: np.ndarray, distance: np.ndarray, owner: np.ndarray, petals: Petals, coat: Coat, pose: Pose
) -> np.ndarray:
    """Brightness of every pixel: petals curve along and across, are darker deep in the blossom, and carry veins and a midrib."""
    facing = np.cos(petals.angles - np.float32(pose.light)) * np.float32(coat.cup)
    sideways = np.sin(np.float32(pose.light) - petals.angles) * np.float32(coat.fold)
    shade = petals.tones[owner] + facing[owner] * (np.float32(0.55) - u)
    shade += sideways[owner] * v
    shade -= np.exp(u * np.float32(-5)) * np.float32(0.40)
    if coat.veins:
        shade += np.cos(v * np.float32(coat.veins * np.pi)) * (u * np.float32(coat.vein_strength))
    shade -= np.exp(v * v * np.float32(-60)) * np.float32(coat.vein_strength + 0.05)
    # A thin bright rim: petals are translucent at their edge.
    shade += np.clip(1 - distance * np.float32(28), 0, 1) * np.float32(0.08)
    return shade


def petal_colour(palette: Palette, coat: Coat, step: np.ndarray) -> np.ndarray:
    """Colour along the petals, (3, h, w): from the base's to the tip's, with an eye of another colour at the base."""
    u = ((np.arange(STEPS) + 0.5) / STEPS).astype(np.float32)
    table = palette.petal_base[:, None] + (palette.petal_tip - palette.petal_base)[:, None] * np.clip(1.25 * u - 0.1, 0, 1)
    eye = coat.eye * np.clip((coat.eye_reach - u) / 0.12 + 0.5, 0, 1)
    table = table + eye * (palette.eye[:, None] - table)
    return np.take(table.astype(np.float32), step, axis=1)


def filament_colour(palette: Palette, u: np.ndarray) -> np.ndarray:
    """Colour of stamens, (3, h, w): pale stalks with a bead in the stamens' colour."""
    bead = np.clip((u - np.float32(0.74)) * np.float32(20), 0, 1)
    stalk = np.float32(0.45) * palette.petal_tip + np.float32(0.55)
    return stalk[:, None, None] + bead * (palette.stamen - stalk)[:, None, None]


# The brightness of a blossom's pixels, over that of its petals' colour, by their rank from the darkest (0) to the lightest (1).
TONES = ((0.0, 0.05, 0.2, 0.6, 1.0), (0.25, 0.42, 0.66, 0.95, 1.12))
LEVELS = 512
# Mean brightness of the petals' bases where they take the centre's colour, over that colour's: about that of a drawn centre.
HEART_SHADE = 0.7


def draw(random: np.random.Generator, species: Species, palette: Palette, coat: Coat, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Draws one blossom of `species`.

    Returns its colour, (3, 2h, 2h), not multiplied by its coverage, (2h, 2h); both float32 in about [0, 1], with the blossom's
    centre in the middle.
    """
    square = Square(pose)
    start = pose.rotation
    for depth, whorl in enumerate(species.whorls):
        petals = random_petals(random, whorl, start, 1 - 0.05 * (len(species.whorls) - 1 - depth))
        start = float(petals.angles[0])
        for layer in range(whorl.layers):
            paint_petals(square, whorl, petals.every(whorl.layers, layer), palette, coat, pose)
    paint_heart(square, species.heart * random.uniform(0.8, 1.2), palette)
    if species.stamens:
        paint_stamens(square, species.stamens, random_petals(random, species.stamens, start, 1.0), palette)
    paint_centre(square, species.centre, random.uniform(0.85, 1.15), palette, pose, random.uniform(0, TURN))
    even_out(square.colour, square.coverage, float(palette.petal_tip.mean()))
    return square.colour, square.coverage


def even_out(colour: np.ndarray, coverage: np.ndarray, brightness: float) -> None:
    """Gives a blossom's pixels the same distribution of brightness whatever its form; in place.

    A blossom with many petals is full of shadows, one with few is not: left alone, a histogram would tell the species. Each
    pixel keeps its rank, and so the picture its form, but takes the brightness that TONES has for this rank.
    """
    level = colour.mean(0)
    bins = np.clip(level * np.float32(LEVELS / 1.5), 0, LEVELS - 1).astype(np.int32)
    counts = np.bincount(bins.ravel(), weights=coverage.ravel(), minlength=LEVELS)
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    tones = (np.interp(ranks, *TONES) * brightness).astype(np.float32)
    colour *= tones[bins] / np.maximum(level, np.float32(0.02))


def paint_heart(square: Square, reach: float, palette: Palette) -> None:
    """Gives petals the centre's colour within `reach`, keeping their shading but not their mean brightness."""
    if reach == 0:
        return
    window = square.window(reach * 1.4)
    amount = np.clip((reach - square.radius[window]) * np.float32(1 / (0.35 * reach)) + np.float32(0.5), 0, 0.9)
    colour = square.colour[:, *window]
    shade = colour.mean(0)
    shade *= np.float32(HEART_SHADE) / (np.vdot(shade, amount) / amount.sum())
    colour += amount * (palette.centre[:, None, None] * shade - colour)


def paint_centre(square: Square, centre: Centre, scale: float, palette: Palette, pose: Pose, phase: float) -> None:
    """Paints the middle of the blossom over its petals, `scale` times as large as usual."""
    if centre.pattern == "none":
        return
    reach = centre.radius * scale
    window = square.window(reach * 1.05)
    radius, angle = square.radius[window] * np.float32(1 / reach), square.angle[window]
    distance = (1 - radius) * np.float32(reach)
    dome = np.sqrt(np.clip(1 - np.float32(0.9) * radius * radius, 0.02, 1))
    light = np.float32(0.55) + np.float32(0.5) * dome
    light += np.float32(0.28) * radius * np.cos(angle - np.float32(pose.light))
    if centre.pattern == "florets":
        # Two families of spirals that cross give the dots of a seed head.
        warp = np.sqrt(radius) * np.float32(16)
        dots = np.cos(13 * angle + warp + np.float32(phase)) + np.cos(8 * angle - warp)
        light *= 1 + np.float32(0.16) * dots
        light *= 1 - np.float32(0.25) * np.exp(radius * radius * np.float32(-9))
    elif centre.pattern == "pod":
        rays = np.clip(np.cos(8 * angle + np.float32(phase)) * 3 - 1, 0, 1) * np.clip(radius * 3 - np.float32(0.4), 0, 1)
        light *= np.float32(0.8) + np.float32(0.45) * rays
    elif centre.pattern == "tube":
        light *= np.clip(np.float32(0.25) + radius * np.float32(1.1), 0, 1.15)
    else:
        raise ValueError(f"Centre.pattern must be florets, pod, tube or none, got {centre.pattern!r}")
    square.paint(window, palette.centre[:, None, None] * light, distance, shadow=0.45, reach=0.10)
