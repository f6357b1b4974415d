"""The parts of the page: intervals, confusions, single photographs, drift."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from run_artifacts import EVAL, NASTY, TRAIN, verdict

from components.report import charts, pictures, sections
from components.report.sections import accuracy, by_class, confusions


@pytest.mark.parametrize(("correct", "total", "low", "high"), [
    # Wilson's interval, z = 1.959964: (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n).
    (8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962),
])  # fmt: skip
def test_intervals_are_wilson_s(correct, total, low, high):
    found = accuracy(correct, total)
    assert (found.value, found.low, found.high) == pytest.approx((correct / total, low, high), abs=5e-5)


def test_classes_come_worst_first_with_what_they_are_taken_for():
    rows = by_class({"classes": ["a", "b", "c"], "confusion_matrix": [[3, 1, 0], [0, 4, 0], [0, 0, 0]]})["rows"]
    assert [(row["name"], row["correct"], row["total"], row["confused_with"]) for row in rows] == [
        ("a", 3, 4, "b"), ("b", 4, 4, None), ("c", 0, 0, None)]  # fmt: skip
    assert rows[2]["accuracy"] is None


def test_confusions_count_each_kind_of_mistake():
    found = confusions(verdict())
    # Every third of 24 photographs of six classes in turn: classes 0 and 3, always taken for the next.
    assert [(pair["name"], pair["taken_for"], pair["count"], pair["share"]) for pair in found["pairs"]] == [
        (NASTY[0], NASTY[1], 4, 1.0), (NASTY[3], NASTY[4], 4, 1.0)]  # fmt: skip


def colour(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))).mean((0, 1))


def test_photographs_are_found_by_position_across_files(found):
    for split, count in (("train", TRAIN), ("eval", EVAL)):
        taken = pictures.read_photographs(found.records[split], [0, count - 1, count // 2])
        assert sorted(taken) == [0, count // 2, count - 1]
        for position, photograph in taken.items():
            assert photograph.path == f"{NASTY[position % len(NASTY)]}/{position}.jpg"
            assert colour(pictures.thumbnail(photograph, 16)) == pytest.approx([position * 5, 100, 50], abs=4)


def test_the_mistakes_shown_are_the_most_confident_ones(found):
    shown = pictures.mistakes(found)
    # 0, 3, … 21 are wrong, the later the surer.
    assert (shown["wrong"], shown["of"]) == (8, EVAL)
    assert [card["path"].rpartition("/")[2] for card in shown["shown"]] == [f"{i}.jpg" for i in (21, 18, 15, 12, 9, 6, 3, 0)]
    assert shown["shown"][0]["class"] == NASTY[21 % 6] and shown["shown"][0]["predicted"] == NASTY[22 % 6]


def test_neighbours_keep_their_order(found):
    row = pictures.neighbours(found)[0]
    assert [one["path"].rpartition("/")[2] for one in row["nearest"]] == ["6.jpg", "35.jpg", "12.jpg"]
    assert row["query"]["path"].endswith("/0.jpg")


def test_the_sprite_has_every_picture_at_its_place(found):
    taken = pictures.read_photographs(found.records["eval"], range(5))
    uri, columns = pictures.sprite([taken[position] for position in range(5)], 8)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))).astype(int)
    assert columns == 3 and sheet.shape == (16, 24, 3)
    for position in range(5):
        square = sheet[position // 3 * 8 :, position % 3 * 8 :][2:6, 2:6]
        assert square[..., 0].mean() == pytest.approx(position * 5, abs=8)


def test_the_map_keeps_groups_together_and_is_the_same_every_time():
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    embeddings = np.eye(6)[labels] * 5 + random.normal(size=(40, 6)) * 0.1
    placed = pictures.positions(embeddings)
    assert placed.min() >= 0 and placed.max() <= 1
    centres = [placed[labels == label].mean(axis=0) for label in (0, 1)]
    nearer = np.linalg.norm(placed[:, None] - np.array(centres), axis=2).argmin(axis=1)
    assert (nearer == labels).all()
    assert (pictures.positions(embeddings) == placed).all()
    with pytest.raises(ValueError, match="at least 8 photographs, got 3"):
        pictures.positions(embeddings[:3])


def test_drift_is_0_of_the_same_and_1_of_what_has_nothing_in_common():
    looks = {"brightness": [4, 0], "contrast": [2, 2], "saturation": [0, 4]}
    now = {"train_by_class": {"a": 3, "b": 1}, "eval_by_class": {"a": 3, "b": 1}, "appearance": {"train": looks, "eval": looks}}
    assert [row["distance"] for row in sections.drift(now, now)] == pytest.approx([0, 0, 0, 0])
    turned = {measure: counts[::-1] for measure, counts in looks.items()}
    then = {"train_by_class": {"c": 1}, "eval_by_class": {"c": 1}, "appearance": {"train": turned, "eval": turned}}
    assert [row["distance"] for row in sections.drift(now, then)] == pytest.approx([1, 1, 0, 1])
    # Of a record from before appearances were kept.
    before = {"train_by_class": {"a": 3, "b": 1}, "eval_by_class": {"a": 0, "b": 0}}
    assert [row["distance"] for row in sections.drift(now, before)] == [pytest.approx(0), None, None, None]


def test_charts_take_the_page_s_colours_and_fetch_nothing():
    drawn = charts.curve([1, 2, 3], [0.5, None, 0.7], 'a "curve" & <more>', limit=0.1)
    assert "var(--accent)" in drawn and "#010101" not in drawn and "<style" not in drawn and "font-family" not in drawn
    assert 'aria-label="a &#34;curve&#34; &amp; &lt;more&gt;"' in drawn
    assert "<image" not in charts.histogram([1, 2], [2, 1], "h")
