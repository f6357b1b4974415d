"""Arguments of `flowers run`."""

import argparse
import shlex
import sys

from pipeline import completers, settings
from pipeline.arguments import EXIT_STATUSES, add_configuration, add_root, configuration
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    run = verbs.add_parser(
        "run", help="run the whole pipeline on this machine", description="Runs the whole pipeline on this machine.",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXIT_STATUSES)  # fmt: skip
    add_configuration(run, preset="quick", data="synthetic, tfds:NAME, or a folder")
    add_root(run)
    run.add_argument("--warm-start", metavar="VERSION",
                     help="start pre-training from a registered backbone, champion or a number; then pretrain.warm_start_epochs "
                     "and pretrain.warm_start_learning_rate count").completer = completers.versions  # fmt: skip
    run.add_argument("--require-push", action="store_true", help="exit with 4 unless the backbone is in the registry afterwards")
    amount = run.add_mutually_exclusive_group()
    amount.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors; DIR/latest/run.json has the result")
    amount.add_argument("-v", "--verbose", action="store_true", help="print what the libraries log too, line by line")
    run.set_defaults(verb=_run)


def _run(parsed: argparse.Namespace) -> ExitStatus:
    config = settings.with_absolute_source(configuration(parsed))
    from pipeline import run_command
    from pipeline.console import Output

    options = run_command.Options(
        require_push=parsed.require_push,
        warm_start=parsed.warm_start,
        output=Output.QUIET if parsed.quiet else Output.VERBOSE if parsed.verbose else Output.NORMAL,
        command=shlex.join(["flowers", *sys.argv[1:]]),
    )
    return run_command.run(config, Layout.at(parsed.root), options)
