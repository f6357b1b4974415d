"""`flowers run`: the whole DAG on this machine, run.json, and the table; for a failure its exit status and one paragraph."""

import argparse
import shlex

from cli import arguments
from cli.arguments import EXIT_STATUSES, ExitStatus, add_configuration, add_root, configuration, examples
from cli.console import TRAINS, Console, Output, console
from cli.program import typed
from cli.terminal import say_loading
from components.errors import DataRefused, SourceNotFound
from contracts.layout import Layout
from pipeline import settings, whole_run
from pipeline_config import Config, ConfigurationError


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    run = verbs.add_parser(
        "run", help="run the whole pipeline on this machine", description="Runs the whole pipeline on this machine.",
        **examples("--preset cpu --data FOLDER --set pretrain.epochs=5 --root runs/mine",
                   "--preset cpu --data FOLDER --warm-start champion", after=EXIT_STATUSES))  # fmt: skip
    add_configuration(run, preset="quick", data="synthetic, tfds:NAME, or a folder")
    add_root(run)
    arguments.add_warm_start(run)
    arguments.add_full_check(run)
    arguments.add_unverified(run)
    run.add_argument("--schedule", metavar="NAME", help="the schedule that starts the run, which run.json then names; without a "
                     "champion yet, its run with --warm-start champion starts from random weights")  # fmt: skip
    arguments.add_engine(run, "this process")
    run.add_argument("--require-push", action="store_true", help="exit with 4 if the backbone is not in the registry afterwards")
    amount = run.add_mutually_exclusive_group()
    amount.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors; DIR/latest/run.json has the result")
    amount.add_argument("-v", "--verbose", action="store_true", help="print what the libraries log too, line by line")
    run.set_defaults(verb=_run)


def _run(parsed: argparse.Namespace) -> ExitStatus:
    config = settings.with_absolute_paths(configuration(parsed))
    layout = Layout.at(parsed.root)
    options = whole_run.Options(
        schedule=parsed.schedule,
        from_scratch_every=parsed.from_scratch_every,
        full_check=parsed.full_check,
        unverified=parsed.unverified,
        beam_endpoint=parsed.beam_endpoint,
        beam_workers=parsed.beam_workers,
    )
    whole_run.require(config, layout, options)
    output = Output.QUIET if parsed.quiet else Output.VERBOSE if parsed.verbose else Output.NORMAL
    return run(config, layout, options, output, parsed.require_push, shlex.join([typed(), *parsed.given]))


def run(
    config: Config,
    layout: Layout,
    options: whole_run.Options = whole_run.Options(),
    output: Output = Output.NORMAL,
    require_push: bool = False,
    command: str = "flowers run",
) -> ExitStatus:
    """Runs the pipeline below `layout` and writes run.json, however the run ends.

    SIGINT, SIGTERM and SIGHUP end the running node, pre-training after its step and with a checkpoint; the record and the table
    are still written. A second signal ends the process at once. A process that is killed leaves a record that says "started".

    Args:
      output: how much it shows.
      require_push: whether a run whose backbone is not in the registry afterwards counts as failed.
      command: the command line that started the run, and continues it after an interruption.

    Raises:
      AnotherRunIsActive, ConfigurationError, OSError: as `whole_run.begun`.
    """
    with whole_run.begun(config, layout, options.schedule, lambda log: console(log, output)) as (start, shown):
        try:
            ended = whole_run.conduct(start, layout, options, shown, lambda: say_loading(shown.say))
        except whole_run.RecordNotWritten as error:
            shown.fail(f"Run failed: {error} (exit status {int(ExitStatus.NODE_FAILED)})")
            return ExitStatus.NODE_FAILED
        status = exit_status(ended.error)
        show(ended.record, status, layout, shown)
        if status == ExitStatus.INTERRUPTED:
            shown.fail(kept(ended.record, shown, command))
        if status == ExitStatus.FINISHED and require_push and not ended.record["registry"]["version"]:
            reasons = "; ".join(ended.record["registry"]["reasons"])
            shown.fail(f"Not pushed: {reasons} (exit status {int(ExitStatus.NOT_PUSHED)})")
            return ExitStatus.NOT_PUSHED
        return status


def show(record: dict, status: ExitStatus, layout: Layout, shown: Console) -> None:
    """Prints the table of a recorded run and, if it did not finish, why."""
    from cli import summary

    where = whole_run.where(record, layout)
    shown.end_live_view("interrupted" if status == ExitStatus.INTERRUPTED else "failed")
    if shown.output != Output.QUIET:
        shown.terminal.print(summary.table(record | {"error": None}, where))  # which is said last, below
    at = f" in {record['failing_node']}" if record["failing_node"] else ""
    if status not in (ExitStatus.FINISHED, ExitStatus.INTERRUPTED):
        shown.fail(f"Run {record['status']}{at}: {record['error']} (exit status {int(status)}; traceback in {where['Full log']})")


def kept(record: dict, shown: Console, command: str) -> str:
    """Where a run was interrupted, what is kept, and how to continue."""
    at = f" in {record['failing_node']}" if record["failing_node"] else ""
    done = [name for name, node in record["nodes"].items() if node["state"] in ("complete", "cached")]
    if shown.progress is not None and TRAINS not in done and shown.progress.saved_step:
        done.append(f"{TRAINS} up to step {shown.progress.saved_step:,} of {shown.progress.steps:,}")
    return (f"Run {record['error']}{at}. Kept: {', '.join(done) or 'the outputs of earlier runs; no node had ended'}.\n"
            f"The same command continues from there: {command}")  # fmt: skip


STATUS = {
    DataRefused: ExitStatus.DATA_REFUSED,
    SourceNotFound: ExitStatus.BAD_ARGUMENTS,
    ConfigurationError: ExitStatus.BAD_ARGUMENTS,
    KeyboardInterrupt: ExitStatus.INTERRUPTED,
}


def exit_status(error: BaseException | None) -> ExitStatus:
    """The exit status of a run that ended with `error`."""
    if error is None:
        return ExitStatus.FINISHED
    cause = whole_run.root_error(error)
    return next((status for kind, status in STATUS.items() if isinstance(cause, kind)), ExitStatus.NODE_FAILED)
