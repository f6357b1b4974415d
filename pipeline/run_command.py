"""`flowers run`: the whole DAG on this machine, run.json, and the table. Called by the command line."""

import dataclasses
import datetime
import time
import traceback

from pipeline import run_record
from pipeline.console import Console, console
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout, new_run_id, point_latest_at
from pipeline.run_lock import run_lock
from pipeline.run_record import Identity, Outcome
from pipeline_config import Config


def run(config: Config, layout: Layout, require_push: bool, warm_start: str | None = None) -> ExitStatus:
    """Runs the pipeline below `layout` and leaves run.json, however the run ends.

    Args:
      config: the settings.
      layout: where everything goes.
      require_push: whether a run whose backbone is not in the registry afterwards counts as failed.
      warm_start: number or alias of the registered version that pre-training starts from.

    Raises:
      AnotherRunIsActive: another process runs below the same DIR.
    """
    with run_lock(layout.lock):
        now = datetime.datetime.now(datetime.timezone.utc)
        identity = Identity(new_run_id(now), now.isoformat(timespec="seconds"), config)
        folder = layout.run(identity.run_id)
        folder.mkdir(parents=True)
        with console(folder / "log.txt") as shown:
            shown.say(f"Run {identity.run_id}: preset {config.preset}, data {config.data.source}")
            shown.say(f"Full log: {folder / 'log.txt'}")
            return _run_and_record(identity, layout, require_push, warm_start, shown)


def _run_and_record(
    identity: Identity, layout: Layout, require_push: bool, warm_start: str | None, shown: Console
) -> ExitStatus:
    started = time.monotonic()
    error: BaseException | None = None
    try:
        # Here, under the console: these imports take seconds and write to standard error.
        from pipeline import local, preparation
        from pipeline.warm_start import with_warm_start

        if warm_start is not None:
            identity = dataclasses.replace(identity, config=with_warm_start(identity.config, layout, warm_start))
            shown.say(f"Warm start from version {identity.config.pretrain.warm_start.version}")
        prepared = preparation.prepare(identity.config, layout)
        identity = dataclasses.replace(identity, origin=prepared.origin, recipe=prepared.recipe)
        local.run(identity.config, prepared, layout, identity.run_id)
    except (Exception, KeyboardInterrupt) as caught:
        traceback.print_exception(caught)  # to descriptor 2, which is the log file
        error = caught
    record, status = _record(identity, error, time.monotonic() - started, layout, shown)
    show(record, status, layout, shown)
    if status == ExitStatus.FINISHED and require_push and not record["registry"]["version"]:
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
    return record, exit_status


def show(record: dict, status: ExitStatus, layout: Layout, shown: Console) -> None:
    """Prints the table of a recorded run and, where it did not finish, why."""
    from pipeline import summary

    folder = layout.run(record["run_id"])
    where = {"Record": str(folder / "run.json"), "Full log": str(folder / "log.txt")}
    shown.terminal.print(summary.table(record, where))
    if status == ExitStatus.FINISHED:
        return
    at = f" in {record['failing_node']}" if record["failing_node"] else ""
    if status == ExitStatus.INTERRUPTED:
        shown.fail(f"Interrupted{at}. What is done is kept: the same command continues from there.")
    else:
        shown.fail(f"Run {record['status']}{at}: {record['error']} (exit status {int(status)}; traceback in {where['Full log']})")
