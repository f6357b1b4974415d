"""What `flowers registry list` and `show` print: the versions of a registry, and how each stands."""

import json
import posixpath
import sys
from collections.abc import Iterator

import rich.console

from cli.arguments import ExitStatus
from cli.program import as_typed
from cli.tables import print_table
from contracts import baseline
from contracts.text import percent, visible
from registry import champions, reading
from registry.backend import (
    ACCURACY,
    BASELINE_VERSION,
    BEST_VERSION,
    CHAMPION,
    CONTENT_HASH,
    EVAL_SPLIT,
    FIGURE,
    MLMODEL_HASH,
    PROBE_CONTENT_HASH,
    RUN_ID,
    SIGNED_BY,
    WITHHELD,
    Backend,
    RegistryError,
    Version,
)
from registry.champions import ChampionChange
from registry.keys import SHOWN as SHOWN_DIGITS

# The lineage, from the data to the version: title, and the tags that identify it, each with its name.
LINEAGE = (
    ("data", (("", "data_source"), ("fingerprint", "data_fingerprint"))),
    ("run", (("", RUN_ID), ("code:", "code_version"), ("recipe", "recipe"))),
    ("probe", (("content hash", PROBE_CONTENT_HASH), ("artifact", "mlmd_probe_id"))),
    ("evaluation", (("eval split", EVAL_SPLIT), ("artifact", "mlmd_evaluation_id"), ("blessing", "mlmd_blessing_id"))),
    ("backbone", (("content hash", CONTENT_HASH), ("artifact", "mlmd_backbone_id"))),
)
# Figures on the eval split: title, its tag, and the tag of its baseline.
FIGURES = (("linear top-1", ACCURACY, "floor"), ("kNN top-1", "knn", "knn_floor"))
SHOWN = {tag for _, tags in LINEAGE for _, tag in tags} | {tag for _, *tags in FIGURES for tag in tags}
SHOWN |= {"reasons", "gate", "baseline", BASELINE_VERSION, BEST_VERSION, FIGURE, SIGNED_BY, WITHHELD, "eval_examples"}


def lines(version: Version, history: list[ChampionChange]) -> Iterator[str]:
    """What `show` prints, line by line."""
    yield f"{version.name} version {version.version}{''.join(f', {alias}' for alias in version.aliases)}"
    yield f"  registered    {version.created:%Y-%m-%d %H:%M:%S} UTC"
    yield f"  files         {version.path}"
    yield f"  model card    {posixpath.join(version.path, 'MODEL_CARD.md')}"
    if not version.tags.get(MLMODEL_HASH):
        yield "  with MLflow   not loadable yet, as an earlier release registered it: `flowers registry repair` changes that"
    signer = version.tags.get(SIGNED_BY, "")[:SHOWN_DIGITS]
    yield f"  signature     {f'by key {signer}, as recorded; `flowers registry verify` checks it' if signer else 'none recorded'}"
    yield "Lineage"
    for title, tags in LINEAGE:
        known = [f"{name} {version.tags[tag]}".strip() for name, tag in tags if version.tags.get(tag)]
        for position, text in enumerate(known or ["not recorded"]):
            yield f"  {title if position == 0 else '':<12}  {text}"
    examples = version.tags.get("eval_examples")
    compared = f"{baseline.title(version.tags)}: {baseline.EXPLAINED[baseline.of(version.tags)]}"
    yield f"Figures on {examples or 'the'} held-out photographs; {compared}"
    for title, tag, floor in FIGURES:
        if version.tags.get(tag):
            yield f"  {title:<12}  {_percent(version, tag)}; {baseline.title(version.tags)} {_percent(version, floor)}"
    yield f"The gate's verdict, judged against {_baseline(version)}"
    yield from (f"  - {reason}" for reason in json.loads(version.tags.get("reasons", "[]")))
    yield "Standing"
    yield from (f"  {text}" for text in standing(version, history))
    others = sorted(version.tags.keys() - SHOWN)
    if others:
        yield "Other tags"
        yield from (f"  {tag:<12}  {version.tags[tag]}" for tag in others)


