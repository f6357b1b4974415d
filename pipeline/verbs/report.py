"""Arguments of `flowers report`."""

import argparse

from pipeline.arguments import add_root
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    reporting = verbs.add_parser(
        "report", help="where the page of a run is", description="Prints the path of a run's page, and writes it if it is missing.")  # fmt: skip
    reporting.add_argument("run", metavar="RUN", nargs="?", help="id of the run (default: the newest)")
    reporting.add_argument("--open", action="store_true", help="open it in the browser")
    add_root(reporting)
    reporting.set_defaults(verb=_report)


def _report(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import report_command

    return report_command.report(Layout.at(parsed.root), parsed.run, parsed.open)
