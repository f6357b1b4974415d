"""JPEG 2000 in little memory: its decoder takes 19 bytes a pixel, measured on 9,000 x 6,900 pixels, so that 62 megapixels took 1,170 MB.

The format holds a picture at halved sides too, level by level (ISO/IEC 15444-1, annex F). Decoding only down to the level that is
still twice as large as what is kept costs as little as a picture of that size: 88 MB for the same file.
"""

from PIL import Image

BEGINNING = b"\xff\x4f\xff\x51"  # markers SOC and SIZ, with which every codestream begins (annex A.4 and A.5)
CODING_STYLE = b"\xff\x52"  # marker COD (annex A.6.1): its tenth byte is the number of levels
# The share of `data.max_pixels` that may be decoded: a quarter of them takes 300 MB with the default, about what is allowed in JPEG.
SHARE = 4


def reduce(image: Image.Image, data: bytes, target: tuple[int, int], max_pixels: int) -> int:
    """Sets `image`, opened and not yet loaded, to be decoded at the smallest level of at least twice the `target`.

    Args:
      image: a JPEG 2000.
      data: the whole file.
      target: width and height of what is kept of it.
      max_pixels: as `data.max_pixels`.

    Returns:
      How many pixels are decoded more than are allowed, a quarter of `max_pixels`; 0 if it is none.
    """
    width, height = image.size
    fitting = [
        level for level in range(1, levels(data) + 1)
        if all(side >> level >= 2 * least and _halved(side, level) for side, least in zip(image.size, target, strict=True))
    ]  # fmt: skip
    level = max(fitting, default=0)
    if level:
        image.reduce = level
    return max(0, (width * height >> 2 * level) - max_pixels // SHARE)


def _halved(side: int, level: int) -> bool:
    """Whether Pillow, which rounds, and the format, which rounds up (annex B.5), agree on a side at a level. Else Pillow decodes none."""
    return (side + (1 << level >> 1)) >> level == -(-side >> level)


def levels(data: bytes) -> int:
    """How often the sides of the picture can be halved, as the file states it; 0 if it cannot be found."""
    position = data.find(BEGINNING) + 2
    while 2 <= position < len(data) - 10 and data[position] == 0xFF:
        if data[position : position + 2] == CODING_STYLE:
            return min(data[position + 9], 32)
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return 0
