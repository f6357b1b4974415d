"""One run on this machine from its first check to its record, whoever starts it: the command line, or Python.

`require` says within a second what is wrong with what was asked for. `begun` takes DIR, records the start and opens what shows the
run; `conduct`, inside it, runs the nodes and writes run.json and the page, however the run ends.
"""

import contextlib
import dataclasses
import datetime
import os
import pathlib
import re
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from components.errors import DataRefused, SourceNotFound
from contracts import files, interruption, memory
from contracts.layout import Layout, new_run_id, run_lock
from contracts.model_files import RUN_PAGE
from pipeline import full_disk, preconditions, run_record, surroundings, tracking
from pipeline.events import Lines
from pipeline.run_record import Outcome, Start
from pipeline_config import RANDOM, Config, ConfigurationError, WarmStart, version_of
from registry.backend import RegistryError

if TYPE_CHECKING:
    from pipeline.metadata import Execution


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a run besides its configuration.

    Attributes:
      schedule: name of the schedule that starts the run.
      from_scratch_every: each run of the schedule of this number starts from random weights all the same; 0: none.
      full_check: whether photographs are read that look as they did when they were read before.
      unverified: whether registered versions are used that were changed or signed by a key that is not trusted.
      beam_endpoint: HOST:PORT of the job server that runs what uses Beam; "": this process does.
      beam_workers: HOST:PORT at which that engine finds a pool of workers; "": they are threads of this process.
    """

    schedule: str | None = None
    from_scratch_every: int = 0
    full_check: bool = False
    unverified: bool = False
    beam_endpoint: str = ""
    beam_workers: str = ""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a run ended: `record` is run.json; `error` why it did not finish, as it was raised, or None."""

    record: dict
    error: BaseException | None


class RecordNotWritten(RuntimeError):
    """The disk is full, and there was no room for the record either: the run counts as killed."""


def require(config: Config, layout: Layout, options: Options) -> None:
    """Whether a run can begin, as far as that is known before any library is imported.

    Raises:
      ConfigurationError: it cannot; nothing has been written.
    """
    preconditions.require_alternation(options.from_scratch_every, config.pretrain.start, options.schedule)
    preconditions.require_start(config.pretrain.start)
    preconditions.require_sources(config.data)
    preconditions.require_a_batch(config)
    preconditions.require_gpu_driver(config, os.environ)
    preconditions.require_writable(layout)
    preconditions.require_signing_key(layout, config.registry.signing_key)
    preconditions.require_engine(options.beam_endpoint, options.beam_workers)
    preconditions.require_job_server(options.beam_endpoint)


@contextlib.contextmanager
def begun(
    config: Config, layout: Layout, schedule: str | None, shown_in: Callable[[pathlib.Path], contextlib.AbstractContextManager]
) -> Iterator[tuple[Start, Lines]]:
    """For the block, a run that has begun below `layout`, and what shows it.

    SIGINT, SIGTERM and SIGHUP are deferred; `conduct` says when they end the run. Their former handlers come back afterwards.

    Args:
      schedule: name of the schedule that starts it.
      shown_in: from the path of the log file to a context manager, which sends there what libraries write and gives the Lines.

    Raises:
      AnotherRunIsActive: another process runs below the same DIR.
      ConfigurationError: there is no folder for temporary files, or there are no semaphores.
      OSError: the disk is full before anything has begun.
    """
    surroundings.require_temporary_folder()
    surroundings.require_semaphores()
    shown: Lines | None = None

    def ending(name: str) -> None:
        if shown is not None:
            shown.interrupting(name)

    def ending_at_once() -> None:
        if shown is not None:
            shown.ending_at_once()

    with interruption.listening(ending, ending_at_once), run_lock(layout.lock):
        now = datetime.datetime.now(datetime.UTC)
        start = Start(new_run_id(now), now.isoformat(timespec="seconds"), config, schedule=schedule)
        folder = layout.run(start.run_id)
        folder.mkdir(parents=True)
        try:
            full_disk.reserve(folder)
        except OSError:
            folder.rmdir()  # no run has begun
            raise
        with contextlib.ExitStack() as at_the_end, shown_in(folder / "log.txt") as shown:
            at_the_end.callback(full_disk.release, folder)
            shown.say(f"Run {start.run_id}: preset {config.preset}, data {config.data.source}")
            shown.say(f"Full log: {folder / 'log.txt'}")
            killed = run_record.begin(start, layout)
            if killed is not None:
                full_disk.release(layout.run(killed["run_id"]))
            say_killed(killed, shown)
            yield start, shown


def conduct(start: Start, layout: Layout, options: Options, shown: Lines, say_loading: Callable[[], None]) -> Ended:
    """Runs the nodes of a run that has begun, and writes run.json and its page, however the run ends.

    A signal ends the running node, pre-training after its step and with a checkpoint; the record is still written.

    Args:
      say_loading: called before the libraries are imported, which takes seconds.

    Raises:
      RecordNotWritten: the record could not be written.
    """
    with tracking.tracked(start.config, layout) as tracked:
        return _conduct(start, layout, options, shown, say_loading, tracked)


