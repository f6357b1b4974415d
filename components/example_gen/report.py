"""The ingest report: what was read, how it was divided, what was quarantined and why, and how the photographs look.

`build` documents its schema. Brightness, contrast and colours cover all photographs at almost no cost, as they are computed from
the thumbnails that ingest makes anyway: a change between two data sets shows here before it shows in an accuracy.
"""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.example_gen import colour
from components.example_gen.descriptions import Description, Descriptions
from components.example_gen.division import LEFT_OUT
from components.example_gen.photograph import DESCRIPTOR_SIDE
from contracts import examples, files

# ITU-R BT.601 luma.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
BINS = 20
MEASURES = ("brightness", "contrast", "saturation")
# Photographs measured at a time, to bound the memory.
CHUNK = 4096
# A data set is nearly black if most of its photographs are in the first of BINS steps of brightness, below 5 % of white:
# white digits on black (MNIST) have 13 % in the mean.
NEARLY_BLACK = 0.5
COPIES = 10  # of one picture in a group; more are a chain
SAMPLES = 3  # files named of a large group


def appearance(every: np.ndarray, chosen: np.ndarray) -> dict:
    """Histograms of photographs' appearance, ready for JSON.

    Args:
      every: thumbnails, RGB of 16 x 16 pixels, uint8 [n, 768], as `photograph.prepare` makes them.
      chosen: which of them, int [count].

    Returns:
      By measure, photographs in each of BINS equal steps of [0, 1]: `brightness`, the mean luma; `contrast`, twice the standard
      deviation of the luma (1: half the thumbnail black, half white); `saturation`, the mean of HSV's. And `mean_colour`, red,
      green and blue in [0, 1] over all, null if there is no photograph.
    """
    counts = {measure: np.zeros(BINS, int) for measure in MEASURES}
    colour = np.zeros(3)
    for start in range(0, len(chosen), CHUNK):
        thumbnails = every[chosen[start : start + CHUNK]].reshape(-1, DESCRIPTOR_SIDE**2, 3).astype(np.float32) / 255
        for measure, values in _measure(thumbnails).items():
            counts[measure] += np.histogram(np.clip(values, 0, 1), BINS, (0, 1))[0]
        colour += [channel.sum(dtype=np.float64) / DESCRIPTOR_SIDE**2 for channel in _channels(thumbnails)]
    histograms = {measure: found.tolist() for measure, found in counts.items()}
    return histograms | {"mean_colour": (colour / len(chosen)).tolist() if len(chosen) else None}


def _measure(thumbnails: np.ndarray) -> dict[str, np.ndarray]:
    """Each measure of `[count, pixels, 3]` in [0, 1]: `[count]`."""
    luma = thumbnails @ LUMA
    largest, smallest = (functools.reduce(function, _channels(thumbnails)) for function in (np.maximum, np.minimum))
    saturation = (largest - smallest) / np.maximum(largest, 1e-6)
    return {"brightness": luma.mean(axis=1), "contrast": 2 * luma.std(axis=1), "saturation": saturation.mean(axis=1)}


def _channels(thumbnails: np.ndarray) -> Sequence[np.ndarray]:
    """Red, green and blue, `[count, pixels]` each: NumPy takes ten times as long for sums and extrema along an axis of three."""
    return np.moveaxis(thumbnails, 2, 0)


SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Divided:
    """Descriptions of all files: the usable ones with split and near-duplicate group, int [n], and the rest.

    `large` is as in `large_groups`, by near-duplicates or, where it is not empty, by `group_by` of the settings.
    """

    usable: Descriptions
    splits: Sequence[str]
    groups: np.ndarray
    quarantined: Sequence[Description]
    large: Sequence[dict] = ()
    group_by: str = ""


def build(
    divided: Divided, source: str, kind: str, fingerprint: str, classes: Sequence[str], split_rule: str, unused: Sequence[str],
    licence: str, citation: str,
) -> dict:  # fmt: skip
    """The report as a dictionary ready for JSON:

    - `schema_version`, `source` (as given), `kind` (synthetic, tfds, folder), `fingerprint`, `classes` (sorted);
    - `images`: usable photographs, including those left out of train;
    - `quarantined`: `total`, `by_reason` (reason to count), `files` (each `path`, `reason`, `detail`);
    - `bad_fraction`: quarantined over all files, in [0, 1];
    - `splits`: for train and eval `images` and `by_class` (every class, also with 0); for unlabelled `images`;
    - `sizes`: pixels of the upright photographs as they were written, for width and height `min`, `median`, `max`;
    - `licence`: `text` and `citation` as the source states them, "" where it does not;
    - `appearance`: for train, eval and unlabelled, see `appearance`;
    - `profiles`: photographs whose colour profile was `converted` to sRGB, or `ignored` as it was broken;
    - `split_rule`: a sentence; `unused`: parts of the source that were not read;
    - `near_duplicates`: `groups` of two or more photographs that show the same picture, `images` in them, `left_out_of_train`
      (or of the unlabelled) because they show one of eval, the paths of those as `files`, and `in_two_classes`: see `in_two_classes`;
      `large`: see `large_groups`, and `group_by`: the setting by which these are groups, "" if it is by likeness.
    """
    usable, sides = divided.usable, np.array(divided.splits)
    sizes = np.unique(divided.groups, return_counts=True)[1]
    left_out = sorted(usable.paths[index] for index in np.flatnonzero(sides == LEFT_OUT))
    total = len(usable) + len(divided.quarantined)
    counts = Counter(zip(divided.splits, usable.column("class_name"), strict=True))
    by_class = {split: {name: counts[split, name] for name in classes} for split in examples.LABELLED_SPLITS}
    chosen = {split: np.flatnonzero(sides == split) for split in examples.SPLITS}
    profiles = Counter(usable.column("profile"))
    return {
        "schema_version": SCHEMA_VERSION,
        "source": source,
        "kind": kind,
        "fingerprint": fingerprint,
        "classes": list(classes),
        "images": len(usable),
        "quarantined": {
            "total": len(divided.quarantined),
            "by_reason": dict(sorted(Counter(d.reason for d in divided.quarantined).items())),
            "files": [{"path": d.path, "reason": d.reason, "detail": d.detail} for d in divided.quarantined],
        },
        "bad_fraction": len(divided.quarantined) / total if total else 0.0,
        "splits": {split: {"images": sum(counts.values()), "by_class": counts} for split, counts in by_class.items()}
        | {examples.UNLABELLED: {"images": len(chosen[examples.UNLABELLED])}},
        "sizes": {side: _spread(usable.columns[side]) for side in ("width", "height")},
        "licence": {"text": licence, "citation": citation},
        "appearance": {split: appearance(usable.thumbnails, chosen[split]) for split in examples.SPLITS},
        "profiles": {fate: profiles[fate] for fate in (colour.CONVERTED, colour.IGNORED)},
        "split_rule": split_rule,
        "unused": list(unused),
        "near_duplicates": {
            "groups": int((sizes > 1).sum()),
            "images": int(sizes[sizes > 1].sum()),
            "left_out_of_train": len(left_out),
            "files": left_out,
            "in_two_classes": in_two_classes(divided),
            "large": list(divided.large),
            "group_by": divided.group_by,
        },
    }


