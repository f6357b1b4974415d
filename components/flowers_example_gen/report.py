"""The ingest report: what was read, how it was divided, what was quarantined and why. Written by `records`, read by DataGate,
run.json and the run's page; the schema is documented at `build`."""

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfx.dsl.io import fileio

from components.flowers_example_gen.appearance import appearance
from components.flowers_example_gen.splits import LEFT_OUT
from contracts import examples

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Divided:
    """Descriptions (`records.Description`) of all files: the usable ones with split and near-duplicate group, and the rest."""

    usable: Sequence[Any]
    splits: Sequence[str]
    groups: Sequence[int]
    quarantined: Sequence[Any]


def build(
    divided: Divided, source: str, kind: str, fingerprint: str, classes: Sequence[str], split_rule: str, unused: Sequence[str],
    licence: str, citation: str,
) -> dict:  # fmt: skip
    """The report as a dictionary ready for JSON:

    - `schema_version`, `source` (as given), `kind` (synthetic, tfds, folder), `fingerprint`, `classes` (sorted);
    - `images`: usable photographs, including those left out of train;
    - `quarantined`: `total`, `by_reason` (reason to count), `files` (each `path`, `reason`, `detail`);
    - `bad_fraction`: quarantined over all files, in [0, 1];
    - `splits`: for train and eval `images` and `by_class` (every class, also with 0);
    - `sizes`: pixels of the upright photographs as they were written, for width and height `min`, `median`, `max`;
    - `licence`: `text` and `citation` as the source states them, "" where it does not;
    - `appearance`: for train and eval, see `appearance`;
    - `split_rule`: in words; `unused`: parts of the source that were not read;
    - `near_duplicates`: `groups` of two or more photographs that show the same picture, `images` in them, `left_out_of_train`
      because they show one of eval, and the paths of those as `files`.
    """
    sizes = Counter(divided.groups)
    left_out = sorted(d.path for d, split in zip(divided.usable, divided.splits, strict=True) if split == LEFT_OUT)
    total = len(divided.usable) + len(divided.quarantined)
    by_class = {split: dict.fromkeys(classes, 0) for split in examples.SPLITS}
    for description, split in zip(divided.usable, divided.splits, strict=True):
        if split != LEFT_OUT:
            by_class[split][description.class_name] += 1
    thumbnails: dict[str, list[bytes]] = {split: [] for split in (*examples.SPLITS, LEFT_OUT)}
    for description, split in zip(divided.usable, divided.splits, strict=True):
        thumbnails[split].append(description.thumbnail)
    return {
        "schema_version": SCHEMA_VERSION,
        "source": source,
        "kind": kind,
        "fingerprint": fingerprint,
        "classes": list(classes),
        "images": len(divided.usable),
        "quarantined": {
            "total": len(divided.quarantined),
            "by_reason": dict(sorted(Counter(d.reason for d in divided.quarantined).items())),
            "files": [{"path": d.path, "reason": d.reason, "detail": d.detail} for d in divided.quarantined],
        },
        "bad_fraction": len(divided.quarantined) / total if total else 0.0,
        "splits": {split: {"images": sum(counts.values()), "by_class": counts} for split, counts in by_class.items()},
        "sizes": {side: _spread([getattr(d, side) for d in divided.usable]) for side in ("width", "height")},
        "licence": {"text": licence, "citation": citation},
        "appearance": {split: appearance(thumbnails[split]) for split in examples.SPLITS},
        "split_rule": split_rule,
        "unused": list(unused),
        "near_duplicates": {
            "groups": sum(size > 1 for size in sizes.values()),
            "images": sum(size for size in sizes.values() if size > 1),
            "left_out_of_train": len(left_out),
            "files": left_out,
        },
    }


def _spread(values: Sequence[int]) -> dict:
    return {"min": min(values), "median": statistics.median_low(values), "max": max(values)} if values else {}


def write(divided: Divided, path: str, **about: Any) -> None:
    """Writes `build(divided, **about)` to `path`."""
    with fileio.open(path, "w") as file:
        file.write(json.dumps(build(divided, **about), indent=1) + "\n")


def read(path: str) -> dict:
    """The report at `path`."""
    with fileio.open(path, "r") as file:
        return json.loads(file.read())


def in_words(found: dict) -> str:
    """One sentence for the console."""
    train, held_out = found["splits"]["train"]["images"], found["splits"]["eval"]["images"]
    words = f"{found['images']:,} photographs of {len(found['classes'])} classes: {train:,} to learn from, {held_out:,} held out"
    if left_out := found["near_duplicates"]["left_out_of_train"]:
        words += f", {left_out:,} left out of train because eval has the same picture"
    if quarantined := found["quarantined"]["total"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in found["quarantined"]["by_reason"].items())
        words += f"; {quarantined:,} files quarantined ({reasons})"
    return words + "."
