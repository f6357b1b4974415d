"""Views against a slow reference that treats one image, and one pixel, at a time; eagerly and inside tf.data."""

import colorsys
import math

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from pipeline_config import Views
from trainer import views

RANDOM = np.random.default_rng(4)
PLAIN = Views(min_area=1.0, max_aspect=1.0, flip_probability=0, jitter_probability=0, grey_probability=0, blur_probability=0)


def seed(number):
    return tf.constant([11, number], tf.int32)


def images(count=6, side=8):
    return RANDOM.uniform(0.3, 0.6, (count, side, side, 3)).astype(np.float32)


def in_tf_data(function, *arrays):
    """`function` of `arrays`, computed in the graph of a tf.data pipeline."""
    return next(tf.data.Dataset.from_tensors(arrays).map(function).as_numpy_iterator())


def eagerly(function, *arrays):
    return function(*arrays).numpy()


EVERYWHERE = pytest.mark.parametrize("call", [eagerly, in_tf_data])


def crop_reference(canvas, box, resolution):
    """Bilinear sampling with the corners of the box on the centres of the corner pixels, pixel by pixel."""
    side = canvas.shape[0]
    y1, x1, y2, x2 = box * (side - 1)
    out = np.zeros((resolution, resolution, 3))
    for row in range(resolution):
        for column in range(resolution):
            y = y1 + (y2 - y1) * row / (resolution - 1)
            x = x1 + (x2 - x1) * column / (resolution - 1)
            top, left = min(int(y), side - 2), min(int(x), side - 2)
            dy, dx = y - top, x - left
            out[row, column] = (
                canvas[top, left] * (1 - dy) * (1 - dx) + canvas[top, left + 1] * (1 - dy) * dx
                + canvas[top + 1, left] * dy * (1 - dx) + canvas[top + 1, left + 1] * dy * dx)  # fmt: skip
    return out / 255


def colour_reference(image, brightness, contrast, saturation, turn):
    """Torchvision's definitions, one operation after another; hue through Python's own colour conversion."""
    luma = np.array([0.299, 0.587, 0.114])
    image = image * brightness
    image = contrast * image + (1 - contrast) * (image @ luma).mean()
    image = saturation * image + (1 - saturation) * (image @ luma)[..., None]
    angle, out = 2 * math.pi * turn, np.zeros_like(image)
    for index in np.ndindex(image.shape[:2]):
        y, i, q = colorsys.rgb_to_yiq(*image[index])
        turned = i * math.cos(angle) - q * math.sin(angle), i * math.sin(angle) + q * math.cos(angle)
        # colorsys.yiq_to_rgb clips; the inverse of its own forward matrix does not.
        out[index] = np.linalg.solve(views.RGB_TO_YIQ.astype(float), [y, *turned])
    return np.clip(out, 0, 1)


@EVERYWHERE
def test_crops_equal_sampling_pixel_by_pixel(call):
    canvases = RANDOM.integers(0, 256, (5, 12, 12, 3)).astype(np.uint8)
    aspects = np.array([0.6, 0.8, 1, 1.3, 1.7], np.float32)
    settings = Views(min_area=0.2, jitter_probability=0, grey_probability=0, blur_probability=0)
    result = call(lambda *batch: views.random_view(*batch, seed(1), 8, settings), canvases, aspects)
    box_seed = tf.random.split(seed(1), 3)[0]
    boxes = views.random_boxes(aspects, box_seed, settings).numpy()
    for index in range(5):
        np.testing.assert_allclose(result[index], crop_reference(canvases[index], boxes[index], 8), atol=1e-5)


@EVERYWHERE
@pytest.mark.parametrize("factors", [(1.3, 1, 1, 0), (1, 0.7, 1, 0), (1, 1, 0.5, 0), (1, 1, 0, 0), (1, 1, 1, 0.1), (0.8, 1.3, 1.2, -0.08)])
def test_colours_equal_one_operation_after_another(factors, call):
    batch = images()
    values = np.tile(np.array(factors, np.float32)[:, None], len(batch))
    result = call(lambda batch, *values: views.apply_colours(batch, views.colour_map(*values)), batch, *values)
    for index, image in enumerate(batch):
        np.testing.assert_allclose(result[index], colour_reference(image, *factors), atol=2e-4)


@EVERYWHERE
def test_blur_equals_scipy(call):
    batch = images(side=16)
    sigmas = np.array([0.1, 0.3, 0.5, 0.7, 0.9, 1.1], np.float32)
    result = call(lambda *batch: views.gaussian_blur(*batch, 4), batch, sigmas)
    for image, sigma, blurred in zip(batch, sigmas, result):
        expected = scipy.ndimage.gaussian_filter1d(image, sigma, 0, mode="mirror", radius=4)
        expected = scipy.ndimage.gaussian_filter1d(expected, sigma, 1, mode="mirror", radius=4)
        np.testing.assert_allclose(blurred, expected, atol=1e-4)


def test_blur_of_sigma_0_changes_nothing():
    batch = images()
    np.testing.assert_allclose(views.gaussian_blur(batch, np.zeros(6, np.float32), 3), batch, atol=1e-6)


def test_a_view_without_any_change_is_the_photograph():
    canvases = RANDOM.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    result = views.random_view(canvases, np.ones(3, np.float32), seed(2), 16, PLAIN)
    np.testing.assert_allclose(result, canvases / 255, atol=1e-6)


def test_a_flip_mirrors():
    canvases = RANDOM.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    flipping = Views(**{**PLAIN.__dict__, "flip_probability": 1.0})
    result = views.random_view(canvases, np.ones(3, np.float32), seed(2), 16, flipping)
    np.testing.assert_allclose(result, canvases[:, :, ::-1] / 255, atol=1e-6)


