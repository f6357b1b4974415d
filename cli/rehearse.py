"""`flowers rehearse`: runs a compiled pipeline on this machine, with the record and table of any run."""

import argparse
import datetime
import os
import pathlib
import time
import traceback
from typing import TYPE_CHECKING

from cli.arguments import EXIT_STATUSES, ExitStatus, add_root, examples
from cli.console import Console, console, without_library_noise
from cli.run import exit_status, show
from cli.terminal import say_loading
from contracts import files
from contracts.layout import Layout, new_run_id, run_lock
from pipeline import run_record
from pipeline.identity import node_code
from pipeline.run_record import Outcome, Start
from pipeline.whole_run import paragraph, say_killed, status_of, write_page
from pipeline_config import require

if TYPE_CHECKING:
    from pipeline.metadata import Execution

# Why every task of a rehearsal runs.
NO_CACHE = "a rehearsal has no cache"


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    rehearse = verbs.add_parser(
        "rehearse", help="run a compiled pipeline on this machine",
        description="Runs a file of `flowers compile` on this machine, task by task.",
        **examples("flowers.json --data FOLDER", "flowers.json --data FOLDER --in-image flowers:cpu", after=EXIT_STATUSES))  # fmt: skip
    rehearse.add_argument("file", metavar="FILE", help="what `flowers compile` wrote")
    rehearse.add_argument("--data", metavar="DIR", help="the folder that stands for the gs:// folder of photographs")
    rehearse.add_argument("--in-image", metavar="IMAGE",
                          help="run the tasks in containers of this image, by docker, podman or buildah")  # fmt: skip
    add_root(rehearse)
    rehearse.set_defaults(verb=_rehearse)


def _rehearse(parsed: argparse.Namespace) -> ExitStatus:

    return rehearse(parsed.file, parsed.data, Layout.at(parsed.root), parsed.in_image)


def rehearse(file: str, data: str | None, layout: Layout, in_image: str | None = None) -> ExitStatus:
    """Runs the tasks of `file` and writes run.json, however the run ends.

    Args:
      file: what `flowers compile` wrote.
      data: local folder that stands for the gs:// folder that the pipeline reads; None if it reads none.
      layout: where everything goes: DIR/gs holds the buckets.
      in_image: name of the container image to run the tasks in; None for this machine's Python.

    Raises:
      ConfigurationError: the file cannot be rehearsed, or not with this folder or image; nothing has run.
      AnotherRunIsActive: another process runs below the same DIR.
    """
    say_loading()
    with without_library_noise():
        from pipeline.rehearsal import containers, specification
        from pipeline.rehearsal.storage import GS, Storage
        from pipeline.rehearsal.task import Job

    path = pathlib.Path(file)
    found = specification.load(path)
    image = containers.find(in_image) if in_image else None
    specification.require_present_code(
        found, path, containers.node_code(image) if image else node_code(), f"in {image.name}" if image else "here"
    )
    remote = found.source.startswith(GS)
    require(remote == (data is not None), "--data", f"a folder that stands for {found.source}" if remote
            else f"left out, as the pipeline reads {found.source or 'nothing'}", data)  # fmt: skip
    folder = os.path.realpath(os.path.expanduser(data)) if data is not None else ""
    require(not folder or os.path.isdir(folder), "--data", "a folder that exists", data)
    for where in (folder, str(layout.root)):
        require(not set(where) & set("\"'\\,"), "--data and --root", "paths without quotes, backslashes and commas", where)

    with run_lock(layout.lock):
        now = datetime.datetime.now(datetime.UTC)
        start = Start(new_run_id(now), now.isoformat(timespec="seconds"), config=None)
        logs = layout.run(start.run_id)
        logs.mkdir(parents=True)
        storage = Storage(layout.root / "gs", found.source if remote else "", folder)
        storage.folder.mkdir(exist_ok=True)
        with console(logs / "log.txt") as shown:
            shown.say(f"Rehearsal {start.run_id} of {path}; gs:// is {storage.folder}")
            say_killed(run_record.begin(start, layout), shown)
            if image:
                shown.say(f"Every task runs in a container of {image.name}, by {image.program}")
            return _walk_and_record(found, Job(start.run_id, storage, logs, image), start, layout, shown)


def _walk_and_record(found, job, start: Start, layout: Layout, shown: Console) -> ExitStatus:
    from pipeline.rehearsal.task import walk

    started, error = time.monotonic(), None
    shown.begins = lambda node: run_record.write_started(start, layout, node, time.monotonic() - started)
    executions: list[Execution] = []
    try:
        walk(found, job, executions, shown.node_starts, shown.node_ends)
    except (Exception, KeyboardInterrupt) as caught:
        traceback.print_exception(caught)  # to descriptor 2, which is the log file
        error = caught
    status, words, node = "finished", None, None
    if error is not None:
        status, words = status_of(error), paragraph(error)
        node = getattr(error, "node", shown.node)
    outcome = Outcome(status, time.monotonic() - started, words, node)
    reports, because = run_record.read_reports(executions), {one.node: [NO_CACHE] for one in executions}
    record = run_record.build(start, outcome, executions, reports, shown.seconds, because)
    files.write_json(layout.run(start.run_id) / "run.json", record)
    write_page(record, executions, layout, shown)
    ended = exit_status(error)
    show(record, ended, layout, shown)
    if ended == ExitStatus.INTERRUPTED:
        shown.fail(f"Interrupted in {node}. A rehearsal has no cache: the next one starts from the beginning.")
    return ended
