"""Composes one picture: a backdrop, blossoms of one species with stems and shadows, things before them, light, lens and film.

A picture is wholly determined by (seed, index, side): the same on any machine, in any process and in any order, as far as NumPy's
and Pillow's arithmetic allows. Only the form of the blossoms depends on the species; everything else has the same distribution for
all of them. Backdrops are drawn with Pillow, which is quick with polygons and blurs; edges become smooth when the scene, drawn at
twice its size, is scaled down.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from components.synthetic_flowers import blossom
from components.synthetic_flowers.blossom import Coat, Pose
from components.synthetic_flowers.species import BACKDROP_HUES, GREEN, SPECIES, Species, blossom_palette, colour, pick

# Half-width along a leaf and a blade of grass, from base to tip.
PLACES = np.linspace(0, 1, 9)
LEAF = np.sin(np.pi * PLACES**0.85) ** 0.9
BLADE = (1 - PLACES**2) * (0.35 + 0.65 * np.sin(np.pi * np.minimum(1, PLACES + 0.35)))


def backdrop(random: np.random.Generator, side: int, light: float) -> Image.Image:
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
    families = (pick(random, BACKDROP_HUES), pick(random, BACKDROP_HUES))
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
        tint = 0.45 * pick(random, BACKDROP_HUES) + 0.4
        fill = (*eight_bits(tint), int(opacity[i]))
        pen.ellipse((x[i] - radius[i], y[i] - radius[i], x[i] + radius[i], y[i] + radius[i]), fill=fill)


def foliage(random: np.random.Generator, picture: Image.Image, count: int, outline: np.ndarray, lengths: tuple, widths: tuple) -> None:
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
    tone = colour(random, *GREEN)
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
    tone = colour(random, *GREEN)
    lit, _, dark = leaf_polygons(foot, direction, length, width, np.zeros(1), np.ones_like(PLACES))
    pen = ImageDraw.Draw(picture)
    pen.polygon(lit[0], fill=eight_bits(tone * 1.1))
    pen.polygon(dark[0], fill=eight_bits(tone * 0.75))


def foreground(random: np.random.Generator, side: int) -> Image.Image:
    """What stands before the blossoms: an RGBA picture, mostly clear, with a few blades or a leaf, out of focus."""
    half = side // 2
    # The colour under clear pixels spreads into blurred edges: let it be green and not black.
    picture = Image.new("RGBA", (half, half), (*eight_bits(colour(random, *GREEN)), 0))
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


JPEG_QUALITY = 92


@dataclass(frozen=True)
class Place:
    """Where a blossom is and how large, in sides of the picture."""

    x: float
    y: float
    radius: float


def label(index: int) -> int:
    """The species of picture `index`: they take turns, so that any run of pictures is balanced."""
    return index % len(SPECIES)


def draw(seed: int, index: int, side: int) -> np.ndarray:
    """Picture `index` of the collection `seed`: uint8 of shape (side, side, 3)."""
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    return compose(random, SPECIES[label(index)], side)


def draw_jpeg(seed: int, index: int, side: int) -> bytes:
    """Picture `index` of the collection `seed`, JPEG-encoded."""
    stream = io.BytesIO()
    Image.fromarray(draw(seed, index, side)).save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


def compose(random: np.random.Generator, species: Species, side: int) -> np.ndarray:
    """A picture of `species`: uint8 of shape (side, side, 3)."""
    large = 2 * side  # drawn at twice the size and averaged down, for smooth edges
    light = random.uniform(-np.pi, 0)  # from above, y points down
    ground = backdrop(random, large, light)
    places = random_places(random)
    for place in places:
        if random.random() < 0.75:
            stem(random, ground, place.x * large, place.y * large, place.radius * large)
    canvas = np.ascontiguousarray(np.asarray(ground).transpose(2, 0, 1), np.float32)
    canvas *= np.float32(1 / 255)
    for place in places:
        pose = random_pose(random, place.radius * species.size * large, light)
        palette = blossom_palette(random)
        painted, coverage = blossom.draw(random, species, palette, random_coat(random), pose)
        lay(canvas, painted, coverage, place.x * large, place.y * large, light)
    if random.random() < 0.20:
        cover(canvas, foreground(random, large))
    rows = canvas[:, 0::2] + canvas[:, 1::2]
    return expose(random, (rows[:, :, 0::2] + rows[:, :, 1::2]) * np.float32(0.25), light)


def random_coat(random: np.random.Generator) -> Coat:
    """The look of a plant's petals."""
    return Coat(
        cup=random.uniform(0.12, 0.32),
        fold=random.uniform(0.08, 0.24),
        veins=int(random.integers(1, 6)),
        vein_strength=random.uniform(0.03, 0.09),
        eye=random.uniform(0.3, 0.8) if random.random() < 0.12 else 0.0,
        eye_reach=random.uniform(0.25, 0.55),
    )


