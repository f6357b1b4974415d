"""Promises of the division where photographs are alike: no pair on both sides, no class swallowed, a refusal that says why."""

import hashlib

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from components.data_gate import refusals
from components.example_gen import descriptions, division, records, report
from components.example_gen.descriptions import Description

ABOUT = {"source": "x", "kind": "folder", "fingerprint": "", "split_rule": "by content", "unused": (), "licence": "", "citation": ""}


def walk(random, count, step=24.0):
    """A picture that changes a little from photograph to photograph, so that the first and the last have nothing in common."""
    scenes = random.integers(0, 256, (int(count / step) + 2, 16, 16, 3)).astype(float)
    place = np.arange(count) / step
    share = (place % 1)[:, None, None, None]
    return np.clip(scenes[place.astype(int)] * (1 - share) + scenes[place.astype(int) + 1] * share, 0, 255).astype(np.uint8)


def still(random, count):
    """A fixed camera: every two photographs within the threshold."""
    return np.clip(random.integers(64, 192, (16, 16, 3)) + random.normal(0, 4, (count, 16, 16, 3)), 0, 255).astype(np.uint8)


def described(pictures, classes, splits=None, folder="s"):
    every = [
        Description(f"{name}/{folder}{index // 25}/{index}.jpg", name, split, content_hash=hashlib.sha256(picture.tobytes()).hexdigest(),
                    width=16, height=16, thumbnail=picture.tobytes())
        for index, (picture, name, split) in enumerate(zip(pictures, classes, splits or [""] * len(pictures), strict=True))
    ]  # fmt: skip
    return descriptions.gather_few(every)


def sides_and_pairs(divided, distance=0.22):
    """The sides, and how many pairs within the threshold have one photograph in eval and one in what is learned from."""
    pictures = np.array([np.frombuffer(d.thumbnail, np.uint8) for d in divided.usable], float)
    pixels = pictures.reshape(-1, 256, 3)
    reach = distance * np.sqrt(((pixels - pixels.mean(axis=1, keepdims=True)) ** 2).sum((1, 2)))
    sides = np.array(divided.splits)
    held_out, learned = sides == "eval", (sides == "train") | (sides == "unlabelled")
    close = cdist(pictures[learned], pictures[held_out]) <= np.minimum(reach[learned][:, None], reach[held_out][None])
    return sides, int(close.sum())


@pytest.mark.parametrize("seed", range(4))
def test_a_class_that_is_one_chain_is_cut_and_no_pair_is_on_both_sides(seed):
    random = np.random.default_rng(seed)
    pictures = np.concatenate([walk(random, 400), random.integers(0, 256, (60, 16, 16, 3), np.uint8)])
    classes = ["a"] * 340 + [""] * 60 + ["b"] * 60
    divided = records.divide(described(pictures, classes, ["unlabelled" if not name else "" for name in classes]), False, 0.15, 0)
    sides, pairs = sides_and_pairs(divided)
    assert pairs == 0
    names = np.array([d.class_name for d in divided.usable])
    assert (sides[names == "a"] == "eval").sum() == 51  # 15 %
    assert (sides == division.LEFT_OUT).sum() > 0
    assert (sides[names == "a"] == "train").sum() > 170  # half of the chain at least
    assert report.build(divided, classes=["a", "b"], **ABOUT)["near_duplicates"]["left_out_of_train"] == (sides == division.LEFT_OUT).sum()


def test_of_a_chain_on_both_given_sides_only_what_eval_shows_is_left_out():
    pictures = walk(np.random.default_rng(1), 300)
    divided = records.divide(described(pictures, ["a", "b"] * 150, ["eval"] * 60 + ["train"] * 240), True, 0.15, 0)
    sides, pairs = sides_and_pairs(divided)
    assert pairs == 0 and (sides == "eval").sum() == 60
    assert 1 <= (sides == division.LEFT_OUT).sum() <= 24


def built(divided):
    """The ingest report, with the splits that are written later."""
    sides = list(zip((one.class_name for one in divided.usable), divided.splits, strict=True))
    splits = {
        split: {
            "images": sum(side == split for _, side in sides),
            "by_class": {name: sides.count((name, split)) for name in ("closed", "open")},
        }
        for split in ("train", "eval", "unlabelled")
    }
    return report.build(divided, classes=["closed", "open"], **ABOUT) | {"splits": splits}


def test_a_fixed_camera_is_refused_with_the_cause_and_the_settings():
    photographs = described(still(np.random.default_rng(2), 200), ["open"] * 120 + ["closed"] * 80)
    found = built(records.divide(photographs, False, 0.15, 150))
    sentences = refusals(found, {}, 0.01, 1)
    assert sentences[1] == (
        "class 'open' has no photograph in eval (by content): 120 of its 120 photographs look alike, one like the next, and count as "
        "one picture (such as 'open/s0/0.jpg', 'open/s0/1.jpg', 'open/s0/10.jpg'); set data.group_by, for example to folder, so that the "
        "path says which belong together, or data.near_duplicate_distance lower, down to 0, at which only identical files are the same"
    )  # fmt: skip
    # That the classes differ in little is no wrong label.
    assert found["near_duplicates"]["in_two_classes"] == []


@pytest.mark.parametrize("settings", [{"distance": 0}, {"distance": 0.02}, {"group_by": "folder"}, {"group_by": r"/(s\d+)/"}])
def test_each_of_the_settings_divides_a_fixed_camera(settings):
    photographs = described(still(np.random.default_rng(2), 200), ["open"] * 120 + ["closed"] * 80)
    divided = records.divide(photographs, False, 0.15, 0, **settings)
    assert refusals(built(divided), {}, 0.01, 1) == []
    assert division.LEFT_OUT not in divided.splits
    if "group_by" in settings:
        of = {}
        for one, side in zip(divided.usable, divided.splits, strict=True):
            of.setdefault(one.path.split("/")[1] if "(" in settings["group_by"] else one.path.rpartition("/")[0], set()).add(side)
        assert all(len(sides) == 1 for sides in of.values())


def test_groups_by_path_keep_identical_files_together_and_say_so_where_a_class_is_one_group():
    groups = division.by_path(["a/s1/0", "a/s1/1", "a/s2/0", "b/x", "b/s1/3"], ["h", "i", "i", "k", "l"], r"s\d")
    assert groups.tolist() == [groups[0]] * 3 + [groups[3], groups[0]] and groups[3] != groups[0]
    photographs = described(np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8), ["open"] * 20 + ["closed"] * 20)
    sentences = refusals(built(records.divide(photographs, False, 0.15, 0, group_by="folder")), {}, 0.01, 1)
    assert "20 of its 20 photographs are one group of data.group_by='folder' (such as 'open/s0/0.jpg'" in " ".join(sentences)
