"""What `flowers registry show` prints: where a version comes from, what it reached, and how it stands. Pure; called by
`registry_command`."""

import json
import posixpath
from collections.abc import Iterator

from components.registry.champions import Succession
from components.registry.version import (
    ACCURACY,
    BASELINE_VERSION,
    CHAMPION,
    CONTENT_HASH,
    EVAL_SPLIT,
    PROBE_CONTENT_HASH,
    RUN_ID,
    WITHHELD,
    Version,
)

# The lineage, from the data to the version: title, and the tags that identify it with what to call each.
LINEAGE = (
    ("data", (("", "data_source"), ("fingerprint", "data_fingerprint"))),
    ("run", (("", RUN_ID), ("code:", "code_version"), ("recipe", "recipe"))),
    ("probe", (("content hash", PROBE_CONTENT_HASH), ("artifact", "mlmd_probe_id"))),
    ("evaluation", (("eval split", EVAL_SPLIT), ("artifact", "mlmd_evaluation_id"), ("blessing", "mlmd_blessing_id"))),
    ("backbone", (("content hash", CONTENT_HASH), ("artifact", "mlmd_backbone_id"))),
)
# Figures on the eval split: title, its tag, and the tag of its floor.
FIGURES = (("linear top-1", ACCURACY, "floor"), ("kNN top-1", "knn", "knn_floor"))
SHOWN = {tag for _, tags in LINEAGE for _, tag in tags} | {tag for _, *tags in FIGURES for tag in tags}
SHOWN |= {"reasons", "gate", BASELINE_VERSION, WITHHELD, "eval_examples"}


def lines(version: Version, line: list[Succession]) -> Iterator[str]:
    """What `show` prints, line by line."""
    yield f"{version.name} version {version.version}{''.join(f', {alias}' for alias in version.aliases)}"
    yield f"  registered    {version.created:%Y-%m-%d %H:%M:%S} UTC"
    yield f"  files         {version.path}"
    yield f"  model card    {posixpath.join(version.path, 'MODEL_CARD.md')}"
    yield "Lineage"
    for title, tags in LINEAGE:
        known = [f"{name} {version.tags[tag]}".strip() for name, tag in tags if version.tags.get(tag)]
        for position, text in enumerate(known or ["not recorded"]):
            yield f"  {title if position == 0 else '':<12}  {text}"
    examples = version.tags.get("eval_examples")
    yield f"Figures on {examples or 'the'} held-out photographs"
    for title, tag, floor in FIGURES:
        if version.tags.get(tag):
            yield f"  {title:<12}  {_percent(version, tag)}; the same network untrained {_percent(version, floor)}"
    yield f"The gate's verdict, judged against {_baseline(version)}"
    yield from (f"  - {reason}" for reason in json.loads(version.tags.get("reasons", "[]")))
    yield "Standing"
    yield from (f"  {text}" for text in standing(version, line))
    others = sorted(version.tags.keys() - SHOWN)
    if others:
        yield "Other tags"
        yield from (f"  {tag:<12}  {version.tags[tag]}" for tag in others)


def standing(version: Version, line: list[Succession]) -> Iterator[str]:
    """Every change by which the version became or ceased to be champion, oldest first; or why it never was."""
    changes = [entry for entry in line if version.version in (entry.version, entry.previous)]
    for entry in changes:
        became = entry.version == version.version
        what = f"champion ({entry.kind})" if became else f"followed by version {entry.version or 'none'} ({entry.kind})"
        yield f"{when(entry.at)} UTC  {what} by {entry.by}: {entry.reason}"
    if not changes and CHAMPION not in version.aliases:
        yield f"never champion: {version.tags.get(WITHHELD) or 'its publication was interrupted; the same run again completes it'}"


def when(at: str) -> str:
    """An ISO 8601 instant in UTC as a table has it."""
    return at.removesuffix("+00:00").replace("T", " ")


def _percent(version: Version, tag: str) -> str:
    return f"{float(version.tags[tag]):.1%}" if version.tags.get(tag) else "not measured"


def _baseline(version: Version) -> str:
    baseline = version.tags.get(BASELINE_VERSION)
    return f"version {baseline}" if baseline else "the floors alone; there was no champion"
