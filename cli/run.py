"""`flowers run`: the whole DAG on this machine, run.json, and the table; for a failure its exit status and one paragraph."""

import argparse
import contextlib
import dataclasses
import datetime
import os
import re
import shlex
import time
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli import arguments, full_disk, preconditions, settings, surroundings
from cli.arguments import EXIT_STATUSES, ExitStatus, add_configuration, add_root, configuration, examples
from cli.console import TRAINS, Console, Output, console
from cli.program import typed
from cli.terminal import say_loading
from components.errors import DataRefused, SourceNotFound
from contracts import files, interruption
from contracts.layout import Layout, new_run_id, run_lock
from contracts.model_files import RUN_PAGE
from pipeline import run_record
from pipeline.run_record import Outcome, Start
from pipeline_config import Config, ConfigurationError

if TYPE_CHECKING:
    from pipeline.metadata import Execution


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
    run.add_argument("--schedule", metavar="NAME", help="the schedule that starts the run, which run.json then names; without a "
                     "champion yet, its run with --warm-start champion starts from random weights")  # fmt: skip
    run.add_argument("--beam-endpoint", default="", metavar="HOST:PORT", help="let the job server there (of Flink, Spark, or Beam's own) "
                     "run what uses Beam: ingest, statistics, evaluation; default: this process")  # fmt: skip
    run.add_argument("--require-push", action="store_true", help="exit with 4 if the backbone is not in the registry afterwards")
    amount = run.add_mutually_exclusive_group()
    amount.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors; DIR/latest/run.json has the result")
    amount.add_argument("-v", "--verbose", action="store_true", help="print what the libraries log too, line by line")
    run.set_defaults(verb=_run)


