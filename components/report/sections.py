"""The sections of a run's page that are text and figures: the verdict, the photographs, their drift, the recipe. Pure.

Every accuracy is shown with its baseline (contracts.baseline) and interval. Drift is the distance of the photographs from those of the
champion's run: Jensen-Shannon distance (J. Lin, IEEE Trans. Inf. Theory 37, 1991) to base 2, from 0 (the same distribution) to 1
(nothing in common). Each is shown with a usual distance: that between train and eval of this run, which come from one source.
"""

import importlib.metadata
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest

import pipeline_config
from components.report import charts, outcome
from components.report.artifacts import Artifacts
from components.report.next_steps import next_steps
from contracts import baseline
from contracts.examples import LABELLED_SPLITS, SPLITS, UNLABELLED

CONFIDENCE = 0.95
# Most rows of the table by class, the worst classes first.
CLASSES = 60
# Most classes for which the confusion matrix is readable.
MATRIX_CLASSES = 15
CONFUSIONS = 20


@dataclass(frozen=True)
class Accuracy:
    """A share of photographs with its Wilson interval (E. B. Wilson, JASA 22, 1927), all in [0, 1]."""

    value: float
    low: float
    high: float


def accuracy(correct: int, total: int) -> Accuracy:
    """`correct` of `total` photographs; total is at least 1."""
    interval = binomtest(correct, total).proportion_ci(CONFIDENCE, method="wilson")
    return Accuracy(correct / total, float(interval.low), float(interval.high))


def headline(found: Artifacts) -> dict:
    """`title` and `mood` as in `outcome.Headline`, `reasons` in sentences, and `steps`: what to do next."""
    push, verdict = found.push, found.verdict
    if verdict is None:
        return {"title": "Not judged", "mood": "open", "reasons": [], "steps": []}
    if push is None:
        return {"title": "Judged, not pushed yet", "mood": "open", "reasons": verdict["reasons"], "steps": []}
    head = outcome.headline(verdict, push["version"], push["alias"], push["created"])
    # The Pusher repeats the gate's reasons where it pushed nothing.
    pushed = [reason for reason in push["reasons"] if reason not in verdict["reasons"]] if push["version"] else []
    known = {"status": "finished", "configuration": found.configuration, "pretrain": found.pretrain, "gate": verdict}
    reasons = [head.detail, *verdict["reasons"], *pushed]
    return {"title": head.title, "mood": head.mood, "reasons": list(filter(None, reasons)), "steps": next_steps(known)}


def comparison(verdict: dict) -> list[dict]:
    """Candidate, its baseline, champion and best version so far, each with `accuracy` and other figures; `kind` sets the colour."""
    total = verdict["eval_examples"]
    titles = {"candidate": "This backbone", "untrained": _capital(baseline.title(verdict))}
    if verdict["metrics"]["champion"]:
        titles["champion"] = f"Champion, version {verdict['baseline_version']}"
    if verdict["metrics"].get("best"):
        titles["best"] = f"Best so far, version {verdict['best_version']}"
    return [
        {
            "kind": kind,
            "title": title,
            "accuracy": accuracy(round(verdict["metrics"][kind]["accuracy"] * total), total),
            "macro_f1": verdict["metrics"][kind]["macro_f1"],
            "cross_entropy": verdict["metrics"][kind]["cross_entropy"],
        }
        for kind, title in titles.items()
    ]


def evidence(verdict: dict) -> list[dict]:
    """What each comparison says: as in the verdict's `evidence`, with `title`, whom the candidate is compared with."""
    titles = {"untrained": _capital(baseline.title(verdict)), "champion": f"Champion, version {verdict['baseline_version']}",
              "best": f"Best so far, version {verdict.get('best_version')}"}  # fmt: skip
    return [found | {"title": titles[name]} for name, found in verdict["evidence"].items() if found]


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


NETWORKS = {"candidate": charts.ACCENT, "random_init": charts.LIMIT, "champion": charts.CHAMPION}


def over_labels(points: Sequence[dict]) -> dict:
    """Accuracy over labels: a `chart`, and the `points` in which the number of labels grows, with the `networks` that there are.

    Each point also has `gain`, the mean of what the candidate gains over the baseline on the same draw, and its
    standard deviation over draws, `gain_deviation` (None of a single draw).
    """
    # Of few photographs several shares are the same labels.
    points = [point | _gain(point) for point in list({point["labels"]: point for point in reversed(points)}.values())[::-1]]
    networks = [name for name in NETWORKS if points[0][name]]
    lines = [
        (NETWORKS[name], [point[name]["mean"] for point in points], [point[name]["deviation"] or 0.0 for point in points])
        for name in networks
    ]
    described = "Accuracy over the number of labels; the figures are in the table below"
    chart = charts.over_labels([point["labels"] for point in points], lines, described)
    return {"points": points, "networks": networks, "chart": chart}


def _gain(point: dict) -> dict:
    gains = [one - other for one, other in zip(point["candidate"]["draws"], point["random_init"]["draws"], strict=True)]
    return {"gain": statistics.mean(gains), "gain_deviation": statistics.stdev(gains) if len(gains) > 1 else None}


