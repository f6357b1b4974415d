"""`from pipeline import run`: what `flowers run` does, as a function, for notebooks and programs.

Settings are checked as the command line checks them, and errors are exceptions. Meanwhile descriptors 1 and 2, sys.stdout and
sys.stderr lead to the run's log file, as libraries write thousands of lines to them; signal handlers, logging and streams are
afterwards what they were.
"""

import contextlib
import numbers
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

from contracts import baseline, libraries
from contracts.layout import Layout
from contracts.text import percent, points
from pipeline import preconditions, settings, surroundings, whole_run
from pipeline.contradictions import Way
from pipeline.events import Lines, attached_to
from pipeline_config import ConfigurationError


@dataclass(frozen=True)
class Accuracy:
    """A share of the held-out photographs, in [0, 1]; `low` to `high` is its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{percent(self.value)} ({percent(self.low)} to {percent(self.high)})"


@dataclass(frozen=True)
class Difference:
    """Of two accuracies on the same photographs, in [-1, 1]; `low` to `high` is its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{points(self.value)} points ({points(self.low)} to {points(self.high)})"


@dataclass(frozen=True)
class Result:
    """What came out of a run that finished.

    Attributes:
      run_id: its name below the folder `runs`.
      accuracy: linear top-1 on the held-out photographs; None, like the next three, where nothing has a label.
      random_init: of its baseline, the same network with its initial weights, or the network of others that it started from.
      champion: of the champion that it was compared with; None without one.
      gain: `accuracy` less `random_init`, on the same photographs.
      blessed: the gate's verdict.
      reasons: one sentence a check of the gate.
      version: of this backbone in the registry; None where it was not registered.
      is_champion: whether that version has the alias `champion` since.
      page, run_json, log: absolute paths of the page, the record (docs/run.json.md) and the log; page is None where it could not be
        written.
    """

    run_id: str
    accuracy: Accuracy | None
    random_init: Accuracy | None
    champion: Accuracy | None
    gain: Difference | None
    blessed: bool
    reasons: tuple[str, ...]
    version: str | None
    is_champion: bool
    page: pathlib.Path | None
    run_json: pathlib.Path
    log: pathlib.Path


class RunFailed(RuntimeError):
    """A node failed by an error that is not the caller's; its cause is that error, and the message names the node and the log."""


def run(
    data: str | os.PathLike | None = None,
    *,
    preset: str = "quick",
    root: str | os.PathLike = "runs",
    settings: Mapping[str, object] | None = None,
    labels: str | os.PathLike | None = None,
    unlabelled: str | os.PathLike | None = None,
    allow_cpu: bool | None = None,
    warm_start: str | int | None = None,
    full_check: bool = False,
    unverified: bool = False,
    beam_endpoint: str = "",
    beam_workers: str = "",
    say: Callable[[str], None] = print,
) -> Result:
    """Runs the whole pipeline in this process, as `flowers run` does, and returns what came out.

    What was finished before comes from the cache, and an interrupted run continues with the same call. Interrupting (the button of a
    notebook, Ctrl-C) ends pre-training after its step and with a checkpoint; once more ends at once.

    Args:
      data: a folder, `tfds:NAME` or `synthetic`; None: what the preset says.
      preset: `quick`, `cpu` or `gpu`.
      root: the folder for runs and registry, DIR of the command line.
      settings: value by dotted key, such as {"pretrain.epochs": 5}, as with --set: numbers, text, true and false, or a sequence.
      labels, unlabelled, allow_cpu, warm_start, full_check, unverified, beam_endpoint, beam_workers: as the options of `flowers run`.
      say: called with each line that a run prints.

    Raises:
      ConfigurationError: a setting or argument is wrong; nothing has run.
      SourceNotFound, DataRefused: of `components.errors`: there are no such data, or they are refused.
      AnotherRunIsActive: another process runs below `root`.
      WrongKerasSettings: Keras was imported before, with settings under which the networks do not work.
      RunFailed: a node failed.
      RecordNotWritten: of `pipeline.whole_run`: the disk is full.
      KeyboardInterrupt: it was interrupted.
    """
    libraries.set_variables_or_check()
    surroundings.leave_no_bytecode()
    layout = Layout.at(os.fspath(root))
    own = {"data.source": data, "data.labels": labels, "data.unlabelled": unlabelled, "pretrain.allow_cpu": allow_cpu}
    own["pretrain.start"] = None if warm_start is None else str(warm_start)
    options = whole_run.Options(full_check=full_check, unverified=unverified, beam_endpoint=beam_endpoint, beam_workers=beam_workers)
    config = _configuration(preset, own, settings or {})
    whole_run.require(config, layout, options)
    with (
        surroundings.without_arguments(),
        whole_run.begun(config, layout, None, lambda log: _shown(log, say)) as (start, shown),
    ):
        ended = whole_run.conduct(start, layout, options, shown, lambda: None)
        for line in _outcome(ended.record):
            shown.say(line)
    if ended.error is not None:
        _raise(ended, layout)
    return result(ended.record, layout)


