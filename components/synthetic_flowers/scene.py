"""Composes one picture: a backdrop, blossoms of one species with stems and shadows, things before them, light, lens and film.

`builder.py`, the contact sheet and the tests call `draw`. A picture is wholly determined by (seed, index, side): the same on any
machine, in any process and in any order, as far as NumPy's and Pillow's arithmetic allows. Only the form of the blossoms
depends on the species; everything else has the same distribution for all of them.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from components.synthetic_flowers import backdrop, blossom, palettes
from components.synthetic_flowers.petals import Coat
from components.synthetic_flowers.species import SPECIES, Species
from components.synthetic_flowers.square import Pose

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
    ground = backdrop.draw(random, large, light)
    places = random_places(random)
    for place in places:
        if random.random() < 0.75:
            backdrop.stem(random, ground, place.x * large, place.y * large, place.radius * large)
    canvas = np.ascontiguousarray(np.asarray(ground).transpose(2, 0, 1), np.float32)
    canvas *= np.float32(1 / 255)
    for place in places:
        pose = random_pose(random, place.radius * species.size * large, light)
        palette = palettes.blossom_palette(random)
        colour, coverage = blossom.draw(random, species, palette, random_coat(random), pose)
        lay(canvas, colour, coverage, place.x * large, place.y * large, light)
    if random.random() < 0.20:
        cover(canvas, backdrop.foreground(random, large))
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
