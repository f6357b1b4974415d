"""How bright, contrasting and colourful photographs are, from the thumbnails that ingest makes anyway. Called by `report`.

Exact over all photographs, for next to nothing: what changed between two data sets shows here before it shows in an accuracy.
"""

from collections.abc import Sequence

import numpy as np

from components.flowers_example_gen.photograph import DESCRIPTOR_SIDE

# ITU-R BT.601 luma.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
BINS = 20
MEASURES = ("brightness", "contrast", "saturation")
# Photographs measured at a time, which bounds the memory.
CHUNK = 4096


def appearance(descriptors: Sequence[bytes]) -> dict:
    """Histograms of photographs' appearance, ready for JSON.

    Args:
      descriptors: thumbnails, RGB of 16 x 16 pixels, 768 bytes each, as `photograph.prepare` makes them.

    Returns:
      By measure, photographs in each of BINS equal steps of [0, 1]: `brightness`, the mean luma; `contrast`, twice the standard
      deviation of the luma (1: half the thumbnail black, half white); `saturation`, the mean of HSV's. And `mean_colour`, red,
      green and blue in [0, 1] over all, null where there is no photograph.
    """
    counts = {measure: np.zeros(BINS, int) for measure in MEASURES}
    colour = np.zeros(3)
    for start in range(0, len(descriptors), CHUNK):
        part = descriptors[start : start + CHUNK]
        thumbnails = np.frombuffer(b"".join(part), np.uint8).reshape(len(part), DESCRIPTOR_SIDE**2, 3).astype(np.float32) / 255
        for measure, values in _measure(thumbnails).items():
            counts[measure] += np.histogram(np.clip(values, 0, 1), BINS, (0, 1))[0]
        colour += thumbnails.mean(axis=1, dtype=np.float64).sum(axis=0)
    histograms = {measure: found.tolist() for measure, found in counts.items()}
    return histograms | {"mean_colour": (colour / len(descriptors)).tolist() if descriptors else None}


def _measure(thumbnails: np.ndarray) -> dict[str, np.ndarray]:
    """Each measure of `[count, pixels, 3]` in [0, 1]: `[count]`."""
    luma = thumbnails @ LUMA
    largest, smallest = thumbnails.max(axis=2), thumbnails.min(axis=2)
    saturation = (largest - smallest) / np.maximum(largest, 1e-6)
    return {"brightness": luma.mean(axis=1), "contrast": 2 * luma.std(axis=1), "saturation": saturation.mean(axis=1)}
