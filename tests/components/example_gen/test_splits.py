"""Promises of splits: shares per class, whole groups on one side, stability."""

import hashlib

import numpy as np
import pytest

from components.example_gen.division import divide, held_out, keep_given


def hashes(count, salt=""):
    return [hashlib.sha256(f"{salt}{i}".encode()).hexdigest() for i in range(count)]


def count(classes, sides, name, side):
    return sum(c == name and s == side for c, s in zip(classes, sides, strict=True))


def test_each_class_gives_its_share_to_eval():
    classes = ["a"] * 100 + ["b"] * 37 + ["c"] * 2
    sides = divide(classes, hashes(139), np.arange(139), 0.15, 0)
    assert [count(classes, sides, name, "eval") for name in "abc"] == [15, 6, 1]  # 15, round(5.55), at least 1
    assert set(sides) == {"train", "eval"}


@pytest.mark.parametrize(("labelled", "in_eval"), [
    (60, 30),  # half: 150 would leave nothing
    (150, 75),
    (300, 150),
    (600, 150),
    (1000, 150),  # 15 %
    (3000, 450),
])  # fmt: skip
def test_where_labels_are_few_more_of_them_are_held_out(labelled, in_eval):
    classes = [f"class {i % 5}" for i in range(labelled)]
    sides = divide(classes, hashes(labelled), np.arange(labelled), 0.15, 150)
    assert sides.count("eval") == in_eval
    assert {count(classes, sides, f"class {i}", "eval") for i in range(5)} == {in_eval // 5}


def test_uneven_classes_together_give_the_least_number():
    # 150 of 400 are three eighths: 112.5, 33.75 and 3.75, each rounded up; a class of one has none to give.
    assert held_out({"a": 300, "b": 90, "c": 10}, 0.15, 150) == {"a": 113, "b": 34, "c": 4}
    assert held_out({"a": 7, "b": 1}, 0.15, 150) == {"a": 3, "b": 0}
    # A wanted share above a half is the user's, and is kept.
    assert held_out({"a": 10, "b": 10}, 0.7, 150) == {"a": 7, "b": 7}


def test_a_group_is_never_divided_even_across_classes():
    classes = ["a", "b"] * 50
    groups = np.arange(100) // 4  # four photographs each, two of either class
    sides = np.array(divide(classes, hashes(100), groups, 0.3, 0))
    for group in range(25):
        assert len(set(sides[groups == group])) == 1
    assert count(classes, sides, "a", "eval") == 14  # 15 wanted, and groups come in twos


def test_names_and_order_do_not_matter_and_new_photographs_move_few():
    classes, content = ["a", "b"] * 100, hashes(200)
    before = dict(zip(content, divide(classes, content, np.arange(200), 0.15, 0), strict=True))
    order = np.random.default_rng(0).permutation(200)
    shuffled = divide([classes[i] for i in order], [content[i] for i in order], np.arange(200), 0.15, 0)
    assert dict(zip([content[i] for i in order], shuffled, strict=True)) == before
    more = hashes(10, "new")
    after = dict(zip(content + more, divide(classes + ["a"] * 10, content + more, np.arange(210), 0.15, 0), strict=True))
    assert sum(before[h] != after[h] for h in content) <= 3


def test_a_class_of_large_groups_still_has_both_sides():
    sides = divide(["a"] * 6 + ["b"] * 6, hashes(12), np.array([0, 0, 0, 0, 1, 1] + list(range(2, 8))), 0.15, 0)
    assert sides[:6] == ["train"] * 4 + ["eval"] * 2  # no group has one photograph: the smaller one is held out


def test_a_class_that_is_one_picture_stays_in_train():
    sides = divide(["a"] * 4 + ["b"] * 10, hashes(14), np.array([0] * 4 + list(range(1, 11))), 0.15, 0)
    assert sides[:4] == ["train"] * 4


def test_with_given_splits_train_loses_what_eval_has():
    given = ["train", "train", "eval", "train", "eval", "eval"]
    assert keep_given(given, np.array([0, 1, 1, 2, 3, 3])) == ["train", "left out", "eval", "train", "eval", "eval"]
