"""Draws one blossom: a colour and a coverage for every pixel of the square around it.

`scene.py` calls `draw` for each blossom of a picture: petals from the outermost whorl to the innermost, stamens, the centre.
"""

import numpy as np

from components.synthetic_flowers.palettes import Palette
from components.synthetic_flowers.petals import Coat, paint_petals, paint_stamens, random_petals
from components.synthetic_flowers.species import Centre, Species
from components.synthetic_flowers.square import TURN, Pose, Square

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
