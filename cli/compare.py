"""`flowers compare`: SimSiam beside what one would use instead, on the photographs of a finished run."""

import argparse
import dataclasses
from typing import TYPE_CHECKING

import rich.progress

from cli import arguments
from cli.arguments import ExitStatus, add_root, examples
from cli.recorded_run import LATEST, recorded_run
from cli.tables import print_table
from cli.terminal import mistakes, say, terminal
from contracts.layout import Layout, run_lock
from contracts.text import percent, points
from pipeline import settings
from pipeline_config import QUICK, ConfigurationError, Supervised

if TYPE_CHECKING:
    from pipeline.comparison import Row

FILE = "comparison.json"  # in the folder of the run
PREFIX = "supervised."


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    comparing = verbs.add_parser(
        "compare",
        help="set SimSiam beside what you would use instead, on the photographs of a run",
        description="Freezes each network, fits the same probe on the train labels of RUN, and measures it on the same held-out "
        "photographs: the random-init network, SimSiam, the same network trained from scratch on the labels, and any Keras model. Writes "
        f"{FILE} into the folder of the run. Interrupted, it continues.",
        **examples("", "latest --features keras:ResNet50 --features my.keras"),
    )
    comparing.add_argument(
        "run", metavar="RUN", nargs="?", default=LATEST, help=f"the id of a run (default: {LATEST})"
    ).completer = arguments.runs
    comparing.add_argument("--features", action="append", default=[], metavar="NETWORK",
                           help="also the features of FILE.keras, or of keras:NAME with its ImageNet weights; may be repeated")  # fmt: skip
    comparing.add_argument("--no-supervised", action="store_true", help="leave out training from scratch, which takes about as long as "
                           "pre-training did, twice")  # fmt: skip
    comparing.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="recipe",
        help=f"override a setting of supervised training, such as {PREFIX}weight_decay=1e-4; may be repeated",
    )
    add_root(comparing)
    comparing.set_defaults(verb=_compare)


def _compare(parsed: argparse.Namespace) -> ExitStatus:
    """Prints a line a network, and writes them to the run's folder."""
    layout = Layout.at(parsed.root)
    recipe = _recipe(parsed.recipe)
    record = recorded_run(layout, parsed.run)
    with run_lock(layout.lock), terminal() as (out, err), mistakes(err) as status, _progress(err) as progress:
        from contracts import files
        from pipeline import comparison
        from trainer.monitors import DivergenceError

        run = comparison.open_run(layout, record)
        task = progress.add_task("", total=1)

        def show(what: str, done: int, steps: int, seconds_left: float | None) -> None:
            if progress.disable and not done:
                say(err, f"{what} …")
            left = "" if seconds_left is None else f"{seconds_left / 60:.0f} min left"
            progress.update(task, description=what, completed=done, total=steps, left=left)

        try:
            rows = list(comparison.compare(
                run, layout, recipe, parsed.features, with_supervised=not parsed.no_supervised, on_progress=show))  # fmt: skip
        except DivergenceError as error:
            say(err, f"flowers: {error}")
            return ExitStatus.NODE_FAILED
        path = layout.run(record["run_id"]) / FILE
        files.write_json(path, {"schema_version": 1, "run_id": record["run_id"], "supervised": dataclasses.asdict(recipe),
                                "device": record["pretrain"].get("device"), "rows": [dataclasses.asdict(row) for row in rows]})  # fmt: skip
        few = record["configuration"]["linear_eval"]["label_fraction"]
        print_table(out, *_table(rows, few), right=_table(rows, few)[0][1:])
        say(out, f"{record['data']['eval']:,} held-out photographs, {record['data']['train']:,} train labels; intervals of 95 %: {path}")
    return status[0]


def _recipe(overrides: list[str]) -> Supervised:
    """The section `supervised` with the given settings.

    Raises:
      ConfigurationError: a setting of another section, which the run has decided already, or what `settings.configuration` refuses.
    """
    for override in overrides:
        if not override.strip().startswith(PREFIX):
            raise ConfigurationError(
                f"flowers compare takes settings of {PREFIX[:-1]} alone, got {override!r}: all others are those of the run"
            )
    return settings.configuration(QUICK.preset, overrides).supervised


def _progress(err) -> rich.progress.Progress:
    return rich.progress.Progress(
        rich.progress.SpinnerColumn(), rich.progress.TextColumn("{task.description}"), rich.progress.BarColumn(),
        rich.progress.TextColumn("{task.fields[left]}"), console=err, transient=True, disable=not err.is_terminal)  # fmt: skip


def _table(rows: list["Row"], few: float) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, and a row a network."""
    columns = ["network", "linear top-1", "SimSiam's gain", "kNN top-1", f"top-1, {percent(few, 0)} of the labels", "training", "features"]
    return columns, [
        [
            row.network,
            f"{percent(row.top1)} ({percent(row.low)} to {percent(row.high)})",
            "" if row.gain is None else f"{points(row.gain)} ({points(row.gain_low)} to {points(row.gain_high)})",
            percent(row.knn_top1),
            percent(row.few_labels_top1),
            "by others" if row.training_seconds is None else f"{row.training_seconds:,.0f} s" if row.training_seconds else "none",
            f"{row.features:,}",
        ]
        for row in rows
    ]
