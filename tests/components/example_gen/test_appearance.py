"""Brightness, contrast and saturation of thumbnails whose values are known."""

import numpy as np
import pytest

from components.example_gen.report import BINS, CHUNK, appearance, nearly_black


def thumbnail(*colours):
    """768 bytes: stripes of equal width in these colours."""
    return np.repeat(np.array(colours, np.uint8), 256 // len(colours), axis=0).tobytes()


def seen(thumbnails):
    every = np.frombuffer(b"".join(thumbnails), np.uint8).reshape(-1, 768)
    return appearance(every, np.arange(len(every)))


def test_known_thumbnails_fall_into_their_bins():
    black, white, red = (0, 0, 0), (255, 255, 255), (255, 0, 0)
    found = seen([thumbnail(black), thumbnail(white), thumbnail(red), thumbnail(black, white)])
    # Luma 0, 1, 0.299 and 0.5.
    assert np.flatnonzero(found["brightness"]).tolist() == [0, int(0.299 * BINS), BINS // 2, BINS - 1]
    # Plain colours have none; half black and half white has all of it.
    assert (found["contrast"][0], found["contrast"][-1]) == (3, 1)
    # Red alone is saturated.
    assert (found["saturation"][0], found["saturation"][-1]) == (3, 1)
    # Red: white, red and half of the last.
    assert found["mean_colour"] == pytest.approx([2.5 / 4, 1.5 / 4, 1.5 / 4])


def test_every_photograph_is_counted_in_however_many_chunks():
    found = seen([thumbnail((9, 9, 9))] * (CHUNK + 3))
    assert sum(found["brightness"]) == sum(found["saturation"]) == CHUNK + 3
    assert seen([])["mean_colour"] is None


def test_a_data_set_is_nearly_black_if_most_of_its_photographs_are():
    dark, light = thumbnail((12, 12, 12)), thumbnail((13, 13, 13))  # on either side of 5 % of 255
    for photographs, expected in (([dark, dark, light], True), ([dark, light], False), ([], False)):
        assert nearly_black({"appearance": {"train": seen(photographs), "eval": seen([])}}) is expected
