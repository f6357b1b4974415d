"""Views against a slow reference that treats one image, and one pixel, at a time."""

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


def test_crops_equal_sampling_pixel_by_pixel():
    canvases = RANDOM.integers(0, 256, (5, 12, 12, 3)).astype(np.uint8)
    aspects = np.array([0.6, 0.8, 1, 1.3, 1.7], np.float32)
    settings = Views(min_area=0.2, jitter_probability=0, grey_probability=0, blur_probability=0)
    result = views.random_view(canvases, aspects, seed(1), 8, settings).numpy()
    box_seed = tf.random.split(seed(1), 3)[0]
    boxes = views.random_boxes(aspects, box_seed, settings).numpy()
    for index in range(5):
        np.testing.assert_allclose(result[index], crop_reference(canvases[index], boxes[index], 8), atol=1e-5)


@pytest.mark.parametrize(
    "factors", [(1.3, 1, 1, 0), (1, 0.7, 1, 0), (1, 1, 0.5, 0), (1, 1, 0, 0), (1, 1, 1, 0.1), (0.8, 1.3, 1.2, -0.08)]
)
def test_colours_equal_one_operation_after_another(factors):
    batch = images()
    maps = views.colour_map(*(tf.fill([len(batch)], float(value)) for value in factors))
    result = views.apply_colours(batch, maps).numpy()
    for index, image in enumerate(batch):
        np.testing.assert_allclose(result[index], colour_reference(image, *factors), atol=2e-4)


def test_blur_equals_scipy():
    batch = images(side=16)
    sigmas = np.array([0.1, 0.3, 0.5, 0.7, 0.9, 1.1], np.float32)
    result = views.gaussian_blur(batch, sigmas, 4).numpy()
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


def test_works_inside_tf_data_as_it_does_eagerly():
    canvases = RANDOM.integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    aspects = np.ones(4, np.float32)

    def view(canvases, aspects):
        return views.random_view(canvases, aspects, seed(6), 16, Views())

    dataset = tf.data.Dataset.from_tensors((canvases, aspects)).map(view)
    np.testing.assert_allclose(next(iter(dataset)), view(canvases, aspects), atol=1e-6)


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


def test_colour_factors_have_the_distribution_that_the_settings_name():
    settings = Views(jitter_probability=0.8, brightness=0.4, contrast=0, saturation=0, hue=0, grey_probability=0)
    maps = views.random_colours(tf.constant(20_000), seed(8), settings).numpy()
    factors = maps[:, 0, 0]
    changed = np.abs(factors - 1) > 1e-5
    assert changed.mean() == pytest.approx(0.8, abs=0.01)
    assert factors[changed].min() == pytest.approx(0.6, abs=0.01) and factors[changed].max() == pytest.approx(1.4, abs=0.01)
    assert factors[changed].mean() == pytest.approx(1, abs=0.01)


def test_blurs_have_the_distribution_that_the_settings_name():
    sigmas = views.random_sigmas(tf.constant(20_000), seed(9), Views()).numpy()
    assert np.mean(sigmas > 0) == pytest.approx(0.5, abs=0.01)
    assert sigmas[sigmas > 0].min() >= 0.1 and sigmas.max() <= 2.0
    assert sigmas[sigmas > 0].mean() == pytest.approx(1.05, abs=0.02)