def standing(version: Version, history: list[ChampionChange]) -> Iterator[str]:
    """Every change by which the version became or ceased to be champion, oldest first; or why it never was champion."""
    changes = [entry for entry in history if version.version in (entry.version, entry.previous)]
    for entry in changes:
        became = entry.version == version.version
        what = f"champion ({entry.kind})" if became else f"replaced by version {entry.version or 'none'} ({entry.kind})"
        yield f"{when(entry.at)} UTC  {what} by {entry.by}: {entry.reason}"
    if not changes and CHAMPION not in version.aliases:
        yield f"never champion: {version.tags.get(WITHHELD) or 'its publication was interrupted; repeat the run to complete it'}"


def when(at: str) -> str:
    """An ISO 8601 instant in UTC, as shown in tables."""
    return at.removesuffix("+00:00").replace("T", " ")


def _percent(version: Version, tag: str) -> str:
    return percent(float(version.tags[tag])) if version.tags.get(tag) else "not measured"


def _baseline(version: Version) -> str:
    champion = version.tags.get(BASELINE_VERSION)
    if not champion:
        return f"the {baseline.title(version.tags)} alone; there was no champion"
    best = version.tags.get(BEST_VERSION)
    return f"champion version {champion}" + (f" and the best version so far, {best}" if best else "")


# Columns of the list: title, and the tag that fills it.
LISTED = (("accuracy", ACCURACY), ("baseline", "floor"), ("judged against", "baseline_version"), ("data", "data_source"),
          ("run", RUN_ID))  # fmt: skip


def list_versions(registry: Backend) -> ExitStatus:
    """Prints a table of all versions, oldest first, and the history of champions."""
    versions = registry.versions()
    if not versions:
        print(as_typed(f"No versions of {registry.name} at {registry.place} yet; `flowers run` registers the first."))
        return ExitStatus.FINISHED
    history = champions.history_of(registry.model_tags(), reading.champion_of(versions))
    console = rich.console.Console()
    rows = [
        (version.version, _standing(version, versions, history), *(_tag(version, tag) for _, tag in LISTED),
         f"{version.created:%Y-%m-%d %H:%M:%S}")
        for version in versions
    ]  # fmt: skip
    columns = ("version", "standing", *(title for title, _ in LISTED), "registered (UTC)")
    print_table(console, columns, rows, title=f"{registry.name} at {registry.place}")
    changes = [(when(entry.at), entry.version or "none", entry.kind, entry.by, entry.reason) for entry in history]
    print_table(console, ("since (UTC)", "version", "how", "by", "why"), changes, title="Champions")
    return ExitStatus.FINISHED


def show(registry: Backend, wanted: str) -> ExitStatus:
    """Prints everything that is known about one version, given by number or alias."""
    try:
        version = reading.get_version(registry, wanted)
    except RegistryError as error:
        return wrong(error)
    history = champions.history_of(registry.model_tags(), reading.champion(registry))
    for text in lines(version, history):
        print(visible(text))
    return ExitStatus.FINISHED


def _standing(version: Version, versions: list[Version], history: list[ChampionChange]) -> str:
    if CHAMPION in version.aliases:
        return ", ".join(version.aliases)
    former = champions.predecessor(history, versions)
    if former is not None and former.version == version.version:
        return "previous champion"
    ended = champions.ending(history, version.version)
    if ended is not None:
        return "rolled back from" if ended.kind == champions.ROLLED_BACK else "former champion"
    return "withheld" if version.tags.get(WITHHELD) else ", ".join(version.aliases)


def _tag(version: Version, tag: str) -> str:
    text = version.tags.get(tag, "")
    return percent(float(text)) if tag in (ACCURACY, "floor") and text else text


def wrong(error: RegistryError) -> ExitStatus:
    """Prints why a version is not to be had."""
    print(f"flowers: {error}", file=sys.stderr)
    return ExitStatus.BAD_ARGUMENTS
