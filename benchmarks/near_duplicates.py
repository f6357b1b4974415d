"""Time and memory of the search for near-duplicates as the data grows: prints a table.

    python benchmarks/near_duplicates.py [--images 1000 2000 4000 8000 16000] [--kinds KIND...]
        [--distance 0.22] [--photographs FOLDER] [--other CHECKOUT]

Every row is a process of its own. The thumbnails are drawn, of each kind or of those that are named:

    distinct  one picture each
    alike     one picture with noise, every two within the threshold: a tripod, a burst
    chain     a picture that turns into others step by step, each step within the threshold: a time-lapse
    crowded   pictures of one composition, with noise in which none is like another
    strokes   one stroke of white on black each: handwriting, digits; among many some look the same
    crops     with --photographs: random parts, of 6 to 36 % of the area, of the JPEG files below FOLDER

With --other, another checkout of this project searches the same thumbnails, in its row after each.

`seconds` is the time of the search alone, `CPU` that of all cores together, which depends less on other work, `peak` the process's highest
resident memory, `groups` how many it found.
"""

import argparse
import itertools
import pathlib
import time

from own_process import last_line

KINDS = ("distinct", "alike", "chain", "crowded", "strokes")
CROPS = "crops"
CHUNK = 1000  # thumbnails drawn at a time


def main() -> None:
    """Prints a row for each kind and size; with --row, only one row's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 2_000, 4_000, 8_000, 16_000])
    parser.add_argument("--kinds", nargs="+", choices=(*KINDS, CROPS))
    parser.add_argument("--distance", type=float, default=0.22, help="data.near_duplicate_distance")
    parser.add_argument("--photographs", metavar="FOLDER")
    parser.add_argument("--other", metavar="CHECKOUT")
    parser.add_argument("--row", choices=(*KINDS, CROPS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(row(arguments.row, arguments.images[0], arguments.distance, arguments.photographs))
        return
    kinds = arguments.kinds or ((*KINDS, CROPS) if arguments.photographs else KINDS)
    if CROPS in kinds and not arguments.photographs:
        parser.error("crops are parts of photographs: name a folder of them with --photographs")
    if arguments.photographs and not jpegs(arguments.photographs):
        parser.error(f"--photographs {arguments.photographs}: there is no *.jpg below it")
    options = [f"--distance={arguments.distance}", *([f"--photographs={arguments.photographs}"] if arguments.photographs else [])]
    checkouts = {"": None} | ({"other": arguments.other} if arguments.other else {})
    print(f"{'thumbnails':12}{'images':>9}{'seconds':>10}{'CPU':>8}{'peak MB':>10}{'groups':>11}")
    for kind, images, (title, checkout) in itertools.product(kinds, arguments.images, checkouts.items()):
        figures = last_line(__file__, f"--row={kind}", f"--images={images}", *options, checkout=checkout)
        print(f"{kind:12}{images:9,}{figures}  {title}".rstrip(), flush=True)


def row(kind: str, images: int, distance: float, photographs: str | None) -> str:
    """Draws, searches, and returns the figures."""
    from components.example_gen.near_duplicates import group

    group(thumbnails("distinct", 100))  # imports
    drawn = crops(photographs, images) if kind == CROPS else thumbnails(kind, images)
    start, cpu = time.perf_counter(), time.process_time()
    groups = group(drawn, distance)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    return f"{seconds:10.1f}{cpu:8.1f}{int(status['VmHWM'].split()[0]) * 1024 / 1e6:10.0f}{len(set(groups.tolist())):11,}"


def jpegs(folder: str) -> list[pathlib.Path]:
    return sorted(pathlib.Path(folder).rglob("*.jpg"))


def crops(folder: str, images: int):
    """Thumbnails of parts of photographs, the same number of each, in random order: uint8 [images, 768]."""
    import numpy as np
    from PIL import Image

    random, drawn = np.random.default_rng(0), []
    paths = jpegs(folder)
    for path in paths:
        with Image.open(path) as image:
            image.draft("RGB", (256, 256))
            image = image.convert("RGB")
        for _ in range(-(-images // len(paths))):
            side = random.uniform(0.25, 0.6)
            width, height = image.width * side, image.height * side
            left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
            box = (left, top, left + width, top + height)
            drawn.append(np.asarray(image.resize((16, 16), Image.Resampling.BOX, box=box)).ravel())
    return np.stack(drawn)[random.permutation(len(drawn))[:images]]


def thumbnails(kind: str, images: int):
    """uint8 [images, 768]"""
    import numpy as np

    random = np.random.default_rng(0)
    scene = random.integers(64, 192, (16, 16, 3))
    drawn = [_drawn(kind, random, scene, first, min(CHUNK, images - first)) for first in range(0, images, CHUNK)]
    return np.concatenate(drawn).reshape(images, 768)


def _drawn(kind: str, random, scene, first: int, images: int):
    """Those from number `first` on: uint8 [images, 16, 16, 3]."""
    import numpy as np
    from scipy.fft import idctn

    if kind == "distinct":  # energy falls with the frequency, as in photographs
        spectrum = random.normal(0, 1, (images, 16, 16, 3)).astype(np.float32)
        spectrum *= 700 / (1 + np.hypot(*np.mgrid[:16, :16]))[None, :, :, None]
        pictures = 128 + idctn(spectrum, axes=(1, 2), norm="ortho")
    elif kind == "chain":  # a scene turns into the next within 20 pictures
        place = np.arange(first, first + images) / 20
        scenes = {
            number: np.random.default_rng(number).integers(0, 256, (16, 16, 3)) for number in range(int(place[0]), int(place[-1]) + 2)
        }
        share = (place % 1)[:, None, None, None]
        before, after = (np.stack([scenes[int(number) + more] for number in place]) for more in (0, 1))
        pictures = before * (1 - share) + after * share
    elif kind == "strokes":
        pictures = strokes(random, images)
    else:
        pictures = scene + random.normal(0, 4, (images, 16, 16, 3)).astype(np.float32)
        if kind == "crowded":  # noise without low frequencies, half as strong as the picture
            noise = random.normal(0, 16, (images, 16, 16, 3)).astype(np.float32)
            sign = np.where(np.indices((16, 16)).sum(0) % 2, 1, -1)[..., None]
            pictures = scene + np.repeat(np.repeat(noise[:, ::2, ::2], 2, 1), 2, 2) * sign
    return np.clip(pictures, 0, 255).astype(np.uint8)


def strokes(random, count: int):
    """Bézier curves of three degrees between random points, a pixel wide: [count, 16, 16, 3]."""
    import numpy as np

    share = np.linspace(0, 1, 24)
    weights = np.stack([(1 - share) ** 3, 3 * share * (1 - share) ** 2, 3 * share**2 * (1 - share), share**3], axis=1)
    points = weights @ random.uniform(3, 13, (count, 4, 2))  # [count, 24, 2]
    away = points[:, :, None, None] - np.moveaxis(np.indices((16, 16)), 0, -1)
    light = 255 * np.exp(-(away**2).sum(axis=-1).min(axis=1) / 1.2)
    return np.repeat(light[..., None], 3, axis=-1)


if __name__ == "__main__":
    main()
