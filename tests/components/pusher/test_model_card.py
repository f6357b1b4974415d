"""The model card says what it promises; what nobody vouches for (names of classes and files, licences) stays text."""

import dataclasses
import re

import pytest
from markdown_it import MarkdownIt
from tiny import PROJECT

from components.pusher.model_card import OLDEST_KERAS, OLDEST_TENSORFLOW, Facts, code, escaped, model_card, table

FACTS = Facts(
    name="flowers-backbone", backbone_hash="b" * 64, probe_hash="p" * 64, run_id="run-1", code="0.1.0+abc",
    recipe="r" * 64, stated_licence="",
    backbone={
        "backbone": "resnet18", "width": 32, "stem": "imagenet", "resolution": 64, "photograph_side": 128, "embedding_size": 480,
        "embedding": {"stages": 4, "pooling": ["mean", "deviation"]},
        "pretrain": {"batch_size": 64, "resolution": 64, "seed": 7, "warm_start": {"backbone": "", "content_hash": ""}},
    },
    ingest={
        "fingerprint": "f" * 64, "source": "/photos", "kind": "folder", "classes": ["daisy", "rose"], "images": 1600,
        "quarantined": {"total": 3}, "near_duplicates": {"left_out_of_train": 2}, "split_rule": "by content",
        "splits": {"train": {"images": 1200, "by_class": {"daisy": 700, "rose": 500}},
                   "eval": {"images": 400, "by_class": {"daisy": 250, "rose": 150}}, "unlabelled": {"images": 0}},
        "licence": {"text": "", "citation": ""},
    },
    pretrain={"epochs": 80, "steps": 1500, "seconds": 1234.5, "images_per_second": 101.4, "final_loss": -0.912,
              "output_std_ratio": 0.95, "effective_rank": 41.2},
    linear_eval={"knn_top1": 0.58, "random_init_knn_top1": 0.45, "calibration": {
        "stated_precision": 0.95,
        "candidate": {"calibration_error": 0.034, "coverage": 0.479, "precision": 0.94},
        "random_init": {"calibration_error": 0.065, "coverage": 0.0, "precision": None}}, "label_curve": [
        {"fraction": 0.1, "labels": 120, "candidate": {"mean": 0.55, "deviation": 0.02},
         "random_init": {"mean": 0.5, "deviation": 0.03}},
        {"fraction": 1.0, "labels": 1200, "candidate": {"mean": 0.64, "deviation": None},
         "random_init": {"mean": 0.53, "deviation": None}},
    ]},
    verdict={
        "metrics": {"candidate": {"accuracy": 0.64, "macro_f1": 0.63, "cross_entropy": 0.9},
                    "untrained": {"accuracy": 0.53, "macro_f1": 0.52, "cross_entropy": 1.1},
                    "champion": {"accuracy": 0.62, "macro_f1": 0.6, "cross_entropy": 1.0}},
        "per_class": {"daisy": 0.7, "rose": None}, "classes": ["daisy", "rose"], "eval_examples": 400, "baseline_version": "3",
        "reasons": ["accuracy 0.64 is at least gate.min_accuracy 0.55"],
        "eval_split": "e" * 64,
    },
)  # fmt: skip

# Each tries to be more than text: HTML, pictures, links, cells of a table, code that ends, headings, control of a display.
HOSTILE = [
    "<script>alert(1)</script>", "![x](http://evil/x.png)", "[click](javascript:alert(1))", "a | b | c", "a\n| new | row |",
    "`` ` ``", "```\n# heading", "\n\n# heading\n", "*bold* _it_ ~~x~~", "http://evil.example www.evil.example a@evil.example",
    "&lt;b&gt;", "\x1b[2J\u202egnp.exe", "\\", "`", " ", "", "\\|", "<!-- ", "$x$",
]  # fmt: skip


def parsed(text):
    """Tokens as GitHub's Markdown gives them, links made of bare addresses included."""
    return MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(text)


def kinds(text):
    return [inner.type for token in parsed(text) for inner in [token, *(token.children or [])]]


def test_the_card_has_every_part_with_its_figures():
    card = model_card(FACTS)
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings == ["# flowers-backbone: model card", "## The vector", "## Data", "## Licence", "## Recipe", "## Figures",
                        "## Limits", "## How to load it", "## How to serve it"]  # fmt: skip
    for text in (
        "`[batch, 480]` float32", "`[batch, 128, 128, 3]` float32 in [0, 1]", "mean and deviation",
        "on 1,200 photographs, whose labels were not used for it", "0 of them without a label",
        "| `daisy` | 700 | 250 |", "| all | 1,200 | 400 |",
        "| linear top-1 | 64.0 % | 53.0 % |", "| kNN top-1 | 58.0 % | 45.0 % |",
        "| expected calibration error (less is better) | 3.4 % | 6.5 % |",
        "| predictions that are sure | 47.9 % | 0.0 % |", "| right of those that are sure, 95.0 % intended | 94.0 % | not measured |",
        "| linear top-1 with 120 labels | 55.0 % ± 2.0 % | 50.0 % ± 3.0 % |", "| `rose` | not measured | 150 |",
        "version 3 (linear top-1 62.0 % on the same photographs)",
        "- accuracy 0.64 is at least gate.min\\_accuracy 0.55", "80 epochs (1,500 steps of 64 photographs) at 64 pixels",
        # sqrt(0.64 x 0.36 / 400) = 0.024
        "the standard error of linear top-1 is 2.4 %",
    ):  # fmt: skip
        assert text in card
    assert all(hash in card for hash in ("b" * 64, "p" * 64, "f" * 64, "e" * 64, "r" * 64))


