"""`flowers runs`: the runs below DIR with their figures, and two of them side by side. Reads run.json alone."""

import argparse
import math
from collections.abc import Iterator

import rich.box
import rich.console
from rich.table import Table
from rich.text import Text

from cli import arguments
from cli.arguments import ExitStatus, add_root, examples
from cli.program import as_typed
from cli.recorded_run import LATEST, recorded_run
from cli.tables import print_table
from cli.terminal import WIDTH_OF_FILES
from contracts.layout import Layout, active_run
from contracts.text import percent, visible
from pipeline import run_record
from pipeline_config import ConfigurationError


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    runs = verbs.add_parser(
        "runs", help="list the runs below DIR with their figures, or compare two",
        description="Lists all runs below DIR, the newest last: how each ended, its accuracy beside its baseline, its "
        "data. With two RUN: their figures side by side, and the settings in which they differ.",
        **examples("", "20260131-184502-3fa9 latest"))  # fmt: skip
    runs.add_argument("runs", metavar="RUN", nargs="*", help=f"two ids of runs, or {LATEST}").completer = arguments.runs
    add_root(runs)
    runs.set_defaults(verb=_runs)


def _runs(parsed: argparse.Namespace) -> ExitStatus:
    layout = Layout.at(parsed.root)
    if not parsed.runs:
        return list_all(layout)
    if len(parsed.runs) != 2:
        raise ConfigurationError(f"flowers runs takes no RUN, to list all, or two, to compare them, got {len(parsed.runs)}")
    return compare(layout, *parsed.runs)


def list_all(layout: Layout) -> ExitStatus:
    """Prints a line a run, the newest last."""
    rows = []
    for record in records(layout):
        linear, data = record.get("linear_eval") or {}, (record.get("configuration") or {}).get("data") or {}
        rows.append((record["run_id"], record.get("started_at", "")[:10], outcome(record), _percent(linear.get("top1")),
                     _percent(linear.get("random_init_top1")), data.get("source", "")))  # fmt: skip
    if not rows:
        print(as_typed(f"No recorded run below {layout.root}; `flowers run` makes the first."))
        return ExitStatus.FINISHED
    columns, right = ("run", "date", "outcome", "top-1", "baseline", "data"), ("top-1", "baseline")
    print_table(_console(), columns, rows, right=right, box=None)
    return ExitStatus.FINISHED


def records(layout: Layout) -> Iterator[dict]:
    """`run_record.read` of every run, in the order in which they started. What cannot be read has only `run_id` and `status`."""
    active = active_run(layout.lock) is not None
    for path in sorted(layout.root.glob("runs/*/run.json")):
        record = run_record.read(path.parent) or {"status": "unreadable", "run_id": path.parent.name}
        yield run_record.as_it_ended(record, active)


def outcome(record: dict) -> str:
    """What became of a run, in a few words: its version, that it has none, or that it did not end well."""
    gate, registry = record.get("gate"), record.get("registry")
    if record["status"] != "finished" or not gate:
        return record["status"]
    if registry and registry.get("version"):
        return f"version {registry['version']}" + ("" if registry.get("alias", True) else ", no alias")
    return "blessed" if gate["blessed"] else "not blessed" if gate["classes"] else "not judged"


def compare(layout: Layout, first: str, second: str) -> ExitStatus:
    """Prints the figures of two runs side by side, and the settings in which they differ.

    Raises:
      ConfigurationError: there is no such run.
    """
    both = [recorded_run(layout, run) for run in (first, second)]
    table = Table(box=rich.box.SIMPLE, pad_edge=False)
    table.add_column("")
    for record in both:
        table.add_column(Text(visible(record["run_id"])), overflow="fold")
    for title, *values in zip(figures(both[0]), *(figures(record).values() for record in both), strict=True):
        table.add_row(title, *map(Text, values))
    table.add_section()
    for key, *values in changed_settings(*both):
        table.add_row(key, *map(Text, values))
    console = _console()
    console.print(table)
    for sentence in remarks(*both):
        console.print(sentence, soft_wrap=True)
    return ExitStatus.FINISHED


def figures(record: dict) -> dict[str, str]:
    """The figures of a run by title, "" where it did not reach them; accuracies with their standard errors."""
    linear, data, pretrain = (record.get(section) or {} for section in ("linear_eval", "data", "pretrain"))

    def accuracy(name: str) -> str:
        return _percent(linear.get(name), data.get("eval"))

    trained = "{epochs} epochs, {steps:,} steps, {seconds:.0f} s".format_map(pretrain) if pretrain else ""
    return {
        "started (UTC)": record.get("started_at", "")[:16].replace("T", " "),
        "outcome": outcome(record),
        "photographs: train, eval": f"{data['train']:,}, {data['eval']:,}" if data else "",
        "pre-training": trained,
        "linear top-1": accuracy("top1"),
        "linear top-1, baseline": accuracy("random_init_top1"),
        "kNN top-1": accuracy("knn_top1"),
        "kNN top-1, baseline": accuracy("random_init_knn_top1"),
    }


def changed_settings(first: dict, second: dict) -> list[tuple[str, str, str]]:
    """Dotted key and both values of every setting in which two runs differ."""
    settings = [dict(_flat(record.get("configuration") or {})) for record in (first, second)]
    keys = dict.fromkeys([*settings[0], *settings[1]])
    rows = [(key, *(visible(str(one.get(key, ""))) for one in settings)) for key in keys]
    return [row for row in rows if row[1] != row[2]]


def remarks(first: dict, second: dict) -> Iterator[str]:
    """Sentences about what the table does not tell: whether the figures can be compared."""
    if not changed_settings(first, second):
        yield "The settings are the same."
    fingerprints = [(record.get("data") or {}).get("fingerprint") for record in (first, second)]
    if None in fingerprints:
        return
    if fingerprints[0] == fingerprints[1]:
        yield "The photographs are the same. Each accuracy has its standard error; only the gate compares photograph by photograph."
    else:
        yield "The photographs differ, so the accuracies were measured on different ones."


def _flat(section: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _percent(share: float | None, count: int | None = None) -> str:
    """A share in percent; with the number of photographs that it was measured on, also its standard error sqrt(p (1 - p) / n)."""
    if share is None:
        return ""
    return percent(share) + (f" ± {percent(math.sqrt(share * (1 - share) / count))}" if count else "")


def _console() -> rich.console.Console:
    console = rich.console.Console(highlight=False)
    return console if console.is_terminal else rich.console.Console(highlight=False, width=WIDTH_OF_FILES)
