"""Random views of a whole batch at once (arXiv 2011.10566, section 3; the operations of SimSiam's released code).

Crop, aspect jitter, flip and resize are one operation for the batch (`tf.image.crop_and_resize`); brightness, contrast, saturation,
hue and grey together are one affine map of the colours of each image. Every random number follows from a seed, so that a view can
be reproduced.

Two deliberate simplifications of torchvision's per-image code: the colour operations always have the order above and values are
clipped once at the end; and a crop that would leave the photograph is cut to it instead of being drawn again.
"""

import math

import numpy as np
import tensorflow as tf

from pipeline_config import Views
from trainer import replicas

# ITU-R BT.601 luma, the weights that torchvision and Pillow use for grey.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# RGB to YIQ (FCC NTSC 1953 matrix, rounded as in Python's colorsys); rotating the plane of I and Q turns the hue.
RGB_TO_YIQ = np.array([[0.30, 0.59, 0.11], [0.599, -0.2773, -0.3217], [0.213, -0.5251, 0.3121]], np.float32)
YIQ_TO_RGB = np.linalg.inv(RGB_TO_YIQ).astype(np.float32)

# CropAndResize's kernels for GPUs take half, float and double, no uint8 (TensorFlow's crop_and_resize_op.cc): of uint8 the crops
# would be cut on the processor and cross the bus as float32. Half holds 0 to 255 exactly, and the kernel computes in float32 from
# it, so that the crops are the same; on a processor the cast would only take time.
CROPPED_ON_GPU = tf.float16

# The paper's blur is meant for views of this side; sigma scales with the resolution.
BLUR_REFERENCE_SIDE = 224


def random_view(canvases: tf.Tensor, aspects: tf.Tensor, seed: tf.Tensor, resolution: int, views: Views) -> tf.Tensor:
    """One random view of each photograph.

    Args:
      canvases: photographs scaled to squares, `[batch, side, side, 3]` uint8.
      aspects: width / height of each photograph before it was made a square, `[batch]` float32.
      seed: `[2]` int32 or int64; the same seed gives the same views.
      resolution: side of a view in pixels.
      views: the distribution.

    Returns:
      `[batch, resolution, resolution, 3]` float32 in [0, 1].
    """
    seeds = tf.unstack(tf.random.split(seed, 3))
    boxes = random_boxes(aspects, seeds[0], views)
    count = tf.shape(canvases)[0]
    if replicas.on_gpu():
        canvases = tf.cast(canvases, CROPPED_ON_GPU)
    crops = tf.image.crop_and_resize(canvases, boxes, tf.range(count), (resolution, resolution)) / 255.0
    colours = apply_colours(crops, random_colours(count, seeds[1], views))
    if views.blur_probability == 0:
        return colours
    scale = resolution / BLUR_REFERENCE_SIDE
    sigmas = random_sigmas(count, seeds[2], views) * scale
    radius = max(1, math.ceil(2 * views.blur_max_sigma * scale))
    return gaussian_blur(colours, sigmas, radius)


def random_boxes(aspects: tf.Tensor, seed: tf.Tensor, views: Views) -> tf.Tensor:
    """Boxes of random area, aspect ratio, place and direction, for `tf.image.crop_and_resize`.

    The area is uniform in [views.min_area, 1] of the photograph's, the logarithm of the aspect ratio (in the photograph's own
    pixels) uniform within views.max_aspect either way, as in torchvision's RandomResizedCrop (Szegedy et al., arXiv 1409.4842,
    section 6). Sides longer than the photograph are cut to it. Flipped boxes have x1 > x2.

    Args:
      aspects: width / height of each photograph, `[batch]` float32.

    Returns:
      `[batch, 4]` float32: y1, x1, y2, x2 as shares of height and width.
    """
    u = _uniform(5, tf.shape(aspects)[0], seed)
    area = views.min_area + (1 - views.min_area) * u[0]
    aspect = tf.exp(math.log(views.max_aspect) * (2 * u[1] - 1))
    width = tf.minimum(tf.sqrt(area * aspect / aspects), 1.0)
    height = tf.minimum(tf.sqrt(area / aspect * aspects), 1.0)
    left = u[2] * (1 - width)
    top = u[3] * (1 - height)
    flipped = u[4] < views.flip_probability
    x1 = tf.where(flipped, left + width, left)
    x2 = tf.where(flipped, left, left + width)
    return tf.stack([top, x1, top + height, x2], axis=1)