def random_places(random: np.random.Generator) -> list[Place]:
    """Where the blossoms of a picture are: a bed of a few, from the smallest, at the back, to the largest."""
    places: list[Place] = []
    wanted = int(random.integers(3, 9))
    for radius, x, y in random.random((40, 3)):
        radius = 0.17 + 0.20 * radius * radius if places else 0.28 + 0.10 * radius
        reach = 0.25 if not places else 0.55
        place = Place(0.5 + reach * (2 * x - 1), 0.5 + reach * (2 * y - 1), radius)
        if all(np.hypot(place.x - other.x, place.y - other.y) > 0.85 * (radius + other.radius) for other in places):
            places.append(place)
        if len(places) == wanted:
            break
    return sorted(places, key=lambda place: place.radius)


def random_pose(random: np.random.Generator, radius: float, light: float) -> Pose:
    """How a blossom of `radius` pixels faces the viewer."""
    return Pose(
        radius=radius,
        rotation=random.uniform(0, 2 * np.pi),
        tilt=random.uniform(0.82, 1.0),
        tilt_direction=random.uniform(0, np.pi),
        light=light,
        bend=random.uniform(-0.18, 0.18),
    )


def lay(canvas: np.ndarray, colour: np.ndarray, coverage: np.ndarray, x: float, y: float, light: float) -> None:
    """Lays a blossom, centred at (x, y) pixels, onto the canvas (3, s, s) with a soft shadow away from the light; in place."""
    half = coverage.shape[0] // 2
    shadow = Image.fromarray((coverage * np.float32(255)).astype(np.uint8)).reduce(2)
    shadow = shadow.filter(ImageFilter.GaussianBlur(half * 0.05)).resize((2 * half, 2 * half), Image.Resampling.BILINEAR)
    dark = 1 - np.asarray(shadow, np.float32) * np.float32(0.5 / 255)
    away = half * 0.12
    target, source = overlap(canvas.shape[1], half, x - away * np.cos(light), y - away * np.sin(light))
    canvas[:, *target] *= dark[source]
    target, source = overlap(canvas.shape[1], half, x, y)
    below = canvas[:, *target]
    below += coverage[source] * (colour[:, *source] - below)


def overlap(side: int, half: int, x: float, y: float) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a square of 2 x half pixels around (x, y) meets a canvas: (rows, columns) of the canvas and of the square."""
    target, source = [], []
    for centre in (y, x):
        first = int(round(centre)) - half
        low, high = max(0, first), max(0, min(side, first + 2 * half))
        low = min(low, high)
        target.append(slice(low, high))
        source.append(slice(low - first, high - first))
    return tuple(target), tuple(source)


def cover(canvas: np.ndarray, foreground: Image.Image) -> None:
    """Lays an RGBA picture over the canvas (3, s, s), in place."""
    layer = np.asarray(foreground).transpose(2, 0, 1).astype(np.float32)
    layer *= np.float32(1 / 255)
    canvas += layer[3] * (layer[:3] - canvas)


def expose(random: np.random.Generator, picture: np.ndarray, light: float) -> np.ndarray:
    """Light, lens and film: turns (3, side, side) float32 into the final uint8 (side, side, 3)."""
    side = picture.shape[1]
    place = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / side) - 1
    x, y = place[None, :], place[:, None]
    # Stronger towards the light, weaker towards the corners.
    slant = (x * np.float32(np.cos(light)) + y * np.float32(np.sin(light))) * np.float32(random.uniform(0.0, 0.18))
    vignette = (x * x + y * y) * np.float32(random.uniform(0.0, 0.16))
    exposure = np.float32(random.uniform(0.86, 1.08))
    picture = picture * (exposure * (1 + slant - vignette))
    tint = 1 + random.uniform(-0.06, 0.06, 3)
    picture *= tint.astype(np.float32)[:, None, None]
    picture = np.maximum(picture, np.float32(1e-4)) ** np.float32(random.uniform(0.90, 1.15))
    haze = np.float32(max(0.0, random.uniform(-0.10, 0.05)))
    picture = picture * (1 - haze) + haze * np.float32(0.8)
    picture += random.standard_normal(picture.shape, np.float32) * np.float32(random.uniform(0.0, 0.006))
    # Highlights roll off softly instead of being cut.
    picture = np.where(picture > 0.8, 1 - 0.2 * np.exp((np.float32(0.8) - picture) * 5), picture)
    pixels = np.clip(picture * np.float32(255) + np.float32(0.5), 0, 255).astype(np.uint8)
    image = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    sigma = random.uniform(-0.010, 0.005) * side
    if sigma <= 0.15:
        return image
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))