def _conduct(
    start: Start, layout: Layout, options: Options, shown: Lines, say_loading: Callable[[], None], tracked: tracking.Tracking | None
) -> Ended:
    started = time.monotonic()
    error: BaseException | None = None

    def begins(node: str) -> None:
        memory.give_back()  # what the node before has left
        run_record.write_started(start, layout, node, time.monotonic() - started)

    shown.begins = begins
    memory.give_back()
    try:
        with interruption.released(), contextlib.ExitStack() as at_the_end:
            # Here, where the log is open: these imports take seconds and write to standard error.
            say_loading()
            from pipeline import local
            from trainer import threads

            at_the_end.enter_context(memory.present_objects_kept())
            threads.share_cores(start.config.pretrain)  # before TensorFlow computes anything
            shown.why = lambda node: local.because(layout, start.run_id).get(node, [])
            wanted, why = start.config.pretrain.start, ""
            by_schedule = bool(options.schedule) and version_of(wanted) is not None
            if not by_schedule:  # looked up before the photographs are read, as it may be mistyped
                start = dataclasses.replace(start, config=_warm(start.config, wanted, layout, options.unverified))
            inspection = local.inspect_source(start.config, layout, options.full_check, shown.say)
            if by_schedule:
                wanted, why = local.starting_version(
                    start.config, layout, options.schedule, wanted, options.from_scratch_every,
                    inspection.fingerprint)  # fmt: skip
                start = dataclasses.replace(start, config=_warm(start.config, wanted, layout, options.unverified))
            if start.config.pretrain.start != RANDOM:
                said = _said(start.config.pretrain.warm_start)
                shown.say(f"{said}, {why}" if why else said)
            prepared = local.prepare(start.config, inspection, layout, options.unverified)
            start = dataclasses.replace(start, origin=prepared.origin, recipe=prepared.recipe)
            if tracked is not None:
                tracked.begin(start)
            local.run(start.config, prepared, layout, start.run_id, shown.expect, options.beam_endpoint, options.beam_workers)
    except (Exception, KeyboardInterrupt) as caught:
        full_disk.release(layout.run(start.run_id))
        with contextlib.suppress(OSError):  # a full disk, on which the log cannot grow
            traceback.print_exception(caught)  # to the log file
        error = caught
        if interruption.requested():
            # Libraries turn a KeyboardInterrupt into errors of their own.
            error = KeyboardInterrupt(interruption.requested())
    # From here on signals are deferred: the record is always written.
    try:
        record = _record(start, error, time.monotonic() - started, layout, shown)
    except Exception as caught:
        if not full_disk.is_full(caught):
            raise
        raise RecordNotWritten(
            f"{full_disk.sentence(layout.root)}; there was no room for the record of the run either, so it counts as killed"
        ) from caught
    if tracked is not None:
        tracked.end(record)
    return Ended(record, error)


def _warm(config: Config, wanted: str, layout: Layout, unverified: bool) -> Config:
    """`config` that starts from `wanted`, a value of pretrain.start; unchanged for random weights and for ""."""
    from pipeline import local

    return config if wanted in (RANDOM, "") else local.with_warm_start(config, layout, wanted, unverified)


def _said(start: WarmStart) -> str:
    if start.version:
        return f"Warm start from version {start.version}"
    if start.network:
        return f"Start from {start.network}, which is the backbone: its features, averaged, in float32; the gate compares with it"
    return "Start from random weights"


def say_killed(former: dict | None, shown: Lines) -> None:
    """Says that the run before was killed, if `former` is its record."""
    if former is not None:
        shown.say(f"Run {former['run_id']} was {former['error'].partition(';')[0]}; its log is beside its run.json")


def _record(start: Start, error: BaseException | None, seconds: float, layout: Layout, shown: Lines) -> dict:
    """Writes run.json as the run has ended, and returns it."""
    from pipeline import local, metadata

    status, words, node = "finished", None, None
    if error is not None:
        status = status_of(error)
        words = full_disk.sentence(layout.root) if full_disk.is_full(error) else paragraph(error)
        node = getattr(error, "node", shown.node)
    executions = metadata.executions(layout.metadata, start.run_id)
    outcome = Outcome(status, seconds, words, node)
    reports, because = run_record.read_reports(executions), local.because(layout, start.run_id)
    record = run_record.build(start, outcome, executions, reports, shown.seconds, because)
    files.write_json(layout.run(start.run_id) / "run.json", record)
    write_page(record, executions, layout, shown)
    return record


def write_page(record: dict, executions: Sequence["Execution"], layout: Layout, shown: Lines) -> None:
    """Writes the page of a recorded run, unless the run was interrupted. A failure is reported and changes nothing else."""
    if record["status"] == "interrupted" or not executions:
        return
    try:
        run_record.write_page(record, executions, layout)
    except Exception as caught:  # the run itself is over and recorded
        traceback.print_exception(caught)
        shown.fail(f"The page of the run could not be written: {type(caught).__name__}: {caught} (traceback in the log)")


def where(record: dict, layout: Layout) -> dict[str, str]:
    """Title and path of what a recorded run left."""
    folder = layout.run(record["run_id"])
    page = {"Report": str(folder / RUN_PAGE)} if (folder / RUN_PAGE).exists() else {}
    return page | {"Record": str(folder / "run.json"), "Full log": str(folder / "log.txt")}


# A library's message may hold a whole traceback or graph; the log has all of it.
LONGEST = 600

# Our own errors, and run.json's `status` for each.
STATUS = {DataRefused: "refused", SourceNotFound: "failed", ConfigurationError: "failed", RegistryError: "failed",
          KeyboardInterrupt: "interrupted"}  # fmt: skip


def status_of(error: BaseException) -> str:
    """run.json's `status` for `error`."""
    cause = root_error(error)
    return next((status for kind, status in STATUS.items() if isinstance(cause, kind)), "failed")


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