def in_two_classes(divided: Divided) -> list[list[dict]]:
    """Pictures that more than one class has, one of which is wrong: for each its photographs, `path` and `class`, sorted by path.

    The same picture is what `near_duplicates.group` takes for it, but no chain of more than COPIES that holds most of a class: what
    a fixed camera sees differs in little, and that may be what the classes are about.
    """
    usable, names = divided.usable, divided.usable.column("class_name")
    chained = [one["group"] for one in divided.large if one["images"] > COPIES] if not divided.group_by else []
    labelled = np.flatnonzero(np.array([bool(name) for name in names], bool) & ~np.isin(divided.groups, chained))
    groups, numbers = divided.groups[labelled], usable.columns["class_name"][labelled]
    of_class = np.unique(groups * max(1, len(usable.texts)) + numbers) // max(1, len(usable.texts))  # a group for each of its classes
    several = np.isin(groups, of_class[1:][of_class[1:] == of_class[:-1]])
    members: dict[int, list[dict]] = {}
    for index, group in zip(labelled[several].tolist(), groups[several].tolist(), strict=True):
        members.setdefault(group, []).append({"path": usable.paths[index], "class": names[index]})
    return sorted((sorted(found, key=lambda one: one["path"]) for found in members.values()), key=lambda picture: picture[0]["path"])


def large_groups(usable: Descriptions, groups: np.ndarray, chained: Mapping[int, Sequence[str]]) -> list[dict]:
    """What holds most of a class: for each of `division.chains` and its classes, the largest first, `class` ("" for the unlabelled),
    `images` of it in the group, `of` all of it, the number of the `group`, and the paths of the first SAMPLES as `files`.
    """
    names = usable.column("class_name")
    sizes = Counter(names)
    members: dict[tuple[int, str], list[str]] = {(group, name): [] for group, names in chained.items() for name in names}
    for index in np.flatnonzero(np.isin(groups, list(chained))).tolist():
        if (found := members.get((int(groups[index]), names[index]))) is not None:
            found.append(usable.paths[index])
    return sorted((
        {"class": name, "images": len(paths), "of": sizes[name], "group": group, "files": sorted(paths)[:SAMPLES]}
        for (group, name), paths in members.items()
    ), key=lambda one: (-one["images"], one["class"]))  # fmt: skip


def _spread(values: np.ndarray) -> dict:
    if not len(values):
        return {}
    in_order = np.sort(values)
    return {"min": int(in_order[0]), "median": int(in_order[(len(values) - 1) // 2]), "max": int(in_order[-1])}


def write(divided: Divided, path: str, **about: Any) -> None:
    """Writes `build(divided, **about)` to `path`."""
    files.write_json(path, build(divided, **about))


def read(path: str) -> dict:
    """The report at `path`."""
    return files.read_json(path)


def summary(found: dict) -> str:
    """One sentence for the console."""
    train, held_out, unlabelled = (found["splits"][split]["images"] for split in examples.SPLITS)
    words = f"{found['images']:,} photographs of {len(found['classes'])} classes: {train:,} for training, {held_out:,} held out"
    if unlabelled:
        words += f", {unlabelled:,} unlabelled"
    if left_out := found["near_duplicates"]["left_out_of_train"]:
        words += f", {left_out:,} left out of training because eval has the same picture"
    if pictures := len(found["near_duplicates"]["in_two_classes"]):
        words += f"; {pictures:,} picture{'s are' if pictures > 1 else ' is'} in more than one class: look at the labels"
    if quarantined := found["quarantined"]["total"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in found["quarantined"]["by_reason"].items())
        words += f"; {quarantined:,} files quarantined ({reasons})"
    if ignored := found["profiles"][colour.IGNORED]:
        words += f"; {ignored:,} broken colour profiles ignored"
    if nearly_black(found):
        words += ". Warning: most photographs are nearly black, below 5 % of white; if they should not be, scale their values"
    return words + "."


def nearly_black(found: dict) -> bool:
    """Whether most of a report's photographs are."""
    counts = np.sum([look["brightness"] for look in found["appearance"].values()], axis=0)
    return bool(counts[0] > NEARLY_BLACK * counts.sum())
