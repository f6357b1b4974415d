"""`flowers predict`: what it prints, and its exit status."""

import argparse
from typing import TYPE_CHECKING

import rich.console
import rich.text
from rich.table import Table

from cli import arguments
from cli.arguments import ExitStatus, add_listing, add_root, add_version, examples, listing_of
from cli.terminal import counting, list_unreadable, mistakes, say, say_left_out, terminal
from contracts import baseline
from contracts.layout import Layout
from contracts.text import percent, visible
from pipeline import preconditions

if TYPE_CHECKING:
    from inference.prediction_files import Written

# Most rows of the table of classes; the file has all.
CLASSES = 20


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    predicting = verbs.add_parser(
        "predict", help="say what photographs show",
        description="Writes the champion's class for each image of SOURCE, with a calibrated probability. Below a threshold, which "
        "was chosen on the train split, a prediction is marked as unsure. Images that cannot be read are listed and left out.",
        **examples("FOLDER -o predictions.csv", "FOLDER -o tasks.json --page predictions.html"))  # fmt: skip
    predicting.add_argument(
        "source", metavar="SOURCE", help="a folder of any layout, an image, tfds:NAME or synthetic"
    ).completer = arguments.sources
    predicting.add_argument("-o", "--output", required=True, metavar="FILE",
                            help="FILE.csv, FILE.parquet, or FILE.json for Label Studio")  # fmt: skip
    predicting.add_argument("--page", metavar="FILE.html", help="also write a contact sheet of each class, the unsure first")
    predicting.add_argument("--threshold", type=probability, metavar="P",
                            help="probability below which a prediction is unsure (default: the version's own)")  # fmt: skip
    add_listing(predicting)
    add_version(predicting)
    add_root(predicting)
    predicting.set_defaults(verb=_predict)


def probability(text: str) -> float:
    """An argument between 0 and 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, got {text}")
    return value


def _predict(parsed: argparse.Namespace) -> ExitStatus:
    """Writes the predictions and prints the images left out (on standard error), counts by class, and the images a second."""
    preconditions.require_any_source(parsed.source)
    preconditions.require_registry(Layout.at(parsed.root), parsed.registry)
    preconditions.require_page(parsed.page)
    with terminal() as (out, err), mistakes(err) as status, counting(err) as progress:
        from inference import prediction_files

        task = progress.add_task("", total=None)
        done = prediction_files.write_predictions(
            parsed.source, parsed.output, page=parsed.page, root=parsed.root, version=parsed.registered_version, name=parsed.name,
            registry=parsed.registry, unverified=parsed.unverified, threshold=parsed.threshold, **listing_of(parsed),
            on_unreadable=lambda one: list_unreadable(progress, one),
            on_progress=lambda count: progress.update(task, completed=count))  # fmt: skip
        out.print(_classes(done))
        say(out, f"{done.images:,} images predicted by version {done.version}, {done.unsure:,} unsure: {parsed.output}")
        for line in _about(done):
            say(out, line)
        say_left_out(out, done.unreadable)
        if done.interface:
            say(out, f"Label Studio's labelling interface for these tasks: {done.interface}")
        if parsed.page:
            say(out, f"The same as pictures: {parsed.page}")
        say(out, f"{done.seconds:.1f} s, {done.images / done.seconds:.1f} images/s")
    return status[0]


def _classes(done: "Written") -> Table:
    table = Table()
    table.add_column("class", overflow="fold")
    table.add_column("images", justify="right")
    table.add_column("unsure", justify="right")
    rows = list(done.by_class.items())
    for label, (images, unsure) in rows[:CLASSES]:
        table.add_row(rich.text.Text(visible(label)), f"{images:,}", f"{unsure:,}")
    if len(rows) > CLASSES:
        rest = [counts for _, counts in rows[CLASSES:]]
        table.add_row(f"{len(rest):,} more classes", f"{sum(images for images, _ in rest):,}", f"{sum(one for _, one in rest):,}")
    return table


def _about(done: "Written") -> list[str]:
    """What is known about the probabilities, measured on the eval split of the version's run."""
    stated, measured = (done.calibration[key] for key in ("stated_precision", "candidate"))
    if done.temperature is None:
        lines = ["The probabilities are not calibrated: fewer than two classes had two labelled photographs for cross-validation."]
    else:
        lines = [f"Calibration error on the eval split {percent(measured['calibration_error'])}"
                 f"{_baseline(done, 'calibration_error')}"]  # fmt: skip
    if done.threshold is None:
        because = "" if done.temperature is None else f": no threshold reached a precision of {percent(stated, 0)} in cross-validation"
        lines.append(f"Every prediction is unsure{because}; --threshold sets one.")
    elif done.threshold != measured["threshold"]:
        lines.append(f"Unsure: below {percent(done.threshold)}, as asked")
    else:
        lines.append(f"Unsure: below {percent(done.threshold)}, chosen for a precision of {percent(stated, 0)}; on the eval split "
                     f"{_share(measured['coverage'])} were sure{_baseline(done, 'coverage')}, and "
                     f"{_share(measured['precision'])} of those right{_baseline(done, 'precision')}")  # fmt: skip
    return lines


def _share(value: float | None) -> str:
    return "none" if value is None else percent(value)


def _baseline(done: "Written", figure: str) -> str:
    return f" ({baseline.title(done.calibration)}: {_share(done.calibration['random_init'][figure])})"
