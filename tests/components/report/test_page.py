"""The page as text: the verdict first, every name escaped, nothing fetched, limits stated, the same bytes for the same run."""

import dataclasses
import html.parser
import re

import pytest
from run_artifacts import NASTY, TRAIN, calibration, ingest, network, push, verdict

from components.report import artifacts, page, sections
from components.report.page import LONGEST, name


class Elements(html.parser.HTMLParser):
    """Elements with their attributes, and the text outside of script and style."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self._silent = [], "", 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._silent += tag in ("script", "style")

    def handle_endtag(self, tag):
        self._silent -= tag in ("script", "style")
        self.text += " " if tag in ("td", "th") else ""

    def handle_data(self, data):
        self.text += "" if self._silent else data

    def of(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]

    def says(self, text):
        return text in re.sub(r"\s+", " ", self.text)


@pytest.fixture(scope="module")
def text(found):
    return page.render(found)


@pytest.fixture(scope="module")
def elements(text):
    return Elements(text)


def test_names_are_text_and_nothing_else(elements):
    # One script of ours and the map's data; no image but data, nothing with an event handler, wherever names came in.
    assert [attributes.get("type") for attributes in elements.of("script")] == ["application/json", None]
    assert all(attributes["src"].startswith("data:image/jpeg;base64,") for attributes in elements.of("img"))
    assert not [one for _, attributes in elements.elements for one in attributes if one.startswith("on")]
    for shown in NASTY[:2]:
        assert elements.says(name(shown))


def test_characters_that_turn_the_direction_are_spelt_out(elements):
    assert elements.says(r"\u202egpj.txt\u2066") and "\u202e" not in elements.text and "\u2066" not in elements.text
    assert elements.says("🌷🌻 tulip & sunflower")


def test_endless_names_are_shortened_in_the_middle(elements):
    assert len(name(NASTY[4])) == LONGEST and name(NASTY[4])[0] == "l" and name(NASTY[4])[-1] == "g"
    assert elements.says(name(NASTY[4])) and not elements.says(NASTY[4])


def test_nothing_is_fetched(text, elements):
    (policy,) = [one["content"] for one in elements.of("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not elements.of("link", "iframe", "object", "embed", "base", "form")
    without_names = text.replace("http://www.w3.org/1999/xlink", "")
    assert "http://" not in without_names and "https://" not in without_names and "url(http" not in without_names


def test_the_same_run_gives_the_same_bytes(found, text):
    assert page.render(found) == text


def test_ids_are_unique(elements):
    ids = [attributes["id"] for _, attributes in elements.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("changes", "title"), [
    ({}, "Registered as version 4, the champion"),
    ({"alias": None, "reasons": ["judged against version 3, but the champion is now version 5"]},
     "Registered as version 4, not champion"),
    ({"created": False}, "Registered before as version 4, the champion"),
    ({"pushed": False, "created": False, "version": None, "alias": None}, "Not registered"),
])  # fmt: skip
def test_the_verdict_comes_first_with_its_reasons(changes, title):
    only = artifacts.Artifacts(verdict=verdict(), push=push(**changes))
    body = page.render(only).partition("<body>")[2]
    assert re.search(r"<h1[^>]*>(.*?)</h1>", body)[1] == title
    assert body.index(title) < body.index("gate.min_accuracy 50.0 %") < body.index("<main>")
    if changes.get("pushed", True):
        assert push(**changes)["reasons"][0] in body


def test_every_accuracy_is_shown_with_its_random_init_baseline_and_interval(elements):
    # 16 of 24; Wilson's interval worked out by hand from the formula with z = 1.959964.
    for figure in ("66.7 %", "random-init 50.0 %", "46.7 % to 82.0 %", "random-init 40.0 %", "points (−8.6 to +39.3)"):
        assert elements.says(figure), figure


def test_accuracy_over_labels_is_a_chart_and_a_table_with_every_network(elements, text):
    # Means and deviations of 40 and 50 %, 20 and 30 %, 30 and 40 %; the two shares that are the same six labels are one row.
    assert elements.says("Labels of train this backbone random-init baseline champion gain over random-init, points")
    assert elements.says("6 1 % 45.0 % ± 7.1 % 25.0 % ± 7.1 % 35.0 % ± 7.1 % +20.0 ± 0.0 36 100 % 66.7 % 50.0 % 62.5 % +16.7")
    assert 'aria-label="Accuracy over the number of labels' in text and "var(--champion)" in text


def test_accuracy_over_labels_is_shown_before_there_is_a_verdict(uris):
    early = {key: uris[key] for key in ("examples", "ingest_report", "anomalies", "linear_eval_run", "probe")}
    assert Elements(page.render(artifacts.read(early, None, None, ""))).says("Labels of train this backbone random-init baseline")


def test_calibration_is_shown_with_its_random_init_baseline(elements):
    assert elements.says("for a precision of 95 %; the figures are of the eval split")
    for row in ("calibration error 3.1 % 5.2 %", "without temperature 9.4 % 9.4 %", "temperature 0.83 0.83", "sure from 71.0 % –",
                "sure 62.5 % 0.0 %", "right of these 93.3 % –"):  # fmt: skip
        assert elements.says(row), row
    assert elements.says("Probe on This backbone Random-init baseline") and not elements.says("counts as unsure")


@pytest.mark.parametrize(("changes", "said"), [
    ({"temperature": None, "threshold": None, "calibration_error": None}, "Fewer than two classes have two labelled photographs for"),
    ({"threshold": None}, "No threshold reached that precision: every prediction counts as unsure."),
])  # fmt: skip
def test_where_nothing_is_sure_the_page_says_why(changes, said):
    shown = page.render(artifacts.Artifacts(linear_eval={"calibration": calibration(**changes)}))
    assert Elements(shown).says(said)


def test_the_first_sentence_says_what_the_labels_alone_give(elements):
    assert elements.says(
        f"With {TRAIN} labels, a linear probe on this backbone classifies 66.7 % of 24 held-out photographs "
        "correctly; with the same labels, its random-init baseline (the same network untrained) reaches 50.0 %."
    )


def test_each_comparison_says_how_sure_it_is(elements):
    settle = "more labelled photographs in eval would settle it"
    for row in ("Compared with Random-init baseline Champion, version 3", "difference, points +16.7 −8.6 to +39.3 +4.2 −10.1 to +19.2",
                "only this one correct 7 1", "only the other 3 0", "p 0.17 0.5",
                f"which is better not sure: about 92 {settle} not sure: about 160 {settle}"):  # fmt: skip
        assert elements.says(row), row
    sure = {"untrained": verdict()["evidence"]["untrained"] | {"sure": True, "more_photographs": 0}, "champion": None}
    shown = Elements(page.render(artifacts.Artifacts(verdict=verdict() | {"evidence": sure})))
    assert shown.says("which is better sure: this one") and not shown.says("not sure")


def test_before_the_run_has_ended_the_page_says_what_it_cannot_know(elements):
    assert elements.says("Written by the Report node, before the run had ended.")


def test_times_and_what_was_cached_are_filled_in_afterwards(text, run_json):
    filled = Elements(page.with_run(text, run_json))
    assert filled.says("1 of 2 nodes were served from the cache") and filled.says("took 1 min 15 s")
    assert filled.says("from the cache") and filled.says("61.5") and not filled.says("Written by the Report node")
    # A name that looks like the end of a slot is only a name: everything after the slots is still there, once.
    assert page.with_run(text, run_json).count('<section id="recipe"') == 1


def test_a_run_that_registered_nothing_new_says_so(text, run_json):
    run_json["registry"]["pushed"] = False
    run_json["cached_nodes"] = list(run_json["nodes"])
    assert Elements(page.with_run(text, run_json)).says("this run registered nothing, as the backbone is already registered")


def test_drift_is_shown_against_the_champion_s_data(text, run_json):
    same = {"version": "3", "data": run_json["data"]}
    assert Elements(page.with_run(text, run_json, same)).says("These are the same photographs as those of version 3.")
    moss = {"fingerprint": "e" * 64, "train_by_class": {"moss": 9}, "eval_by_class": {"moss": 1}}
    other = {"version": "3", "data": run_json["data"] | moss}
    assert Elements(page.with_run(text, run_json, other)).says("share of each class 1.000 0.000")
    assert Elements(page.with_run(text, run_json, {"version": "3", "data": None})).says("the record of its run is missing")


def test_a_run_that_was_refused_has_a_page_of_what_it_got_to(uris, run_json):
    early = {key: uris[key] for key in ("examples", "ingest_report", "anomalies")}
    why = f"too many, such as {NASTY[0]}"
    refused = run_json | {"status": "refused", "failing_node": "DataGate", "error": why, "registry": None}
    shown = Elements(page.render(artifacts.read(early, None, None, ""), refused))
    assert shown.says("Refused in DataGate") and shown.says(why)
    assert {one["id"] for one in shown.of("section")} == {"data", "recipe", "run"}
    assert not [one for one in shown.of("script") if "src" in one or not one]


def test_limits_are_stated(found):
    classes = [f"class {index}" for index in range(70)]
    many = ingest() | {
        "classes": classes,
        "splits": {split: {"images": 700, "by_class": dict.fromkeys(classes, 10)} for split in ("train", "eval")}
        | {"unlabelled": {"images": 0}},
    }
    judged = verdict() | {"classes": classes, "confusion_matrix": [[9 if a == b else int(b == (a + 1) % 70) for b in range(70)]
                                                                   for a in range(70)]}  # fmt: skip
    shown = Elements(page.render(dataclasses.replace(found, ingest=many, verdict=judged, predictions=None, views=None)))
    for words in ("60 of 70 classes are shown.", "50 of 60 files are shown.", "20 of 70 kinds are shown.",
                  "70 classes are too many for a matrix"):  # fmt: skip
        assert shown.says(words), words


def test_what_differs_from_the_preset_is_listed_and_every_setting_folded(found, elements):
    changed = {row["key"] for row in sections.differences(found.configuration, found.preset)}
    assert changed == {"data.source", "pretrain.epochs"} and elements.says("pretrain.epochs 4 preset: 7")
    assert elements.says("pretrain.momentum 0.9") and elements.says("gate.min_accuracy 0.4")


def test_the_network_is_shown_layer_by_layer_where_it_is_known(found, elements):
    assert not elements.says("layer by layer")
    described = dataclasses.replace(found, pretrain=found.pretrain | {"network": network()})
    assert Elements(page.render(described)).says("stage4_block3_shortcut_conv Conv2D 56×56×2048 2 359 296")


def test_registered_but_worse_is_amber_with_by_how_much_and_how_sure(uris):
    def mood_and_title(accuracy, low, high):
        judged = verdict()
        judged["metrics"]["champion"] = judged["metrics"]["champion"] | {"accuracy": accuracy}
        judged["evidence"]["champion"] = judged["evidence"]["champion"] | {"low": low, "high": high}
        body = page.render(artifacts.Artifacts(verdict=judged, push=push())).partition("<body>")[2]
        return *re.search(r'<h1 class="(.*?)">(.*?)</h1>', body).groups(), Elements(body)

    mood, title, shown = mood_and_title(17 / 24, -0.2, 0.117)
    assert (mood, title) == ("worse", "Registered as version 4, but worse than version 3")
    # 17 of 24 is 70.8 %, 16 of 24 is 66.7 %.
    assert shown.says("Accuracy fell from 70.8 %, of version 3, to 66.7 % on the same photographs: by 4.2 points "
                      "(95 % interval of the change −20.0 to +11.7; not sure that it is worse).")  # fmt: skip
    assert mood_and_title(16 / 24, -0.1, 0.1)[:2] == ("good", "Registered as version 4, the champion")


def test_a_refused_backbone_s_page_says_which_setting_to_raise_and_to_what(found):
    refused = dataclasses.replace(found, verdict=verdict(blessed=False), push=push(pushed=False, created=False, version=None, alias=None))
    shown = Elements(page.render(refused))
    # 40 steps in 4 epochs of 10; 441 steps are 45 such epochs.
    assert shown.says("What to do next") and shown.says("Raise pretrain.epochs from 4 to 45: --set pretrain.epochs=45.")
    assert not Elements(page.render(found)).says("What to do next")