def by_class(verdict: dict) -> dict:
    """`rows`, the worst classes first: `name`, `total`, `correct`, `accuracy`, `confused_with`, `confused`; `of` all classes."""
    rows, classes = [], verdict["classes"]
    for label, (name, row) in enumerate(zip(classes, verdict["confusion_matrix"], strict=True)):
        total = sum(row)
        wrong = [0 if other == label else count for other, count in enumerate(row)]
        confused = max(range(len(wrong)), key=wrong.__getitem__)
        rows.append({
            "name": name, "total": total, "correct": row[label],
            "accuracy": accuracy(row[label], total) if total else None,
            "confused_with": classes[confused] if wrong[confused] else None, "confused": wrong[confused],
        })  # fmt: skip
    rows.sort(key=lambda row: (row["accuracy"].value if row["accuracy"] else 2, row["name"]))
    return {"rows": rows[:CLASSES], "of": len(rows)}


def confusions(verdict: dict) -> dict:
    """`matrix`: rows of the confusion matrix with each cell's `count` and `share` of its row, or None for too many classes;
    `pairs`: the most frequent confusions, `of` all kinds."""
    classes, counts = verdict["classes"], verdict["confusion_matrix"]
    pairs = sorted(
        ({"name": classes[true], "taken_for": classes[predicted], "count": count, "share": count / sum(row)}
         for true, row in enumerate(counts) for predicted, count in enumerate(row) if count and predicted != true),
        key=lambda pair: -pair["count"])  # fmt: skip
    matrix = None
    if len(classes) <= MATRIX_CLASSES:
        matrix = [
            {"name": classes[true],
             "cells": [{"count": count, "share": count / max(1, sum(row)), "right": predicted == true}
                       for predicted, count in enumerate(row)]}
            for true, row in enumerate(counts)]  # fmt: skip
    return {"matrix": matrix, "classes": classes, "pairs": pairs[:CONFUSIONS], "of": len(pairs)}


# Most files in a list; run.json has all.
FILES = 50
SHOWN = 5  # photographs of one picture
DESCRIBED = {
    "brightness": "mean luma; 0 is black, 1 is white",
    "contrast": "spread of the luma; 0 is one plain grey",
    "saturation": "0 is grey, 1 is pure colour",
}


def counts(ingest: dict) -> dict:
    """`rows`: `name` and photographs in `train` and `eval`, with their share of the largest class; `of` all classes."""
    train, held_out = (ingest["splits"][split]["by_class"] for split in ("train", "eval"))
    largest = max((train[name] + held_out[name] for name in train), default=0) or 1
    rows = [
        {"name": name, "train": train[name], "eval": held_out[name],
         "train_width": train[name] / largest, "eval_width": held_out[name] / largest}
        for name in ingest["classes"]]  # fmt: skip
    return {"rows": rows[:CLASSES], "of": len(rows)}


def appearance(ingest: dict) -> list[dict]:
    """A `chart` for each measure of appearance, with `title` and `note`."""
    train, held_out = (ingest["appearance"][split] for split in ("train", "eval"))
    return [
        {"title": measure.capitalize(), "note": note, "chart": charts.histogram(
            train[measure], held_out[measure], f"{measure.capitalize()} of the photographs in train and eval, as histograms")}
        for measure, note in DESCRIBED.items()]  # fmt: skip


def mean_colours(ingest: dict) -> dict[str, str]:
    """The mean colour of each split in CSS notation."""
    found = {split: ingest["appearance"][split]["mean_colour"] for split in SPLITS}
    return {split: f"#{bytes(round(255 * channel) for channel in colour).hex()}" for split, colour in found.items() if colour}


def quarantined(ingest: dict) -> dict:
    """As in the ingest report, with at most FILES `files`, `of` all."""
    found = ingest["quarantined"]
    return found | {"files": found["files"][:FILES], "of": len(found["files"])}


def in_two_classes(ingest: dict) -> dict:
    """`pictures` that more than one class has, at most FILES, each a list of photographs with `path` and `class`; `of` all."""
    found = ingest["near_duplicates"]["in_two_classes"]
    return {"pictures": [picture[:SHOWN] for picture in found[:FILES]], "of": len(found)}


MEASURES = ("brightness", "contrast", "saturation")


def drift(now: dict, then: dict) -> list[dict]:
    """`what`, its `distance` between then and now, and the `usual` distance, between train and eval; None if it is unknown.

    Of labelled photographs alone: the unlabelled ones have no classes, and `unlabelled` compares them with these.

    Args:
      now, then: the section `data` of run.json, of this run and of the run that the champion came from.
    """
    rows = [{
        "what": "share of each class",
        "distance": _distance(_classes(now), _classes(then)),
        "usual": _distance(now["train_by_class"], now["eval_by_class"]),
    }]  # fmt: skip
    for measure in MEASURES:
        train, held_out = (now["appearance"][split][measure] for split in ("train", "eval"))
        earlier = then.get("appearance", {})
        rows.append({
            "what": measure,
            "distance": _distance(_both(now["appearance"], measure), _both(earlier, measure)) if earlier else None,
            "usual": _distance(_numbered(train), _numbered(held_out)),
        })  # fmt: skip
    return rows


