"""Time and memory of the search for near-duplicates as the data grows: prints a table.

    python benchmarks/near_duplicates.py [--images 1000 2000 4000 8000 16000]

Every row is a process of its own. The thumbnails are drawn:

    distinct  one picture each
    alike     one picture with noise, every two within the threshold: a tripod, a burst
    chain     a picture that turns into others step by step, each step within the threshold: a time-lapse
    crowded   pictures whose lowest frequencies are alike, but none of which is the same as another: digits on black

`seconds` is the time of the search alone, `CPU` that of all cores together, which depends less on other work, `peak` the process's highest
resident memory, `groups` how many it found.
"""

import argparse
import itertools
import pathlib
import time

from own_process import last_line

KINDS = ("distinct", "alike", "chain", "crowded")


def main() -> None:
    """Prints a row for each kind and size; with --row, only one row's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 2_000, 4_000, 8_000, 16_000])
    parser.add_argument("--row", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(row(arguments.row, arguments.images[0]))
        return
    print(f"{'thumbnails':12}{'images':>9}{'seconds':>10}{'CPU':>8}{'peak MB':>10}{'groups':>9}")
    for kind, images in itertools.product(KINDS, arguments.images):
        print(f"{kind:12}{images:9,}{last_line(__file__, f'--row={kind}', f'--images={images}')}", flush=True)


def row(kind: str, images: int) -> str:
    """Draws, searches, and returns the figures."""
    from components.example_gen.near_duplicates import group

    group(descriptors("distinct", 100))  # imports and starts threads
    drawn = descriptors(kind, images)
    start, cpu = time.perf_counter(), time.process_time()
    groups = group(drawn)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    return f"{seconds:10.1f}{cpu:8.1f}{int(status['VmHWM'].split()[0]) * 1024 / 1e6:10.0f}{len(set(groups.tolist())):9,}"


def descriptors(kind: str, images: int) -> list[bytes]:
    """Thumbnails of 768 bytes."""
    import numpy as np
    from scipy.fft import idctn

    random = np.random.default_rng(0)
    if kind == "distinct":  # energy falls with the frequency, as in photographs
        spectrum = random.normal(0, 1, (images, 16, 16, 3)).astype(np.float32)
        spectrum *= 700 / (1 + np.hypot(*np.mgrid[:16, :16]))[None, :, :, None]
        pictures = 128 + idctn(spectrum, axes=(1, 2), norm="ortho")
    elif kind == "chain":
        scenes = random.integers(0, 256, (images // 20 + 2, 16, 16, 3))
        place = np.arange(images) / 20
        share = (place % 1)[:, None, None, None]
        pictures = scenes[place.astype(int)] * (1 - share) + scenes[place.astype(int) + 1] * share
    else:
        scene = random.integers(64, 192, (16, 16, 3))
        pictures = scene + random.normal(0, 4, (images, 16, 16, 3)).astype(np.float32)
        if kind == "crowded":  # noise without low frequencies, half as strong as the picture
            noise = random.normal(0, 16, (images, 16, 16, 3)).astype(np.float32)
            sign = np.where(np.indices((16, 16)).sum(0) % 2, 1, -1)[..., None]
            pictures = scene + np.repeat(np.repeat(noise[:, ::2, ::2], 2, 1), 2, 2) * sign
    return [picture.tobytes() for picture in np.clip(pictures, 0, 255).astype(np.uint8)]


if __name__ == "__main__":
    main()