def test_grey_removes_all_colour():
    grey = Views(**{**PLAIN.__dict__, "grey_probability": 1.0})
    canvases = RANDOM.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    result = views.random_view(canvases, np.ones(3, np.float32), seed(2), 16, grey).numpy()
    np.testing.assert_allclose(result.max(axis=3), result.min(axis=3), atol=1e-6)
    np.testing.assert_allclose(result[..., 0], canvases / 255 @ views.LUMA, atol=1e-5)


def test_the_same_seed_draws_the_same_views_and_another_seed_others():
    canvases = RANDOM.integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    aspects = np.ones(4, np.float32)
    first, again, other = (views.random_view(canvases, aspects, seed(n), 16, Views()).numpy() for n in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01


def test_two_views_of_one_photograph_differ_and_stay_in_range():
    canvases = RANDOM.integers(0, 256, (64, 16, 16, 3)).astype(np.uint8)
    result = views.random_view(canvases, np.ones(64, np.float32), seed(5), 16, Views()).numpy()
    assert result.min() >= 0 and result.max() <= 1
    assert result.shape == (64, 16, 16, 3) and result.dtype == np.float32


def test_a_whole_view_is_the_same_inside_tf_data():
    canvases = RANDOM.integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    inside, outside = (
        call(lambda *batch: views.random_view(*batch, seed(6), 16, Views()), canvases, np.ones(4, np.float32))
        for call in (in_tf_data, eagerly))  # fmt: skip
    np.testing.assert_allclose(inside, outside, atol=1e-6)


def test_boxes_have_the_distribution_that_the_paper_names():
    aspects = np.full(20_000, 1.5, np.float32)
    settings = Views(min_area=0.2)
    boxes = views.random_boxes(aspects, seed(7), settings).numpy()
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-6
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert np.mean(width < 0) == pytest.approx(0.5, abs=0.015)
    area, aspect = height * np.abs(width), np.abs(width) / height * 1.5
    whole = (height < 1 - 1e-6) & (np.abs(width) < 1 - 1e-6)  # not cut to the photograph
    assert area[whole].min() >= 0.2 - 1e-4 and area.max() <= 1 + 1e-5
    assert aspect[whole].min() >= 3 / 4 - 1e-4 and aspect[whole].max() <= 4 / 3 + 1e-4
    small = area[whole & (area < 0.4)]  # far from being cut, the area is uniform
    assert small.mean() == pytest.approx(0.3, abs=0.005)


STILL = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "grey_probability": 0}
# To grey and back: an image's luma in each of its channels. In the map of saturation s alone, [0, 1] is (1 - s) x red's share.
RED = 0.299


def turns(maps):
    """Share of the circle by which each map turns the hue: the angle of its middle part, between the two conversions."""
    to, back = views.RGB_TO_YIQ.T.astype(float), np.linalg.inv(views.RGB_TO_YIQ.T.astype(float))
    rotation = np.linalg.inv(to) @ maps[:, :, :3] @ np.linalg.inv(back)
    return np.arctan2(rotation[:, 1, 2], rotation[:, 1, 1]) / (2 * math.pi)


# How each factor is read from the maps, and where it lies with the strength beside it: uniform, centre -/+ strength.
@pytest.mark.parametrize("name, read, centre, strength", [
    ("brightness", lambda maps: maps[:, 0, 0], 1, 0.4),
    ("contrast", lambda maps: maps[:, 0, 0], 1, 0.3),
    ("saturation", lambda maps: 1 - maps[:, 0, 1] / RED, 1, 0.5),
    ("hue", turns, 0, 0.1),
])  # fmt: skip
def test_each_colour_factor_is_uniform_with_the_strength_and_probability_of_the_settings(name, read, centre, strength):
    settings = Views(jitter_probability=0.8, **STILL | {name: strength})
    factors = read(views.random_colours(tf.constant(20_000), seed(8), settings).numpy())
    changed = np.abs(factors - centre) > 1e-5
    assert changed.mean() == pytest.approx(0.8, abs=0.01)
    places = (np.sort(factors[changed]) - centre + strength) / (2 * strength)
    # The largest distance between the empirical distribution and the uniform one: of 16,000 draws one in 1,800 would be over 0.016 by
    # chance.
    assert np.abs(places - np.linspace(0, 1, len(places))).max() < 0.016


def test_every_colour_factor_is_drawn_by_itself():
    """All at once: brightness and contrast, read from the map of the mean and of the pixel, have nothing to do with each other."""
    settings = Views(jitter_probability=1.0, **STILL | {"brightness": 0.4, "contrast": 0.4})
    maps = views.random_colours(tf.constant(20_000), seed(8), settings).numpy()
    brightness = maps[:, 0, 0] + maps[:, 0, 3] / RED
    assert abs(np.corrcoef(brightness, maps[:, 0, 0] / brightness)[0, 1]) < 0.03


def test_grey_comes_as_often_as_the_settings_say():
    maps = views.random_colours(tf.constant(20_000), seed(8), Views(**STILL | {"grey_probability": 0.2})).numpy()
    grey = np.abs(maps[:, 0, 1] / RED - 1) < 1e-5
    assert grey.mean() == pytest.approx(0.2, abs=0.01)
    assert np.abs(maps[~grey][:, 0, 1]).max() < 1e-5


def test_blurs_have_the_distribution_that_the_settings_name():
    sigmas = views.random_sigmas(tf.constant(20_000), seed(9), Views()).numpy()
    assert np.mean(sigmas > 0) == pytest.approx(0.5, abs=0.01)
    assert sigmas[sigmas > 0].min() >= 0.1 and sigmas.max() <= 2.0
    assert sigmas[sigmas > 0].mean() == pytest.approx(1.05, abs=0.02)
