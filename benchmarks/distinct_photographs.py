"""Draws folders of any number of photographs, no two of which are alike, for benchmarks that need data of a certain size.

    python benchmarks/distinct_photographs.py FOLDER [--images 100000] [--side 224] [--classes 10]

A photograph is a random picture whose energy falls with the frequency, as that of photographs does, with texture; JPEG of about 8 KB
at 224 pixels. Its class is its number modulo the number of classes, and shows in its colours.
"""

import argparse
import io
import pathlib
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from PIL import Image
from scipy.fft import idctn

CHUNK = 500  # photographs drawn at a time


def main() -> None:
    """Draws into the folder that was named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--classes", type=int, default=10)
    arguments = parser.parse_args()
    draw(arguments.folder, arguments.images, arguments.side, arguments.classes)


def draw(folder: pathlib.Path, images: int, side: int = 224, classes: int = 10, processes: int = 2) -> None:
    """Draws those of photographs 0 to `images` - 1 that are missing, as FOLDER/class-3/0000003.jpg, each from its number alone."""
    for label in range(classes):
        (folder / f"class-{label}").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processes) as workers:
        for done in [workers.submit(_draw, folder, first, min(first + CHUNK, images), side, classes) for first in range(0, images, CHUNK)]:
            done.result()


def _draw(folder: pathlib.Path, first: int, last: int, side: int, classes: int) -> None:
    if (folder / f"class-{(last - 1) % classes}" / f"{last - 1:07}.jpg").exists():
        return
    random = np.random.default_rng(first)
    # As in near_duplicates.py: energy falls with the frequency.
    spectrum = random.normal(0, 1, (CHUNK, 16, 16, 3)).astype(np.float32)
    spectrum *= 700 / (1 + np.hypot(*np.mgrid[:16, :16]))[None, :, :, None]
    texture = random.normal(0, 6, (side + CHUNK, side + CHUNK, 1)).astype(np.float32)
    for number, picture in zip(range(first, last), 128 + idctn(spectrum, axes=(1, 2), norm="ortho"), strict=False):
        label = number % classes
        picture += 24 * np.cos(label * np.array([1.0, 2.0, 3.0]))
        large = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
        at = number - first
        pixels = np.clip(np.asarray(large) + texture[at : at + side, at : at + side], 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=75)
        (folder / f"class-{label}" / f"{number:07}.jpg").write_bytes(buffer.getvalue())


if __name__ == "__main__":
    main()
