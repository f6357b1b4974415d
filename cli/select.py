"""`flowers select`: what it prints, and its exit status."""

import argparse
import os
from typing import TYPE_CHECKING

import rich.text
from rich.table import Table

from cli import arguments
from cli.arguments import ExitStatus, add_listing, add_root, add_version, examples, listing_of
from cli.recorded_run import recorded_run
from cli.terminal import counting, list_unreadable, mistakes, say, say_left_out, terminal
from contracts.layout import Layout
from contracts.text import visible
from pipeline import preconditions

if TYPE_CHECKING:
    from inference.registered import Registered
    from inference.select import Selection

# Most rows of the table; the file has all.
ROWS = 20


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    selecting = verbs.add_parser(
        "select", help="choose which photographs to label next",
        description="Ranks the photographs of SOURCE that are worth labelling next, with the reason of each: typical of many "
        "others and unlike what is labelled; once there are labels, also of uncertain class. One that has a label is never chosen, and of "
        "near-duplicates only one.",
        **examples("FOLDER --count 25 -o next.csv", "FOLDER --count 25 -o next.csv --page next.html"))  # fmt: skip
    selecting.add_argument(
        "source", metavar="SOURCE", help="as `flowers run --data`: a folder, tfds:NAME or synthetic"
    ).completer = arguments.sources
    selecting.add_argument("--count", required=True, type=int, metavar="N", help="how many photographs")
    selecting.add_argument("-o", "--output", required=True, metavar="FILE", help="FILE.csv, or FILE.json: tasks for Label Studio")
    selecting.add_argument("--labels", default="", metavar="FILE", help="the labels, as for `flowers run`, if they are not folders")
    selecting.add_argument("--unlabelled", default="", metavar="SOURCE", help="more photographs without labels, as for `flowers run`")
    selecting.add_argument("--page", metavar="FILE.html", help="also write them as pictures on a self-contained page")
    selecting.add_argument("--copy-to", metavar="FOLDER", help="also copy them into FOLDER/unlabelled, to be dragged into FOLDER/CLASS")
    selecting.add_argument("--seed", type=int, default=0, metavar="N", help="of the clusters (default: %(default)s)")
    selecting.add_argument("--run", metavar="RUN",
                           help="the backbone of a run (its id, or `latest`) instead of a registered one")  # fmt: skip
    add_listing(selecting)
    add_version(selecting)
    add_root(selecting)
    selecting.set_defaults(verb=_select)


def _select(parsed: argparse.Namespace) -> ExitStatus:
    """Writes the choice, and prints it with what is left out (on standard error)."""
    for source in (parsed.source, parsed.unlabelled):
        preconditions.require_any_source(source)
    if not parsed.run:
        preconditions.require_registry(
            Layout.at(parsed.root), parsed.registry, "; --run latest takes the latest run's backbone instead")  # fmt: skip
    with terminal() as (out, err), mistakes(err) as status, counting(err) as progress:
        from inference import selection_files
        from inference.select import select

        selection_files.check(
            parsed.output, [one for one in (parsed.source, parsed.unlabelled) if one], parsed.page, parsed.copy_to)  # fmt: skip
        task = progress.add_task("", total=None)
        chosen = select(
            parsed.source, parsed.count, labels=parsed.labels, unlabelled=parsed.unlabelled, root=parsed.root,
            **listing_of(parsed), version=parsed.registered_version, name=parsed.name, registry=parsed.registry,
            unverified=parsed.unverified,
            backbone=parsed.run and backbone_of_run(parsed.root, parsed.run),
            seed=parsed.seed, on_unreadable=lambda one: list_unreadable(progress, one),
            on_progress=lambda count: progress.update(task, completed=count))  # fmt: skip
        interface = selection_files.write(chosen, parsed.output)
        out.print(_table(chosen))
        by = f"by {'the backbone of run' if parsed.run else 'version'} {chosen.backbone.version}"
        say(out, f"{len(chosen.photographs):,} of {chosen.unlabelled:,} photographs without a label, {by}; "
                 f"{chosen.labelled:,} have one: {parsed.output}")  # fmt: skip
        say_left_out(out, chosen.unreadable)
        if interface:
            say(out, f"The labelling interface for Label Studio: {interface}")
        if parsed.page:
            selection_files.write_page(chosen, parsed.page, parsed.root)
            say(out, f"The same as pictures: {parsed.page}")
        if parsed.copy_to is not None:
            copied, there = selection_files.copy(chosen, parsed.copy_to, parsed.root)
            rest = f"; {there:,} were there already, or are gone from the source" if there else ""
            waiting = os.path.join(parsed.copy_to, selection_files.WAITING)
            say(out, f"{copied:,} copied to {waiting}{rest}; drag each into the folder of its class")
        say(out, f"{chosen.seconds:.1f} s")
    return status[0]


def _table(chosen: "Selection") -> Table:
    table = Table()
    table.add_column("", justify="right")
    table.add_column("photograph", overflow="fold")
    table.add_column("reason", overflow="fold")
    for rank, one in enumerate(chosen.photographs[:ROWS], start=1):
        table.add_row(str(rank), rich.text.Text(visible(one.path)), rich.text.Text(visible(one.reason)))
    if len(chosen.photographs) > ROWS:
        table.add_row("", f"{len(chosen.photographs) - ROWS:,} more", "")
    return table


def backbone_of_run(root: str, run_id: str) -> "Registered":
    """The backbone that a run below `root` pre-trained, whether or not it was registered.

    Args:
      run_id: its id, or `latest`.

    Raises:
      ConfigurationError: there is no such run.
      RegistryError: it pre-trained nothing.
    """
    from contracts.content_hash import content_hash
    from inference.registered import Registered
    from pipeline import metadata
    from registry.backend import RegistryError

    layout = Layout.at(root)
    name = recorded_run(layout, run_id)["run_id"]
    outputs = {execution.node: execution.outputs for execution in metadata.executions(layout.metadata, name)}
    if "model" not in outputs.get("Pretrain", {}):
        raise RegistryError(f"run {name} has no backbone: it ended before Pretrain did; run again, or choose another with --run")
    directory = os.path.join(outputs["Pretrain"]["model"], "Format-Serving")
    return Registered("the backbone of run", name, directory, content_hash(directory))
