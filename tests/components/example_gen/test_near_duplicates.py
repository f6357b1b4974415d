"""Promises of near_duplicates, on made pictures and, where it is there, on real Flowers."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from components.example_gen import candidates, near_duplicates, photograph

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
    groups = near_duplicates.group([describe(d) for d in data])
    assert len(set(groups[:40].tolist())) == 40
    assert groups[40:].tolist() == [groups[i] for i in range(5) for _ in range(7)]


def test_sameness_is_transitive_across_a_chain():
    first, last = picture(1), picture(2)
    chain = [Image.blend(first, last, step / 20) for step in range(21)]
    groups = near_duplicates.group([describe(encode(image, quality=95)) for image in chain])
    assert len(set(groups.tolist())) == 1
    assert len(set(near_duplicates.group([describe(encode(image, quality=95)) for image in (first, last)]).tolist())) == 2


def test_plain_colours_are_the_same_only_if_they_are_equal():
    colors = [(200, 0, 0), (200, 0, 0), (190, 0, 0), (0, 0, 0), (255, 255, 255)]
    groups = near_duplicates.group([describe(encode(Image.new("RGB", (32, 32), color), "BMP")) for color in colors])
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 4


@pytest.mark.parametrize("few", [0, 1000], ids=["searched", "compared"])
def test_every_pair_that_comparing_all_with_all_finds_is_found(monkeypatch, few):
    monkeypatch.setattr(near_duplicates, "FEW", few)
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
            if np.linalg.norm(flat[i] - flat[j]) <= 0.22 * min(contrast[i], contrast[j]):
                reference[reference == reference[i]] = reference[j]
    groups = near_duplicates.group([p.tobytes() for p in pictures])
    assert 60 <= len(set(reference.tolist())) < 290
    assert [(groups == g).nonzero()[0].tolist() for g in groups] == [(reference == r).nonzero()[0].tolist() for r in reference]


def test_the_search_never_takes_two_thumbnails_for_further_apart_than_they_are():
    random = np.random.default_rng(6)
    base = random.integers(0, 256, (20, 768))
    noisy = np.clip(base[:, None] + random.normal(0, 1, (20, 9, 768)) * np.arange(9)[None, :, None], 0, 255).round()
    plain = np.repeat(random.integers(0, 256, (10, 3)), 256, axis=0).reshape(10, 768)
    thumbnails = np.concatenate([noisy.reshape(180, 768), plain, plain[:, ::-1]]).astype(np.uint8)
    points, true = near_duplicates._search_points(thumbnails, np.arange(200)), cdist(thumbnails, thumbnails)
    assert points.shape == (200, 17)
    assert (cdist(points, points) <= true + candidates.POINT_ERROR).all()
    # By Parseval's theorem, the points have the lengths of the thumbnails around their mean: nothing is lost.
    lengths = np.linalg.norm(thumbnails - thumbnails.mean(axis=0), axis=1)
    assert np.linalg.norm(points, axis=1) == pytest.approx(lengths, rel=1e-6)


def test_search_points_are_principal_components(monkeypatch):
    thumbnails = np.random.default_rng(7).integers(0, 256, (60, 768)).astype(np.uint8)
    left, strengths, _ = np.linalg.svd(thumbnails - thumbnails.mean(axis=0), full_matrices=False)
    expected = np.abs(left * strengths)[:, : near_duplicates.COMPONENTS]  # but for the sign
    points = np.abs(near_duplicates._search_points(thumbnails, np.arange(60)))
    assert points[:, :-1][:, ::-1] == pytest.approx(expected, abs=1e-2)


def same_pictures(pictures, distance=0.22):
    """All with all, bool [n, n]."""
    flat = pictures.reshape(len(pictures), -1).astype(float)
    contrast = np.sqrt(((pictures - pictures.mean((1, 2), keepdims=True)) ** 2).sum((1, 2, 3)))
    differences = cdist(flat, flat)
    return differences <= distance * np.minimum(contrast[:, None], contrast[None])


def crowds(random, count):
    """Pictures whose lowest frequencies are nearly equal, some of them the same, some apart, some in chains: uint8 [n, 16, 16, 3]."""
    sign = np.where(np.indices((16, 16)).sum(0) % 2, 1, -1)[..., None]
    strength = random.uniform(1, 12, (count, 1, 1, 1))
    pictures = random.integers(64, 192, (16, 16, 3)) + sign * random.normal(0, 1, (count, 16, 16, 3)) * strength
    return np.clip(pictures, 0, 255).astype(np.uint8)


def parts(labels):
    return [(labels == label).nonzero()[0].tolist() for label in labels]


@pytest.mark.parametrize("distance", [0.22, 0.1])
def test_photographs_with_too_many_candidates_are_compared_with_all(monkeypatch, distance):
    monkeypatch.setattr(near_duplicates, "FEW", 0)
    monkeypatch.setattr(candidates, "CANDIDATES", 8)
    monkeypatch.setattr(near_duplicates, "BLOCK", 16)
    monkeypatch.setattr(near_duplicates, "PIECE", 32)
    pictures = crowds(np.random.default_rng(3), 300)
    reference = connected_components(same_pictures(pictures, distance))[1]
    assert 2 < reference.max() < 290
    assert parts(near_duplicates.group([p.tobytes() for p in pictures], distance)) == parts(reference)


def test_a_crowd_among_others_is_told_apart_by_its_own_principal_components(monkeypatch):
    """Photographs that differ far more than the pictures of the crowd hide what these differ in."""
    random = np.random.default_rng(4)
    monkeypatch.setattr(near_duplicates, "FEW", 0)
    monkeypatch.setattr(candidates, "CANDIDATES", 8)
    crowded, join_candidates = [], near_duplicates._join_candidates

    def watched(*given):
        groups, waiting = join_candidates(*given)
        crowded.append(len(waiting))
        return groups, waiting

    monkeypatch.setattr(near_duplicates, "_join_candidates", watched)
    others = np.kron(random.integers(0, 256, (300, 4, 4, 3)), np.ones((1, 4, 4, 1)))
    crowd = 128 + 24 * random.normal(0, 1, (1, 768)) + random.normal(0, 4, (100, 6)) @ random.normal(0, 1, (6, 768))
    pictures = np.clip(np.concatenate([others, crowd.reshape(100, 16, 16, 3)]), 0, 255).astype(np.uint8)
    reference = connected_components(same_pictures(pictures))[1]
    assert 300 < reference.max() < 395
    assert parts(near_duplicates.group([p.tobytes() for p in pictures])) == parts(reference)
    assert 80 < crowded[0] <= 100 and crowded[1] < crowded[0] / 2


def test_beyond_its_comparisons_groups_grow_but_no_pair_is_ever_in_two(monkeypatch):
    monkeypatch.setattr(near_duplicates, "FEW", 0)
    monkeypatch.setattr(candidates, "CANDIDATES", 8)
    monkeypatch.setattr(near_duplicates, "BLOCK", 16)
    monkeypatch.setattr(near_duplicates, "COMPARED", 30)
    pictures = crowds(np.random.default_rng(3), 300)
    groups = near_duplicates.group([p.tobytes() for p in pictures], 0.1)
    same = same_pictures(pictures, 0.1)
    assert (groups[:, None] == groups[None])[same].all()
    assert len(set(groups.tolist())) < connected_components(same)[0]


def test_what_the_search_does_not_reach_is_compared(monkeypatch):
    monkeypatch.setattr(near_duplicates, "FEW", 0)
    monkeypatch.setattr(near_duplicates, "SEARCHED", 1)
    pictures = crowds(np.random.default_rng(3), 300)
    assert parts(near_duplicates.group([p.tobytes() for p in pictures])) == parts(connected_components(same_pictures(pictures))[1])


def test_alike_photographs_are_compared_in_proportion_to_their_number(monkeypatch):
    """The work, not the time: one block is compared with all, and all the others are then known to be of its group."""
    random, compared = np.random.default_rng(0), []
    close = near_duplicates._close
    monkeypatch.setattr(near_duplicates, "_close", lambda *given: compared.append(len(given[0]) * len(given[1])) or close(*given))
    for count in (600, 1800):
        compared.clear()
        scene = random.integers(64, 192, (16, 16, 3))
        pictures = np.clip(scene + random.normal(0, 4, (count, 16, 16, 3)), 0, 255).astype(np.uint8)
        assert set(near_duplicates.group([p.tobytes() for p in pictures]).tolist()) == {0}
        assert sum(compared) == near_duplicates.BLOCK * count


def test_who_shows_the_same_picture_as_any_of_others_directly():
    pictures = crowds(np.random.default_rng(8), 200)
    data = [p.tobytes() for p in pictures]
    expected = same_pictures(pictures)[:150, 150:].any(axis=1)
    assert 0 < expected.sum() < 150
    assert near_duplicates.close_to(data[:150], data[150:]).tolist() == expected.tolist()


def test_no_photographs_no_groups():
    assert near_duplicates.group([]).shape == (0,)


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
    groups = near_duplicates.group(descriptors + made)
    found = groups[len(files) :] == np.repeat(groups[list(chosen)], 6)
    assert found.mean() >= 0.99
    # Five pairs of the photographs are the same picture, as one sees when looking at them; all others differ.
    sizes = np.bincount(groups[: len(files)])
    assert sorted(sizes[sizes > 1].tolist()) == [2, 2, 2, 2, 2]
