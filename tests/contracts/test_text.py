"""Shares and differences of shares are written in one way everywhere."""

import pathlib
import re

import pytest

from contracts.text import percent, points

PROJECT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(("share", "digits", "shown"), [
    (0.766, 1, "76.6 %"), (0.5333, 1, "53.3 %"), (1.0, 0, "100 %"), (0.0, 1, "0.0 %"), (0.0123, 2, "1.23 %"),
])  # fmt: skip
def test_a_share_is_a_figure_a_space_and_the_sign(share, digits, shown):
    assert percent(share, digits) == shown


@pytest.mark.parametrize(("difference", "shown"), [
    (0.015, "+1.5"), (-0.012, "−1.2"), (0.0, "+0.0"), (-0.0001, "+0.0"), (-1.0, "−100.0"),
])  # fmt: skip
def test_points_have_their_sign_and_none_is_negative_zero(difference, shown):
    assert points(difference) == shown


def test_nothing_that_users_see_formats_percentages_itself():
    packages = ("cli", "components", "inference", "pipeline", "registry", "trainer", "vertex")
    files = [file for package in packages for file in (PROJECT / package).rglob("*.py")]
    assert len(files) > 50
    # `{share:.1%}` gives "76.6%", and 100 times a share is a percentage of its own making.
    own = re.compile(r"\{[^{}]*:[^{}]*\.\d%\}|%\.\df ?%%")
    assert [str(file) for file in files if own.search(file.read_text())] == []
