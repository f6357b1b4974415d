"""Arguments of `flowers submit`."""

import argparse

from pipeline.arguments import EXIT_STATUSES, add_configuration, add_target, configuration, target_options
from pipeline.exit_status import ExitStatus


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    submitting = verbs.add_parser(
        "submit", help="run the pipeline on Vertex AI Pipelines", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Compiles the pipeline and starts it on Vertex AI Pipelines, unless the very same is running there.",
        epilog=EXIT_STATUSES)  # fmt: skip
    add_configuration(submitting, preset="gpu", data="gs://BUCKET/FOLDER, tfds:NAME or synthetic")
    add_target(submitting)
    submitting.add_argument("--wait", action=argparse.BooleanOptionalAction, default=False,
                            help="wait until it has ended, and exit with how it did (default: --no-wait)")  # fmt: skip
    submitting.set_defaults(verb=_submit)


def _submit(parsed: argparse.Namespace) -> ExitStatus:
    config = configuration(parsed)
    from pipeline import submit_command

    return submit_command.submit(config, target_options(parsed), parsed.wait)