def _run(parsed: argparse.Namespace) -> ExitStatus:
    config = settings.with_absolute_paths(configuration(parsed))
    layout = Layout.at(parsed.root)
    preconditions.require_alternation(parsed.from_scratch_every, parsed.warm_start, parsed.schedule)
    preconditions.require_sources(config.data)
    preconditions.require_a_batch(config)
    preconditions.require_gpu_driver(config, os.environ)
    preconditions.require_writable(layout)
    preconditions.require_job_server(parsed.beam_endpoint)
    options = Options(
        require_push=parsed.require_push,
        warm_start=parsed.warm_start,
        schedule=parsed.schedule,
        from_scratch_every=parsed.from_scratch_every,
        full_check=parsed.full_check,
        beam_endpoint=parsed.beam_endpoint,
        output=Output.QUIET if parsed.quiet else Output.VERBOSE if parsed.verbose else Output.NORMAL,
        command=shlex.join([typed(), *parsed.given]),
    )
    return run(config, layout, options)


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a run besides its configuration.

    Attributes:
      require_push: whether a run whose backbone is not in the registry afterwards counts as failed.
      warm_start: number or alias of the registered version that pre-training starts from.
      schedule: name of the schedule that starts the run.
      from_scratch_every: each run of the schedule of this number starts from random weights all the same; 0: none.
      full_check: whether photographs are read that look as they did when they were read before.
      beam_endpoint: HOST:PORT of the job server that runs what uses Beam; "": this process does.
      output: how much it shows.
      command: the command line that started the run, and continues it after an interruption.
    """

    require_push: bool = False
    warm_start: str | None = None
    schedule: str | None = None
    from_scratch_every: int = 0
    full_check: bool = False
    beam_endpoint: str = ""
    output: Output = Output.NORMAL
    command: str = "flowers run"


def run(config: Config, layout: Layout, options: Options) -> ExitStatus:
    """Runs the pipeline below `layout` and writes run.json, however the run ends.

    SIGINT, SIGTERM and SIGHUP end the running node, pre-training after its step and with a checkpoint; the record and the table
    are still written. A second signal ends the process at once. A process that is killed leaves a record that says "started".

    Raises:
      AnotherRunIsActive: another process runs below the same DIR.
      ConfigurationError: there is no folder for temporary files, or there are no semaphores.
      OSError: the disk is full before anything has begun.
    """
    surroundings.require_temporary_folder()
    surroundings.require_semaphores()
    shown: Console | None = None

    def ending(name: str) -> None:
        if shown is not None:
            shown.interrupting(name)

    def ending_at_once() -> None:
        if shown is not None:
            shown.ending_at_once()

    with interruption.listening(ending, ending_at_once), run_lock(layout.lock):
        now = datetime.datetime.now(datetime.timezone.utc)
        start = Start(new_run_id(now), now.isoformat(timespec="seconds"), config, schedule=options.schedule)
        folder = layout.run(start.run_id)
        folder.mkdir(parents=True)
        try:
            full_disk.reserve(folder)
        except OSError:
            folder.rmdir()  # no run has begun
            raise
        with contextlib.ExitStack() as at_the_end, console(folder / "log.txt", options.output) as shown:
            at_the_end.callback(full_disk.release, folder)
            shown.say(f"Run {start.run_id}: preset {config.preset}, data {config.data.source}")
            shown.say(f"Full log: {folder / 'log.txt'}")
            killed = run_record.begin(start, layout)
            if killed is not None:
                full_disk.release(layout.run(killed["run_id"]))
            say_killed(killed, shown)
            return _run_and_record(start, layout, options, shown)


def _run_and_record(start: Start, layout: Layout, options: Options, shown: Console) -> ExitStatus:
    started = time.monotonic()
    error: BaseException | None = None
    shown.begins = lambda node: run_record.write_started(start, layout, node, time.monotonic() - started)
    try:
        with interruption.released():
            # Here, under the console: these imports take seconds and write to standard error.
            say_loading(shown.say)
            from pipeline import local

            shown.why = lambda node: local.because(layout, start.run_id).get(node, [])
            version, why = options.warm_start or "", ""
            if version and not options.schedule:  # looked up before the photographs are read, as it may be mistyped
                start = dataclasses.replace(start, config=_warm(start.config, version, layout))
            inspection = local.inspect_source(start.config, layout, options.full_check, shown.say)
            if version and options.schedule:
                version, why = local.starting_version(
                    start.config, layout, options.schedule, version, options.from_scratch_every, inspection.fingerprint)  # fmt: skip
                start = dataclasses.replace(start, config=_warm(start.config, version, layout))
            if options.warm_start:
                said = f"Warm start from version {start.config.pretrain.warm_start.version}" if version else "Start from random weights"
                shown.say(f"{said}, {why}" if why else said)
            prepared = local.prepare(start.config, inspection, layout)
            start = dataclasses.replace(start, origin=prepared.origin, recipe=prepared.recipe)
            local.run(start.config, prepared, layout, start.run_id, shown.expect, options.beam_endpoint)
    except (Exception, KeyboardInterrupt) as caught:
        full_disk.release(layout.run(start.run_id))
        with contextlib.suppress(OSError):  # a full disk, on which the log cannot grow
            traceback.print_exception(caught)  # to descriptor 2, which is the log file
        error = caught
        if interruption.requested():
            # Libraries turn a KeyboardInterrupt into errors of their own.
            error = KeyboardInterrupt(interruption.requested())
    # From here on signals are deferred: the record is always written.
    try:
        record, status = _record(start, error, time.monotonic() - started, layout, shown)
    except Exception as caught:
        if not full_disk.is_full(caught):
            raise
        shown.fail(f"Run failed: {full_disk.sentence(layout.root)} (exit status {int(ExitStatus.NODE_FAILED)}; there was no room for "
                   f"its record either, so it counts as killed)")  # fmt: skip
        return ExitStatus.NODE_FAILED
    show(record, status, layout, shown)
    if status == ExitStatus.INTERRUPTED:
        shown.fail(kept(record, shown, options.command))
    if status == ExitStatus.FINISHED and options.require_push and not record["registry"]["version"]:
        shown.fail(f"Not pushed: {'; '.join(record['registry']['reasons'])} (exit status {int(ExitStatus.NOT_PUSHED)})")
        return ExitStatus.NOT_PUSHED
    return status


def _warm(config: Config, version: str, layout: Layout) -> Config:
    """`config` with a warm start from `version`; unchanged for "", which means random weights."""
    from pipeline import local

    return local.with_warm_start(config, layout, version) if version else config


def say_killed(former: dict | None, shown: Console) -> None:
    """Says that the run before was killed, if `former` is its record."""
    if former is not None:
        shown.say(f"Run {former['run_id']} was {former['error'].partition(';')[0]}; its log is beside its run.json")


def _record(
    start: Start, error: BaseException | None, seconds: float, layout: Layout, shown: Console
) -> tuple[dict, ExitStatus]:
    """Writes run.json as the run has ended."""
    from pipeline import local, metadata

    status, exit_status, words, node = "finished", ExitStatus.FINISHED, None, None
    if error is not None:
        status, exit_status = classify(error)
        words = full_disk.sentence(layout.root) if full_disk.is_full(error) else paragraph(error)
        node = getattr(error, "node", shown.node)
    executions = metadata.executions(layout.metadata, start.run_id)
    outcome = Outcome(status, seconds, words, node)
    reports, because = run_record.read_reports(executions), local.because(layout, start.run_id)
    record = run_record.build(start, outcome, executions, reports, shown.seconds, because)
    files.write_json(layout.run(start.run_id) / "run.json", record)
    write_page(record, executions, layout, shown)
    return record, exit_status


def write_page(record: dict, executions: Sequence["Execution"], layout: Layout, shown: Console) -> None:
    """Writes the page of a recorded run, unless the run was interrupted. A failure is reported and changes nothing else."""
    if record["status"] == "interrupted" or not executions:
        return
    try:
        run_record.write_page(record, executions, layout)
    except Exception as caught:  # the run itself is over and recorded
        traceback.print_exception(caught)
        shown.fail(f"The page of the run could not be written: {type(caught).__name__}: {caught} (traceback in the log)")


def show(record: dict, status: ExitStatus, layout: Layout, shown: Console) -> None:
    """Prints the table of a recorded run and, if it did not finish, why."""
    from cli import summary

    folder = layout.run(record["run_id"])
    where = {"Report": str(folder / RUN_PAGE)} if (folder / RUN_PAGE).exists() else {}
    where |= {"Record": str(folder / "run.json"), "Full log": str(folder / "log.txt")}
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


# A library's message may hold a whole traceback or graph; the log has all of it.
LONGEST = 600

STATUS = {
    DataRefused: ("refused", ExitStatus.DATA_REFUSED),
    SourceNotFound: ("failed", ExitStatus.BAD_ARGUMENTS),
    ConfigurationError: ("failed", ExitStatus.BAD_ARGUMENTS),
    KeyboardInterrupt: ("interrupted", ExitStatus.INTERRUPTED),
}


def classify(error: BaseException) -> tuple[str, ExitStatus]:
    """run.json's `status` and the process's exit status for `error`."""
    cause = root_error(error)
    return next((value for kind, value in STATUS.items() if isinstance(cause, kind)), ("failed", ExitStatus.NODE_FAILED))


def paragraph(error: BaseException) -> str:
    """What went wrong in one paragraph: our own errors as they are, any other with its type, cut at LONGEST characters."""
    cause = root_error(error)
    if isinstance(cause, KeyboardInterrupt):
        return f"interrupted by {cause}" if str(cause) else "interrupted"
    text = re.sub(r"\s+", " ", str(cause)).strip()
    if len(text) > LONGEST:
        text = f"{text[:LONGEST].rstrip()} …"
    return text if isinstance(cause, tuple(STATUS)) else f"{type(cause).__name__}: {text}"


def root_error(error: BaseException) -> BaseException:
    """The error of our own that caused `error`, as Beam and TFX wrap what they catch; else `error` itself."""
    seen, chain = error, []
    while seen is not None and seen not in chain:
        if isinstance(seen, tuple(STATUS)):
            return seen
        chain.append(seen)
        seen = seen.__cause__ or seen.__context__
    return error
