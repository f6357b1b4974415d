"""Colour profiles: what a file says that its numbers mean, turned into sRGB, for which every later node takes them."""

import functools
import io

import numpy as np
from PIL import Image, ImageCms

from contracts.image_files import COLOUR_GRID, MOST_PROFILE_BYTES, SAME_COLOUR

# What became of a photograph's profile; "" if it has none, or one that means sRGB.
CONVERTED = "converted"
IGNORED = "ignored"

# The four characters of an ICC profile's header that say which numbers it is for (ICC.1:2022, table 19), and Pillow's mode.
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
CACHED = 16


def outcome(profile: bytes | None, mode: str) -> str:
    """What `to_srgb` does with an image of `mode` (RGB, L or CMYK) and this profile: "", CONVERTED or IGNORED."""
    if not profile:
        return ""
    takes, transform = _transform(profile)
    if mode != takes and (takes, mode) != ("RGB", "L"):
        return IGNORED
    return CONVERTED if transform else ""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image (mode RGB, L or CMYK) as sRGB, 8 bits a channel.

    A profile for RGB also holds for a grey image; one that is broken, or for other numbers than the image has, is ignored.
    """
    if outcome(profile, image.mode) != CONVERTED:
        return image.convert("RGB")
    takes, transform = _transform(profile)
    return transform.apply(image.convert(takes))


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """An image of mode LAB (CIE L*a*b*, which needs no profile) as sRGB."""
    return ImageCms.profileToProfile(image, ImageCms.createProfile("LAB"), _srgb(), outputMode="RGB")


@functools.lru_cache(maxsize=CACHED)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """The mode that a profile is for, and how it becomes sRGB, None if it is sRGB; ("", None) if it is broken."""
    if len(profile) > MOST_PROFILE_BYTES:
        return "", None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = MODES[opened.profile.xcolor_space.strip()]
        transform = ImageCms.buildTransform(opened, _srgb(), mode, "RGB")
        return mode, None if mode == "RGB" and _changes_little(transform) else transform
    except Exception:  # Pillow raises all kinds of errors on a broken profile, which does not mean a broken picture
        return "", None


def _changes_little(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.linspace(0, 255, COLOUR_GRID).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(COLOUR_GRID, COLOUR_GRID * COLOUR_GRID, 3)
    changed = np.asarray(transform.apply(Image.fromarray(colours)))
    return int(np.abs(changed.astype(int) - colours).max()) <= SAME_COLOUR


@functools.cache
def _srgb() -> ImageCms.core.CmsProfile:
    return ImageCms.createProfile("sRGB")
