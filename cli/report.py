"""`flowers report`: prints where the page of a run is, and writes the page if it is missing."""

import argparse
import sys
import webbrowser

from cli import arguments
from cli.arguments import ExitStatus, add_root, examples
from cli.recorded_run import LATEST, recorded_run
from contracts.layout import Layout, active_run
from contracts.model_files import RUN_PAGE
from pipeline import run_record


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    reporting = verbs.add_parser(
        "report", help="print where the page of a run is",
        description="Prints the path of a run's page, and writes the page if it is missing.",
        **examples("--open", "20260131-184502-3fa9"))  # fmt: skip
    reporting.add_argument("run", metavar="RUN", nargs="?", help="id of the run (default: the newest)"
                           ).completer = arguments.runs  # fmt: skip
    reporting.add_argument("--open", action="store_true", help="open it in the browser")
    add_root(reporting)
    reporting.set_defaults(verb=_report)


def _report(parsed: argparse.Namespace) -> ExitStatus:
    return report(Layout.at(parsed.root), parsed.run, parsed.open)


def report(layout: Layout, run_id: str | None, show: bool) -> ExitStatus:
    """Prints the path of a run's page, which is made from the nodes' outputs if it is missing.

    Args:
      run_id: None means the newest run.
      show: whether to open the page in the desktop's browser.

    Raises:
      ConfigurationError: there is no such run.
    """
    record = recorded_run(layout, run_id or LATEST)
    if record["status"] == run_record.STARTED:
        active = active_run(layout.lock)
        print(f"flowers: run {record['run_id']} has not ended (process {active}); its page is written when it has", file=sys.stderr)
        return ExitStatus.BAD_ARGUMENTS
    if record["status"] == run_record.KILLED:
        print(f"flowers: run {record['run_id']} was {record['error']}", file=sys.stderr)
    path = layout.run(record["run_id"]) / RUN_PAGE
    if not path.exists():
        from cli.console import without_library_noise
        from cli.terminal import say_loading

        say_loading()
        with without_library_noise():
            from pipeline import metadata

            run_record.write_page(record, metadata.executions(layout.metadata, record["run_id"]), layout)
    print(path)
    if show and not webbrowser.open(path.as_uri()):
        print("flowers: no browser could be started; open the file above yourself", file=sys.stderr)
        return ExitStatus.NODE_FAILED
    return ExitStatus.FINISHED
