"""`flowers run`: the whole DAG on this machine, run.json, and the table. Called by the command line."""

import dataclasses
import datetime
import time
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from contracts import interruption
from contracts.model_files import RUN_PAGE
from pipeline import run_record
from pipeline.console import Console, Output, console
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout, new_run_id, point_latest_at
from pipeline.live_view import TRAINS
from pipeline.run_lock import run_lock
from pipeline.run_record import Identity, Outcome
from pipeline_config import Config

if TYPE_CHECKING:
    from pipeline.metadata import Execution


@dataclasses.dataclass(frozen=True)
class Options:
    """What a run is told beside its configuration.

    Attributes:
      require_push: whether a run whose backbone is not in the registry afterwards counts as failed.
      warm_start: number or alias of the registered version that pre-training starts from.
      output: how much it shows.
      command: the command line that started it, by which an interrupted run is continued.
    """

    require_push: bool = False
    warm_start: str | None = None
    output: Output = Output.NORMAL
    command: str = "flowers run"


def run(config: Config, layout: Layout, options: Options) -> ExitStatus:
    """Runs the pipeline below `layout` and leaves run.json, however the run ends.

    SIGINT and SIGTERM end the node that runs, pre-training after its step and with a checkpoint; the record and the table still
    follow. A second one ends the process at once.

    Raises:
      AnotherRunIsActive: another process runs below the same DIR.
    """
    shown: Console | None = None

    def ending(name: str) -> None:
        if shown is not None:
            shown.interrupting(name)

    def ending_at_once() -> None:
        if shown is not None:
            shown.ending_at_once()

    with interruption.listening(ending, ending_at_once), run_lock(layout.lock):
        now = datetime.datetime.now(datetime.timezone.utc)
        identity = Identity(new_run_id(now), now.isoformat(timespec="seconds"), config)
        folder = layout.run(identity.run_id)
        folder.mkdir(parents=True)
        with console(folder / "log.txt", options.output) as shown:
            shown.say(f"Run {identity.run_id}: preset {config.preset}, data {config.data.source}")
            shown.say(f"Full log: {folder / 'log.txt'}")
            return _run_and_record(identity, layout, options, shown)


def _run_and_record(identity: Identity, layout: Layout, options: Options, shown: Console) -> ExitStatus:
    started = time.monotonic()
    error: BaseException | None = None
    try:
        with interruption.released():
            # Here, under the console: these imports take seconds and write to standard error.
            from pipeline import local, preparation
            from pipeline.warm_start import with_warm_start

            if options.warm_start is not None:
                identity = dataclasses.replace(identity, config=with_warm_start(identity.config, layout, options.warm_start))
                shown.say(f"Warm start from version {identity.config.pretrain.warm_start.version}")
            prepared = preparation.prepare(identity.config, layout)
            identity = dataclasses.replace(identity, origin=prepared.origin, recipe=prepared.recipe)
            local.run(identity.config, prepared, layout, identity.run_id, shown.expect)
    except (Exception, KeyboardInterrupt) as caught:
        traceback.print_exception(caught)  # to descriptor 2, which is the log file
        error = caught
        if interruption.requested():
            # Libraries turn a KeyboardInterrupt into errors of their own.
            error = KeyboardInterrupt(interruption.requested())
    # From here on a signal is held back: the record is always written.
    record, status = _record(identity, error, time.monotonic() - started, layout, shown)
    show(record, status, layout, shown)
    if status == ExitStatus.INTERRUPTED:
        shown.fail(kept(record, shown, options.command))
    if status == ExitStatus.FINISHED and options.require_push and not record["registry"]["version"]:
        shown.fail(f"Not pushed: {'; '.join(record['registry']['reasons'])} (exit status {int(ExitStatus.NOT_PUSHED)})")
        return ExitStatus.NOT_PUSHED
    return status


def _record(
    identity: Identity, error: BaseException | None, seconds: float, layout: Layout, shown: Console
) -> tuple[dict, ExitStatus]:
    """Writes run.json and points DIR/latest at it."""
    from pipeline import failures, metadata

    status, exit_status, words, node = "finished", ExitStatus.FINISHED, None, None
    if error is not None:
        (status, exit_status), words = failures.classify(error), failures.paragraph(error)
        node = getattr(error, "node", shown.node)
    executions = metadata.executions(layout.metadata, identity.run_id)
    outcome = Outcome(status, seconds, words, node)
    record = run_record.build(identity, outcome, executions, run_record.read_reports(executions), shown.seconds)
    run_record.write(record, layout.run(identity.run_id) / "run.json")
    point_latest_at(layout, identity.run_id)
    write_page(record, executions, layout, shown)
    return record, exit_status


def write_page(record: dict, executions: Sequence["Execution"], layout: Layout, shown: Console) -> None:
    """Writes the page of a recorded run, unless it is to be continued. What stands in its way is told and changes nothing else."""
    if record["status"] == "interrupted" or not executions:
        return
    try:
        from pipeline import run_page

        run_page.write(record, executions, layout)
    except Exception as caught:  # the run itself is over and recorded
        traceback.print_exception(caught)
        shown.fail(f"The page of the run could not be written: {type(caught).__name__}: {caught} (traceback in the log)")


def show(record: dict, status: ExitStatus, layout: Layout, shown: Console) -> None:
    """Prints the table of a recorded run and, where it did not finish, why."""
    from pipeline import summary

    folder = layout.run(record["run_id"])
    where = {"Report": str(folder / RUN_PAGE)} if (folder / RUN_PAGE).exists() else {}
    where |= {"Record": str(folder / "run.json"), "Full log": str(folder / "log.txt")}
    shown.settle("interrupted" if status == ExitStatus.INTERRUPTED else "failed")
    if shown.output != Output.QUIET:
        shown.terminal.print(summary.table(record, where))
    at = f" in {record['failing_node']}" if record["failing_node"] else ""
    if status not in (ExitStatus.FINISHED, ExitStatus.INTERRUPTED):
        shown.fail(f"Run {record['status']}{at}: {record['error']} (exit status {int(status)}; traceback in {where['Full log']})")


def kept(record: dict, shown: Console, command: str) -> str:
    """Where an interrupted run was, what of it is kept, and how to go on."""
    at = f" in {record['failing_node']}" if record["failing_node"] else ""
    done = [name for name, node in record["nodes"].items() if node["state"] in ("complete", "cached")]
    if shown.progress is not None and TRAINS not in done and shown.progress.saved_step:
        done.append(f"{TRAINS} up to step {shown.progress.saved_step:,} of {shown.progress.steps:,}")
    return (f"Run {record['error']}{at}. Kept: {', '.join(done) or 'what earlier runs left; no node had ended'}.\n"
            f"The same command continues from there: {command}")  # fmt: skip