@pytest.mark.parametrize(("stated", "known", "expected"), [
    ("", "", "The licence of the data was not stated."),
    ("CC BY 4.0", "", "Of the data, as stated by the person who ran the pipeline (`data.licence`): CC BY 4.0"),
    ("", "CC BY 2.0", "Of the data, as its source states it: CC BY 2.0"),
])  # fmt: skip
def test_the_licence_is_what_was_stated_and_never_made_up(stated, known, expected):
    ingest = FACTS.ingest | {"licence": {"text": known, "citation": "@article{a}"}}
    card = model_card(dataclasses.replace(FACTS, stated_licence=stated, ingest=ingest))
    assert expected in card
    assert ("was not stated" in card) == (not stated and not known)


def test_synthetic_flowers_are_said_to_prove_nothing_about_photographs():
    assert "drawn by a program" in model_card(dataclasses.replace(FACTS, ingest=FACTS.ingest | {"kind": "synthetic"}))
    assert "drawn by a program" not in model_card(FACTS)


def test_a_first_version_has_no_champion_beside_it():
    verdict = FACTS.verdict | {"baseline_version": None, "metrics": FACTS.verdict["metrics"] | {"champion": None}}
    assert "The gate compared with no champion, as there was none" in model_card(dataclasses.replace(FACTS, verdict=verdict))


@pytest.mark.parametrize("text", HOSTILE)
def test_running_text_stays_text(text):
    assert set(kinds(f"Licence: {escaped(text)}")) <= {"paragraph_open", "inline", "text", "text_special", "paragraph_close"}
    assert "://" not in escaped(text) and "www." not in escaped(text) and "@" not in escaped(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_code_in_a_table_stays_code_in_its_cell(text):
    found = parsed(table(("class", "n"), [(code(text), "7"), ("after", "8")]))
    inline = [token for token in found if token.type == "inline"]
    assert [token.content for token in inline][-3:] == ["7", "after", "8"] and len(inline) == 6
    cell = inline[2].children
    if text.strip():
        assert [token.type for token in cell] == ["code_inline"]
        visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        assert cell[0].content == visible.replace("\\|", "|") or cell[0].content == visible
    else:
        assert cell[0].content == "(empty)"


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.strip()])
def test_a_card_of_hostile_names_has_the_structure_of_any_other(text):
    ingest = FACTS.ingest | {
        "source": text, "classes": [text, "rose"], "licence": {"text": text, "citation": text},
        "splits": {split: {"images": 2, "by_class": {text: 1, "rose": 1}} for split in ("train", "eval")}
        | {"unlabelled": {"images": 0}},
    }  # fmt: skip
    verdict = FACTS.verdict | {"classes": [text, "rose"], "per_class": {text: 0.5, "rose": 1.0}, "reasons": [f"because {text}"]}
    harmless = FACTS.ingest | {"licence": {"text": "x", "citation": "x"}}
    hostile = model_card(dataclasses.replace(FACTS, stated_licence=text, ingest=ingest, verdict=verdict))
    expected = model_card(dataclasses.replace(FACTS, stated_licence="x", ingest=harmless))
    plain = {"text", "text_special"}
    assert [kind for kind in kinds(hostile) if kind not in plain] == [kind for kind in kinds(expected) if kind not in plain]
    assert "\x1b" not in hostile


def test_the_oldest_releases_on_the_card_are_those_that_were_measured():
    """By the table of docs/export.md, which benchmarks/oldest_tensorflow.py prints."""
    rows = re.findall(
        r"^\| (\d\.\d+)\.\d+ \| (\d\.\d+)\.\d+ \| [\d.]+ \| (yes|no)\b[^|]*\| (yes|no)\b",
        (PROJECT / "docs" / "export.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) > 10

    def number(release):
        return [int(part) for part in release.split(".")]

    assert min((row[0] for row in rows if row[2] == "yes"), key=number) == OLDEST_TENSORFLOW
    assert min((row[1] for row in rows if row[3] == "yes"), key=number) == OLDEST_KERAS
    assert all(number(row[0]) < number(OLDEST_TENSORFLOW) for row in rows if row[2] == "no")
    assert all(number(row[1]) < number(OLDEST_KERAS) for row in rows if row[3] == "no")
    assert f"TensorFlow {OLDEST_TENSORFLOW} and newer, the `.keras` file in Keras {OLDEST_KERAS} and newer" in model_card(FACTS)
