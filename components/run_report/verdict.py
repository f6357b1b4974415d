"""The verdict: pushed or not, why, against whom, and every accuracy with its floor and its interval. Called by `page`; pure."""

from dataclasses import dataclass

from scipy.stats import binomtest

from components.run_report.artifacts import Artifacts

CONFIDENCE = 0.95
# Rows of the table by class; what a reader looks for are the worst.
CLASSES = 60
# Classes up to which the confusion matrix can be read.
MATRIX_CLASSES = 15
CONFUSIONS = 20


@dataclass(frozen=True)
class Accuracy:
    """A share of photographs with its Wilson interval (E. B. Wilson, JASA 22, 1927), all in [0, 1]."""

    value: float
    low: float
    high: float


def accuracy(correct: int, total: int) -> Accuracy:
    """`correct` of `total` photographs, total over 0."""
    interval = binomtest(correct, total).proportion_ci(CONFIDENCE, method="wilson")
    return Accuracy(correct / total, float(interval.low), float(interval.high))


def headline(found: Artifacts) -> dict:
    """`title` in a few words, `mood` (good, bad, open) and `reasons` in sentences."""
    push, verdict = found.push, found.verdict
    if push is None:
        return {"title": "Not judged", "mood": "open", "reasons": []} if verdict is None else {
            "title": "Judged, and not pushed yet", "mood": "open", "reasons": verdict["reasons"]}  # fmt: skip
    reasons = [reason for reason in push["reasons"] if reason not in verdict["reasons"]]
    if not push["pushed"]:
        return {"title": "Not registered", "mood": "bad", "reasons": verdict["reasons"]}
    what = f"{'Registered' if push['created'] else 'Registered before'} as version {push['version']}"
    title = f"{what}, the champion" if push["alias"] else f"{what}, not champion"
    return {"title": title, "mood": "good" if push["alias"] else "open", "reasons": verdict["reasons"] + reasons}


def comparison(verdict: dict) -> list[dict]:
    """The candidate, its floor and the champion, each with `accuracy` and the other measures; `kind` is by what to colour."""
    total = verdict["eval_examples"]
    titles = {"candidate": "This backbone", "untrained": "The same network, untrained"}
    if verdict["metrics"]["champion"]:
        titles["champion"] = f"Champion, version {verdict['baseline_version']}"
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


def by_class(verdict: dict) -> dict:
    """`rows`, the worst classes first: `name`, `total`, `correct`, `accuracy`, `confused_with` and `confused`; `of` how many."""
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
    """`matrix`, rows of the confusion matrix with each cell's `count` and `share` of its row, or None where it could not be read;
    and `pairs`, the most frequent confusions, of how many kinds (`of`)."""
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