def _configuration(preset: str, own: Mapping[str, object], others: Mapping[str, object]):
    given = {key: None if value is None else as_text(key, value) for key, value in own.items()}
    overrides = [f"{key}={as_text(key, value)}" for key, value in others.items()]
    return settings.with_absolute_paths(preconditions.configuration(preset, given, overrides, Way()))


def as_text(key: str, value: object) -> str:
    """A setting's value as it would stand on the command line.

    Raises:
      ConfigurationError: it is of a type that no setting has.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | numbers.Real):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return ",".join(as_text(key, one) for one in value)
    raise ConfigurationError(f"{key} must be a number, text, True, False or a sequence of these, got {value!r}")


@contextlib.contextmanager
def _shown(log_file: pathlib.Path, say: Callable[[str], None]) -> Iterator[Lines]:
    """For the block, sends what libraries write to `log_file`, and lets `say` print where the caller's output is."""
    with contextlib.ExitStack() as kept:
        out = kept.enter_context(_own_output())

        def outside(line: str) -> None:
            with contextlib.redirect_stdout(out):
                say(line)

        kept.enter_context(surroundings.descriptors_to(log_file))
        log = kept.enter_context(open(log_file, "a", encoding="utf-8", buffering=1))
        kept.enter_context(contextlib.redirect_stdout(log))
        kept.enter_context(contextlib.redirect_stderr(log))
        kept.enter_context(_without_displays())
        shown = Lines(outside)
        kept.enter_context(attached_to(shown))
        yield shown


@contextlib.contextmanager
def _without_displays() -> Iterator[None]:
    """Drops what libraries show in a notebook during the block: Beam puts scripts into it that come from the network."""
    notebook = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if notebook is None:
        yield
        return
    from IPython.utils.capture import capture_output

    with capture_output(stdout=False, stderr=False, display=True):
        yield


@contextlib.contextmanager
def _own_output() -> Iterator[TextIO]:
    """The caller's standard output, also while descriptor 1 leads elsewhere. A notebook's is no file."""
    try:
        is_a_file = sys.stdout.fileno() == 1
    except (AttributeError, OSError):  # io.UnsupportedOperation is one
        is_a_file = False
    if not is_a_file:
        yield sys.stdout
        return
    with surroundings.kept_aside(1) as out:
        yield out


def _outcome(record: dict) -> Iterator[str]:
    """The last lines of a run that has finished: the figure with its baseline, and what was registered."""
    if record["status"] != "finished":
        return
    found, registry = _figures(record), record["registry"]
    if found["accuracy"]:
        yield f"Linear top-1 {found['accuracy']}; {baseline.title(record['linear_eval'])} {found['random_init']}"
    alias = f", {registry['alias']}" if registry["alias"] else ""
    yield f"{registry['name']} version {registry['version']}{alias}" if registry["version"] else "Not registered"


def result(record: dict, layout: Layout) -> Result:
    """The Result of a finished run whose run.json is `record`."""
    gate, registry, left = record["gate"], record["registry"], whole_run.where(record, layout)
    return Result(
        run_id=record["run_id"],
        **_figures(record),
        blessed=gate["blessed"],
        reasons=tuple(gate["reasons"]),
        version=registry["version"],
        is_champion=registry["alias"] is not None,
        page=pathlib.Path(left["Report"]) if "Report" in left else None,
        run_json=pathlib.Path(left["Record"]),
        log=pathlib.Path(left["Full log"]),
    )


def _figures(record: dict) -> dict[str, Accuracy | Difference | None]:
    from components.evaluator.evidence import share_interval

    metrics, evidence, photographs = (record["gate"][key] for key in ("metrics", "evidence", "eval_examples"))

    def share(name: str) -> Accuracy | None:
        if not metrics or not metrics[name]:
            return None
        value = metrics[name]["accuracy"]
        return Accuracy(value, *share_interval([(round(value * photographs), photographs)]))

    against = evidence["untrained"] if evidence else None
    gain = Difference(against["difference"], against["low"], against["high"]) if against else None
    return {"accuracy": share("candidate"), "random_init": share("untrained"), "champion": share("champion"), "gain": gain}


def _raise(ended: whole_run.Ended, layout: Layout) -> None:
    cause = whole_run.root_error(ended.error)
    if isinstance(cause, tuple(whole_run.STATUS)):
        raise cause.with_traceback(None) from None  # the log has the way through TFX
    record = ended.record
    node = f"{record['failing_node']} failed" if record["failing_node"] else "the run failed before its first node"
    raise RunFailed(f"{node}: {record['error']} (traceback in {whole_run.where(record, layout)['Full log']})") from ended.error