def unlabelled(ingest: dict) -> dict | None:
    """How the unlabelled photographs differ from the labelled ones; None if there are none.

    Returns:
      `images`, their `share` of what is learned from, in [0, 1], and `rows`: `what`, its `distance` between unlabelled and labelled,
      and the `usual` distance, between train and eval.
    """
    splits, seen = ingest["splits"], ingest["appearance"]
    images = splits[UNLABELLED]["images"]
    if not images:
        return None
    rows = [
        {"what": measure, "distance": _distance(_numbered(seen[UNLABELLED][measure]), _both(seen, measure)),
         "usual": _distance(*(_numbered(seen[split][measure]) for split in LABELLED_SPLITS))}
        for measure in MEASURES]  # fmt: skip
    return {"images": images, "share": images / (images + splits["train"]["images"]), "rows": rows}


def _classes(data: dict) -> dict[str, int]:
    return {name: count + data["eval_by_class"][name] for name, count in data["train_by_class"].items()}


def _both(appearance: Mapping[str, dict], measure: str) -> dict[int, int]:
    return _numbered([train + held_out for train, held_out in zip(*(appearance[split][measure] for split in ("train", "eval")))])


def _numbered(counts: Sequence[int]) -> dict[int, int]:
    return dict(enumerate(counts))


def _distance(one: Mapping, other: Mapping) -> float | None:
    """Between two tables of counts; a missing key counts 0."""
    if not sum(one.values()) or not sum(other.values()):
        return None
    keys = sorted(one.keys() | other.keys())
    distance = jensenshannon([one.get(key, 0) for key in keys], [other.get(key, 0) for key in keys], base=2)
    return max(0.0, float(distance))


LIBRARIES = ("tfx", "tensorflow", "keras", "tensorflow-model-analysis", "scikit-learn", "mlflow", "numpy", "pillow")


def settings(configuration: dict, preset: dict | None = None) -> list[dict]:
    """Every setting: `key` as in `--set`, `value`, that in the `preset`, and whether it is `changed` from that.

    Args:
      preset: a configuration; None means the one that `configuration` names, as this release has it.
    """
    if preset is None:
        named = pipeline_config.PRESETS.get(configuration["preset"])
        preset = pipeline_config.to_dict(named) if named else {}
    before = {key: _text(value) for key, value in _flat(preset)}
    return [
        {"key": key, "value": _text(value), "preset": before.get(key), "changed": key in before and before[key] != _text(value)}
        for key, value in _flat(configuration) if key != "preset"
    ]  # fmt: skip


def differences(configuration: dict, preset: dict) -> list[dict]:
    """Those `settings` that differ from the preset."""
    return [row for row in settings(configuration, preset) if row["changed"]]


def networks(pretrain: dict) -> list[dict]:
    """Each network's `name`, `layers` and number of `parameters`; empty for a record of before they were described."""
    return [
        {"name": name, "layers": layers, "parameters": sum(layer["parameters"] for layer in layers)}
        for name, layers in pretrain.get("network", {}).items()
    ]


def _flat(section: dict, above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "empty" if value == "" else str(value)


def versions(found: Artifacts) -> list[tuple[str, str]]:
    """The versions that ran: this project's code by its hashes, Python, and the libraries that results depend on."""
    installed = [(name, importlib.metadata.version(name)) for name in LIBRARIES]
    return [("this project", found.code or "not known"), ("Python", platform.python_version()), *installed]


def lineage(found: Artifacts) -> list[dict]:
    """From the photographs to the registry: `what`, its `identity`, and a `note` on how it follows from the one before."""
    chain = []
    if found.ingest:
        chain.append({"what": "Photographs", "identity": found.ingest["fingerprint"], "note": found.ingest["source"]})
    if found.probe:
        unlabelled = found.ingest and found.ingest["splits"][UNLABELLED]["images"]
        learned = "pre-trained on train" + (" and the unlabelled photographs" if unlabelled else "")
        chain.append({"what": "Backbone", "identity": found.probe["backbone_content_hash"], "note": learned})
    if found.verdict and found.verdict["classes"]:
        chain.append({"what": "Probe", "identity": found.verdict["probe"]["content_hash"], "note": "fitted on that backbone"})
        version = found.verdict["baseline_version"]
        against = f"champion version {version}" if version else f"the {baseline.title(found.verdict)} alone"
        judged = "blessed" if found.verdict["blessed"] else "not blessed"
        chain.append({"what": "Verdict", "identity": judged, "note": f"of that probe, on eval, against {against}"})
    if found.push:
        version = f"{found.push['name']} version {found.push['version']}" if found.push["version"] else "no version"
        chain.append({"what": "Registry", "identity": version, "note": "that backbone with that probe"})
    return chain
