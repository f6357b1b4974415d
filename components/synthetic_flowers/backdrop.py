"""What is behind and in front of the blossoms: soft colours, discs of light, leaves, blades of grass, stems.

`scene.py` calls these. They are drawn with Pillow, which is quick with polygons and blurs; edges become smooth when the scene,
drawn at twice its size, is scaled down. Nothing here depends on the species.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from components.synthetic_flowers import palettes

# Half-width along a leaf and a blade of grass, from base to tip.
PLACES = np.linspace(0, 1, 9)
LEAF = np.sin(np.pi * PLACES**0.85) ** 0.9
BLADE = (1 - PLACES**2) * (0.35 + 0.65 * np.sin(np.pi * np.minimum(1, PLACES + 0.35)))


def draw(random: np.random.Generator, side: int, light: float) -> Image.Image:
    """A backdrop of `side` x `side` pixels, RGB, lit from the direction `light` (radians, y downwards)."""
    # What is out of focus needs no fine pixels: drawn at half the size, it is blurred in a quarter of the time.
    half = side // 2
    picture = gradient(random, half, light)
    if random.random() < 0.6:
        discs_of_light(random, picture, int(random.integers(4, 14)))
    foliage(random, picture, int(random.integers(3, 14)), LEAF, (0.18, 0.45), (0.05, 0.13))
    foliage(random, picture, int(random.integers(0, 16)), BLADE, (0.4, 1.0), (0.010, 0.03))
    picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.015, 0.05) * half))
    picture = picture.resize((side, side), Image.Resampling.BILINEAR)
    foliage(random, picture, int(random.integers(0, 4)), LEAF, (0.15, 0.4), (0.05, 0.11))
    foliage(random, picture, int(random.integers(0, 6)), BLADE, (0.3, 0.9), (0.008, 0.022))
    return picture


def gradient(random: np.random.Generator, side: int, light: float) -> Image.Image:
    """A smooth field of colours, (side, side) RGB: a few colours of one family or two, brighter towards the light."""
    families = (palettes.pick(random, palettes.BACKDROP_HUES), palettes.pick(random, palettes.BACKDROP_HUES))
    cells = int(random.integers(2, 6))
    mix = random.random((cells, cells, 1)) ** 1.5
    field = families[0] * (1 - mix) + families[1] * mix
    field = field * random.uniform(0.75, 1.2, (cells, cells, 1))
    place = np.linspace(-1, 1, cells)
    towards = place[None, :] * np.cos(light) + place[:, None] * np.sin(light)
    field = field * (1 + 0.22 * towards[:, :, None])
    pixels = np.clip(field * 255, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)


def discs_of_light(random: np.random.Generator, picture: Image.Image, count: int) -> None:
    """Adds `count` out-of-focus highlights to the picture, in place."""
    side = picture.width
    pen = ImageDraw.Draw(picture, "RGBA")
    x, y = random.random((2, count)) * side
    radius = random.uniform(0.03, 0.11, count) * side
    opacity = random.uniform(20, 90, count).astype(int)
    for i in range(count):
        tint = 0.45 * palettes.pick(random, palettes.BACKDROP_HUES) + 0.4
        fill = (*eight_bits(tint), int(opacity[i]))
        pen.ellipse((x[i] - radius[i], y[i] - radius[i], x[i] + radius[i], y[i] + radius[i]), fill=fill)


def foliage(
    random: np.random.Generator, picture: Image.Image, count: int, outline: np.ndarray, lengths: tuple, widths: tuple
) -> None:
    """Draws `count` leaves or blades at random places on the picture; `lengths` and `widths` are ranges in sides."""
    if count == 0:
        return
    side = picture.width
    pen = ImageDraw.Draw(picture)
    chance = random.random((count, 7))
    start = chance[:, 0:2] * 1.3 - 0.15
    # Most plants grow upwards, some any way.
    direction = -np.pi / 2 + (chance[:, 2] - 0.5) * np.where(chance[:, 3] < 0.6, 1.6, 2 * np.pi)
    if outline is BLADE:
        start[:, 1] = start[:, 1] * 0.7 + 0.5
    length = lengths[0] + (lengths[1] - lengths[0]) * chance[:, 4]
    width = widths[0] + (widths[1] - widths[0]) * chance[:, 5]
    bend = (chance[:, 6] - 0.5) * 1.2
    lit, rib, dark = leaf_polygons(start * side, direction, length * side, width * side, bend, outline)
    tone = palettes.colour(random, *palettes.GREEN)
    tones = tone * random.uniform(0.6, 1.3, (count, 1))
    for i in range(count):
        pen.polygon(lit[i], fill=eight_bits(tones[i] * 1.15))
        pen.polygon(dark[i], fill=eight_bits(tones[i] * 0.82))
        if outline is LEAF:
            pen.line(rib[i], fill=eight_bits(tones[i] * 1.35), width=max(1, round(side * 0.006)))


def leaf_polygons(
    start: np.ndarray, direction: np.ndarray, length: np.ndarray, width: np.ndarray, bend: np.ndarray, outline: np.ndarray
) -> tuple[list, list, list]:
    """The two halves of n leaves and the rib between them, each a list of n flat lists of pixel coordinates.

    `start` has shape (n, 2), the others (n,): pixels, radians, pixels, pixels, and how far the tip bends aside over the length.
    """
    ahead = np.stack([np.cos(direction), np.sin(direction)], -1)[:, None, :]
    aside = np.stack([-ahead[..., 1], ahead[..., 0]], -1)
    place = PLACES[None, :, None]
    rib = start[:, None, :] + length[:, None, None] * (place * ahead + (bend[:, None, None] * place * place) * aside)
    half = outline[None, :, None] * width[:, None, None] * aside
    back = rib[:, ::-1]
    count = len(start)
    lit = np.concatenate([rib + half, back], 1).reshape(count, -1).tolist()
    dark = np.concatenate([rib - half, back], 1).reshape(count, -1).tolist()
    return lit, rib.reshape(count, -1).tolist(), dark


def stem(random: np.random.Generator, picture: Image.Image, x: float, y: float, radius: float) -> None:
    """Draws the stem of a blossom at (x, y) of `radius` pixels, down to the picture's lower edge and beyond."""
    side = picture.width
    foot = np.array([[x + random.uniform(-0.35, 0.35) * side, 1.25 * side]])
    way = np.array([[x, y]]) - foot
    length = np.hypot(way[:, 0], way[:, 1])
    direction = np.arctan2(way[:, 1], way[:, 0])
    width = np.array([max(0.7, radius * random.uniform(0.035, 0.07))])
    tone = palettes.colour(random, *palettes.GREEN)
    lit, _, dark = leaf_polygons(foot, direction, length, width, np.zeros(1), np.ones_like(PLACES))
    pen = ImageDraw.Draw(picture)
    pen.polygon(lit[0], fill=eight_bits(tone * 1.1))
    pen.polygon(dark[0], fill=eight_bits(tone * 0.75))


def foreground(random: np.random.Generator, side: int) -> Image.Image:
    """What stands before the blossoms: an RGBA picture, mostly clear, with a few blades or a leaf, out of focus."""
    half = side // 2
    # The colour under clear pixels spreads into blurred edges: let it be green and not black.
    picture = Image.new("RGBA", (half, half), (*eight_bits(palettes.colour(random, *palettes.GREEN)), 0))
    if random.random() < 0.6:
        foliage(random, picture, int(random.integers(1, 5)), BLADE, (0.5, 1.1), (0.012, 0.03))
    else:
        foliage(random, picture, int(random.integers(1, 3)), LEAF, (0.25, 0.5), (0.06, 0.12))
    picture = picture.filter(ImageFilter.GaussianBlur(half * random.uniform(0.003, 0.02)))
    return picture.resize((side, side), Image.Resampling.BILINEAR)


def eight_bits(colour: np.ndarray) -> tuple[int, int, int]:
    """A colour in [0, 1] as Pillow wants it; what is out of range is cut off."""
    red, green, blue = (int(min(255.0, max(0.0, 255.0 * float(value)))) for value in colour)
    return red, green, blue
