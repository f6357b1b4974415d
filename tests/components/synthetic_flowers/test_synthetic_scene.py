"""The drawing: what determines a picture, that species are balanced, and that colour does not tell them apart."""

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.synthetic_flowers import blossom, contact_sheet, scene
from components.synthetic_flowers.species import NAMES, SPECIES, blossom_palette

PROJECT = Path(__file__).parents[3]
PICTURES = 500


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.stack([scene.draw(seed=7, index=index, side=64) for index in range(PICTURES)])


def test_a_picture_is_the_same_in_another_process():
    command = (
        "import hashlib; from components.synthetic_flowers import scene;"
        "print(hashlib.sha256(b''.join(scene.draw_jpeg(7, i, 64) for i in (12, 3))).hexdigest())"
    )
    finished = subprocess.run([sys.executable, "-c", command], cwd=PROJECT, capture_output=True, text=True, check=True)
    here = hashlib.sha256(scene.draw_jpeg(7, 12, 64) + scene.draw_jpeg(7, 3, 64)).hexdigest()
    assert finished.stdout.strip() == here


def test_neither_order_nor_other_random_numbers_change_a_picture():
    first = scene.draw(seed=7, index=3, side=32)
    np.random.seed(1)
    scene.draw(seed=7, index=4, side=32)
    assert np.array_equal(first, scene.draw(seed=7, index=3, side=32))


@pytest.mark.parametrize(("seed", "index"), [(8, 3), (7, 8)])
def test_another_seed_or_index_gives_another_picture(seed, index):
    assert not np.array_equal(scene.draw(7, 3, 32), scene.draw(seed, index, 32))


@pytest.mark.parametrize("side", [16, 33, 64, 150])
def test_pictures_have_the_side_asked_for(side):
    picture = scene.draw(seed=1, index=0, side=side)
    assert picture.shape == (side, side, 3) and picture.dtype == np.uint8
    assert picture.std() > 10  # something is on it


def test_encoded_pictures_are_rgb_jpegs_close_to_the_drawing():
    image = Image.open(io.BytesIO(scene.draw_jpeg(seed=1, index=2, side=64)))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 64))
    difference = np.asarray(image, float) - scene.draw(seed=1, index=2, side=64)
    assert np.abs(difference).mean() < 4


def test_species_take_turns():
    assert [scene.label(index) for index in range(7)] == [0, 1, 2, 3, 4, 0, 1]
    assert NAMES == tuple(sorted(NAMES)) and len(set(NAMES)) == 5


def test_every_species_covers_about_as_much_and_is_as_bright():
    """Else size or brightness would tell the species; the tolerances are a tenth of the mean and 2 % of it."""
    areas, levels = [], []
    for species in SPECIES:
        area, level = [], []
        for seed in range(12):
            random = np.random.default_rng(seed)
            coat, pose = scene.random_coat(random), scene.random_pose(random, 40 * species.size, light=-1.0)
            colour, coverage = blossom.draw(random, species, blossom_palette(np.random.default_rng(seed)), coat, pose)
            area.append(coverage.sum())
            level.append((colour.mean(0) * coverage).sum() / coverage.sum())
        areas.append(np.mean(area))
        levels.append(np.mean(level))
    assert np.ptp(areas) < 0.1 * np.mean(areas)
    assert np.ptp(levels) < 0.02 * np.mean(levels)


# It draws 500 flowers.
@pytest.mark.slow
def test_colour_does_not_tell_the_species(pictures):
    """A linear probe on means and deviations stays at chance (0.2; three standard errors of 500 pictures are 0.054), and even
    64 bins of colour, which see shadows and centres, tell little."""
    labels = np.arange(PICTURES) % len(SPECIES)
    values = pictures / 255
    moments = np.concatenate([values.mean((1, 2)), values.std((1, 2))], axis=1)
    quarters = (pictures // 64).astype(int) @ [16, 4, 1]
    histograms = np.stack([np.bincount(picture.ravel(), minlength=64) for picture in quarters]) / quarters[0].size
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    assert cross_val_score(probe, moments, labels, cv=5).mean() < 0.27
    assert cross_val_score(probe, np.concatenate([moments, histograms], axis=1), labels, cv=5).mean() < 0.33


def test_thumbnails_do_not_tell_the_species(pictures):
    labels = np.arange(PICTURES) % len(SPECIES)
    thumbnails = pictures.reshape(PICTURES, 8, 8, 8, 8, 3).mean((2, 4)).reshape(PICTURES, -1)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=2000))
    assert cross_val_score(probe, thumbnails, labels, cv=5).mean() < 0.3


def test_petals_belong_to_the_nearest_direction():
    """Worked out the slow way, by the largest cosine, away from the borders between two petals."""
    for angles in (np.array([0.3]), np.array([3.0, -3.0, 0.1]), np.array([10.0, 11.0, 12.5, 14.0]), np.array([-3.1, 3.1])):
        owner = blossom.nearest(angles)
        bins = (np.arange(blossom.STEPS) + 0.5) * (2 * np.pi / blossom.STEPS) - np.pi
        cosines = np.sort(np.cos(bins[:, None] - angles), axis=1)
        clear = np.full(blossom.STEPS, True) if len(angles) == 1 else cosines[:, -1] - cosines[:, -2] > 0.02
        expected = np.argmax(np.cos(bins[:, None] - angles), axis=1)
        assert np.array_equal(owner[clear], expected[clear])


def test_blossoms_over_the_edge_are_cut_to_the_canvas():
    target, source = scene.overlap(side=100, half=20, x=95, y=-50)
    assert target == (slice(0, 0), slice(75, 100))
    assert source[1] == slice(0, 25)
    target, source = scene.overlap(side=100, half=20, x=50, y=10)
    assert (target[0], source[0]) == (slice(0, 30), slice(10, 40))


def test_a_contact_sheet_has_a_row_for_each_species():
    sheet = contact_sheet.contact_sheet(columns=3, side=32, seed=7)
    assert sheet.size == (3 * 36 + 4, 5 * 36 + 4)
    second_of_third_row = np.asarray(sheet)[2 * 36 + 4 : 3 * 36, 36 + 4 : 2 * 36]
    assert np.array_equal(second_of_third_row, scene.draw(seed=7, index=7, side=32))
