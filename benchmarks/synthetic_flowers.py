"""The time of drawing the synthetic flowers: prints a table and a line.

    python benchmarks/synthetic_flowers.py [--images 2400] [--side 64] [--repeats 3]

The table has the time of drawing only, in one thread, by side (milliseconds a picture, median of the repeats). The line has the
whole data set, from the call of `prepare` to the files, each repeat into a new directory, without the start of the process and
the import of TensorFlow, which every run needs anyway.
"""

import argparse
import statistics
import tempfile
import time

from components.synthetic_flowers import scene

SIDES = (32, 64, 128, 256)
# Pictures drawn for one figure of the table.
SAMPLE = 60


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2400)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print("side    ms a picture")
    for side in SIDES:
        print(f"{side:4d}    {statistics.median(drawing(side) for _ in range(arguments.repeats)):12.2f}")
    start = time.perf_counter()
    import tensorflow  # noqa: F401  here, so that its import is measured separately

    from components.synthetic_flowers import builder

    print(f"\nimports: {time.perf_counter() - start:.1f} s")
    seconds = statistics.median(preparation(builder.prepare, arguments.images, arguments.side) for _ in range(arguments.repeats))
    rate = arguments.images / seconds
    print(f"{arguments.images} pictures of {arguments.side} px: {seconds:.1f} s, {rate:.0f} pictures/s")


def drawing(side: int) -> float:
    """Milliseconds for one picture of `side` pixels, including its JPEG."""
    scene.draw_jpeg(0, 0, side)
    start = time.perf_counter()
    for index in range(SAMPLE):
        scene.draw_jpeg(0, index, side)
    return 1000 * (time.perf_counter() - start) / SAMPLE


def preparation(prepare, images: int, side: int) -> float:
    """Seconds for a new data set."""
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        prepare(directory, images=images, labelled=images, side=side, seed=7, eval_fraction=0.15)
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
