"""Promises of near_duplicates.group, on made pictures and, where it is there, on real Flowers."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from components.example_gen import division, photograph

FLOWERS = pathlib.Path(__file__).parents[3].parent / "shared/data/flowers"


def encode(image, format="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def describe(data):
    return photograph.prepare(data, 192, 10_000_000).descriptor


def picture(seed, width=160, height=120):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def copies(image):
    width, height = image.size
    half = image.resize((width // 2, height // 2), Image.Resampling.LANCZOS)
    return [
        encode(image, quality=50), encode(image, "PNG"), encode(image, "WEBP", quality=60), encode(image.quantize(256), "GIF"),
        encode(half, quality=85), encode(half, quality=50), encode(image.resize((2 * width, 2 * height)), quality=75),
    ]  # fmt: skip


def test_copies_of_one_picture_form_one_group_and_different_pictures_do_not():
    originals = [picture(seed) for seed in range(40)]
    data = [encode(image, quality=95) for image in originals]
    for image in originals[:5]:
        data += copies(image)
    groups = division.group([describe(d) for d in data])
    assert len(set(groups[:40].tolist())) == 40
    assert groups[40:].tolist() == [groups[i] for i in range(5) for _ in range(7)]


def test_sameness_is_transitive_across_a_chain():
    first, last = picture(1), picture(2)
    chain = [Image.blend(first, last, step / 20) for step in range(21)]
    groups = division.group([describe(encode(image, quality=95)) for image in chain])
    assert len(set(groups.tolist())) == 1
    assert len(set(division.group([describe(encode(image, quality=95)) for image in (first, last)]).tolist())) == 2


def test_plain_colours_are_the_same_only_if_they_are_equal():
    colors = [(200, 0, 0), (200, 0, 0), (190, 0, 0), (0, 0, 0), (255, 255, 255)]
    groups = division.group([describe(encode(Image.new("RGB", (32, 32), color), "BMP")) for color in colors])
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 4


def test_the_search_finds_every_pair_that_comparing_all_with_all_finds():
    random = np.random.default_rng(5)
    base = random.integers(0, 256, (60, 16, 16, 3)).astype(float)
    # Each of 60 pictures and four versions at growing distance, some on either side of the threshold.
    pictures = np.concatenate([base + strength * random.normal(0, 1, base.shape) for strength in (0, 8, 13, 15, 18)])
    pictures = np.clip(pictures, 0, 255).astype(np.uint8)
    flat = pictures.reshape(300, -1).astype(float)
    contrast = np.sqrt(((pictures - pictures.mean((1, 2), keepdims=True)) ** 2).sum((1, 2, 3)))
    reference = np.arange(300)
    for i in range(300):
        for j in range(i):
            if np.linalg.norm(flat[i] - flat[j]) <= division.THRESHOLD * min(contrast[i], contrast[j]):
                reference[reference == reference[i]] = reference[j]
    groups = division.group([p.tobytes() for p in pictures])
    assert 60 <= len(set(reference.tolist())) < 290
    assert [(groups == g).nonzero()[0].tolist() for g in groups] == [(reference == r).nonzero()[0].tolist() for r in reference]


def test_no_photographs_no_groups():
    assert division.group([]).shape == (0,)


# Thousands of real photographs.
@pytest.mark.slow
@pytest.mark.skipif(not FLOWERS.is_dir(), reason="needs ../shared/data/flowers")
def test_on_flowers_copies_are_found_and_nothing_else_is_merged():
    files = sorted(FLOWERS.glob("*/*.jpg"))
    descriptors = [describe(path.read_bytes()) for path in files]
    chosen = range(0, len(files), 30)
    made = []
    for index in chosen:
        with Image.open(files[index]) as image:
            made += [describe(data) for data in copies(image.convert("RGB"))[:6]]
    groups = division.group(descriptors + made)
    found = groups[len(files) :] == np.repeat(groups[list(chosen)], 6)
    assert found.mean() >= 0.99
    # Five pairs of the photographs are the same picture, as one sees when looking at them; all others differ.
    sizes = np.bincount(groups[: len(files)])
    assert sorted(sizes[sizes > 1].tolist()) == [2, 2, 2, 2, 2]
