"""`flowers rehearse`: a compiled pipeline on this machine, with record and table as of any run. Called by the command line."""

import datetime
import os
import pathlib
import time
import traceback

from pipeline import failures, run_record
from pipeline.code_version import code_versions
from pipeline.console import Console, console, without_library_noise
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout, new_run_id, point_latest_at
from pipeline.metadata import Execution
from pipeline.run_command import show, write_page
from pipeline.run_lock import run_lock
from pipeline.run_record import Identity, Outcome
from pipeline_config import require


def rehearse(file: str, data: str | None, layout: Layout, in_image: str | None = None) -> ExitStatus:
    """Runs the tasks of `file` and leaves run.json, however that ends.

    Args:
      file: what `flowers compile` wrote.
      data: local folder that stands for the gs:// folder that the pipeline reads; None where it reads none.
      layout: where everything goes: DIR/gs holds the buckets.
      in_image: name of the container image to run the tasks in; None for this machine's Python.

    Raises:
      ConfigurationError: the file cannot be rehearsed, or not with this folder or image; nothing has run.
      AnotherRunIsActive: another process runs below the same DIR.
    """
    with without_library_noise():
        from pipeline.rehearsal import containers, specification
        from pipeline.rehearsal.storage import GS, Storage
        from pipeline.rehearsal.task import Job

    path = pathlib.Path(file)
    found = specification.load(path)
    image = containers.find(in_image) if in_image else None
    specification.require_present_code(
        found, path, containers.code_versions(image) if image else code_versions(), f"in {image.name}" if image else "here")
    remote = found.source.startswith(GS)
    require(remote == (data is not None), "--data", f"a folder that stands for {found.source}" if remote
            else f"left out, as the pipeline reads {found.source or 'nothing'}", data)  # fmt: skip
    folder = os.path.realpath(os.path.expanduser(data)) if data is not None else ""
    require(not folder or os.path.isdir(folder), "--data", "a folder that exists", data)
    for where in (folder, str(layout.root)):
        require(not set(where) & set("\"'\\,"), "--data and --root", "paths without quotes, backslashes and commas", where)

    with run_lock(layout.lock):
        now = datetime.datetime.now(datetime.timezone.utc)
        identity = Identity(new_run_id(now), now.isoformat(timespec="seconds"), config=None)
        logs = layout.run(identity.run_id)
        logs.mkdir(parents=True)
        storage = Storage(layout.root / "gs", found.source if remote else "", folder)
        storage.folder.mkdir(exist_ok=True)
        with console(logs / "log.txt") as shown:
            shown.say(f"Rehearsal {identity.run_id} of {path}; gs:// is {storage.folder}")
            if image:
                shown.say(f"Every task runs in a container of {image.name}, by {image.program}")
            return _walk_and_record(found, Job(identity.run_id, storage, logs, image), identity, layout, shown)


def _walk_and_record(found, job, identity: Identity, layout: Layout, shown: Console) -> ExitStatus:
    from pipeline.rehearsal.walk import walk

    started, error = time.monotonic(), None
    executions: list[Execution] = []
    try:
        walk(found, job, executions, shown.node_starts, shown.node_ends)
    except (Exception, KeyboardInterrupt) as caught:
        traceback.print_exception(caught)  # to descriptor 2, which is the log file
        error = caught
    status, exit_status, words, node = "finished", ExitStatus.FINISHED, None, None
    if error is not None:
        (status, exit_status), words = failures.classify(error), failures.paragraph(error)
        node = getattr(error, "node", shown.node)
    outcome = Outcome(status, time.monotonic() - started, words, node)
    record = run_record.build(identity, outcome, executions, run_record.read_reports(executions), shown.seconds)
    run_record.write(record, layout.run(identity.run_id) / "run.json")
    point_latest_at(layout, identity.run_id)
    write_page(record, executions, layout, shown)
    show(record, exit_status, layout, shown)
    if exit_status == ExitStatus.INTERRUPTED:
        shown.fail(f"Interrupted in {node}. A rehearsal has no cache: it starts anew.")
    return exit_status