def _uniform(rows: int, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """`[rows, count]` float32 in [0, 1). Replicas take their share of one draw: the views do not depend on how many there are."""
    return replicas.share(tf.random.stateless_uniform([rows, count * replicas.count()], seed))


def random_colours(count: tf.Tensor, seed: tf.Tensor, views: Views) -> tf.Tensor:
    """One random affine map of colours for each image.

    With probability views.jitter_probability: brightness, contrast and saturation factors uniform in 1 -/+ their strengths, the
    hue turned by up to views.hue of the circle either way. Then with probability views.grey_probability all colour is removed.

    Returns:
      `[count, 3, 6]` float32: a 3x3 matrix for the pixel, and beside it one for the image's mean colour; row vectors are
      multiplied by them from the right.
    """
    u = _uniform(6, count, seed)
    jitter = u[0] < views.jitter_probability

    def factor(uniform, strength):
        return tf.where(jitter, 1 + strength * (2 * uniform - 1), 1.0)

    brightness, contrast, saturation = (
        factor(u[1], views.brightness), factor(u[2], views.contrast), factor(u[3], views.saturation))  # fmt: skip
    turn = tf.where(jitter, views.hue * (2 * u[4] - 1), 0.0)
    saturation = tf.where(u[5] < views.grey_probability, 0.0, saturation)
    return colour_map(brightness, contrast, saturation, turn)


def colour_map(brightness: tf.Tensor, contrast: tf.Tensor, saturation: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """The affine map that equals brightness, contrast, saturation and hue one after another, without clipping between them.

    Brightness multiplies; contrast blends with the mean grey of the image, saturation with the grey of the pixel (torchvision's
    definitions); hue turns the plane of I and Q, which leaves grey alone. Contrast's mean grey stays grey under what follows.

    Args:
      brightness, contrast, saturation: factors, `[count]` float32, 1 changes nothing.
      turn: share of the colour circle, `[count]` float32, 0 changes nothing.

    Returns:
      `[count, 3, 6]` as random_colours.
    """
    identity = tf.eye(3)
    to_grey = tf.constant(np.outer(LUMA, np.ones(3, np.float32)))
    saturate = _each(saturation) * identity + _each(1 - saturation) * to_grey
    angle = 2 * math.pi * turn
    cos, sin, zero, one = tf.cos(angle), tf.sin(angle), tf.zeros_like(angle), tf.ones_like(angle)
    rotation = tf.stack([tf.stack([one, zero, zero], 1), tf.stack([zero, cos, sin], 1), tf.stack([zero, -sin, cos], 1)], axis=1)
    hue = tf.constant(RGB_TO_YIQ.T) @ rotation @ tf.constant(YIQ_TO_RGB.T)
    pixel = _each(brightness * contrast) * (saturate @ hue)
    mean = _each(brightness * (1 - contrast)) * to_grey
    return tf.concat([pixel, mean], axis=2)


def _each(values: tf.Tensor) -> tf.Tensor:
    return values[:, None, None]


def apply_colours(images: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Applies one colour map to each image and clips.

    Args:
      images: `[count, height, width, 3]` float32 in [0, 1].
      maps: `[count, 3, 6]` float32, from colour_map.

    Returns:
      As `images`.
    """
    shape = tf.shape(images)
    pixels = tf.reshape(images, [shape[0], -1, 3])
    mean = tf.reduce_mean(pixels, axis=1, keepdims=True)
    mapped = pixels @ maps[:, :, :3] + mean @ maps[:, :, 3:]
    return tf.ensure_shape(tf.reshape(tf.clip_by_value(mapped, 0.0, 1.0), shape), images.shape)


def random_sigmas(count: tf.Tensor, seed: tf.Tensor, views: Views) -> tf.Tensor:
    """Standard deviations of the blur, `[count]` float32, uniform between the two limits, or 0 where an image is left sharp."""
    u = _uniform(2, count, seed)
    sigma = views.blur_min_sigma + (views.blur_max_sigma - views.blur_min_sigma) * u[1]
    return tf.where(u[0] < views.blur_probability, sigma, 0.0)


def gaussian_blur(images: tf.Tensor, sigmas: tf.Tensor, radius: int) -> tf.Tensor:
    """Blurs each image by a Gaussian of its own, in two one-dimensional passes; borders are reflected.

    Args:
      images: `[count, height, width, 3]` float32; height and width over `radius`.
      sigmas: `[count]` float32 in pixels; 0 leaves an image as it is.
      radius: pixels to either side that the kernel reaches.

    Returns:
      As `images`.
    """
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    # 1e-3 pixels make the kernel a single 1: the image stays as it is, without a division by zero.
    kernels = tf.exp(-(offsets**2) / (2 * tf.maximum(sigmas, 1e-3)[:, None] ** 2))
    kernels /= tf.reduce_sum(kernels, axis=1, keepdims=True)
    height, width = images.shape[1], images.shape[2]
    padded = tf.pad(images, [[0, 0], [radius, radius], [0, 0], [0, 0]], "REFLECT")
    rows = tf.add_n([padded[:, i : i + height] * kernels[:, i, None, None, None] for i in range(2 * radius + 1)])
    padded = tf.pad(rows, [[0, 0], [0, 0], [radius, radius], [0, 0]], "REFLECT")
    return tf.add_n([padded[:, :, i : i + width] * kernels[:, i, None, None, None] for i in range(2 * radius + 1)])
