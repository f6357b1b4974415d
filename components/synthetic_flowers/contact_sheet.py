"""Writes a contact sheet: a row of pictures for each species, side by side, as one PNG.

    python -m components.synthetic_flowers.contact_sheet -o flowers.png --columns 8 --side 128

For people: to look at what the synthetic data set holds, and for the README.
"""

import argparse

import numpy as np
from PIL import Image

from components.synthetic_flowers import scene
from components.synthetic_flowers.species import NAMES

MARGIN = 4
PAPER = 250


def contact_sheet(columns: int, side: int, seed: int, first: int = 0) -> Image.Image:
    """A sheet with one row for each species (in the order of their labels) of `columns` pictures of `side` pixels."""
    step = side + MARGIN
    sheet = np.full((len(NAMES) * step + MARGIN, columns * step + MARGIN, 3), PAPER, np.uint8)
    for index in range(first * len(NAMES), (first + columns) * len(NAMES)):
        top = scene.label(index) * step + MARGIN
        left = (index // len(NAMES) - first) * step + MARGIN
        sheet[top : top + side, left : left + side] = scene.draw(seed, index, side)
    return Image.fromarray(sheet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", required=True, help="the PNG to write")
    parser.add_argument("--columns", type=int, default=8, help="pictures for each species")
    parser.add_argument("--side", type=int, default=128, help="side of a picture in pixels")
    parser.add_argument("--seed", type=int, default=7, help="the collection")
    arguments = parser.parse_args()
    contact_sheet(arguments.columns, arguments.side, arguments.seed).save(arguments.output)
    print(f"{arguments.output}: rows from the top are {', '.join(NAMES)}")


if __name__ == "__main__":
    main()
