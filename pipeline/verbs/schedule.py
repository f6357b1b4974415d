"""Arguments of `flowers schedule create|list|pause|resume|delete`."""

import argparse

from pipeline.arguments import (
    EXIT_STATUSES,
    add_configuration,
    add_place,
    add_root,
    add_target,
    configuration,
    target_options,
)
from pipeline.exit_status import ExitStatus
from pipeline_config import require

ACTIONS = {
    "list": "a table of all schedules",
    "pause": "start no further runs; one that is under way goes on",
    "resume": "start runs again; those that were due meanwhile are not made up for",
    "delete": "forget a schedule; its runs and what they left stay",
}


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    schedule = verbs.add_parser(
        "schedule", help="run the pipeline again and again", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs the pipeline again and again, on Vertex AI or with --local by this machine's cron.",
        epilog=EXIT_STATUSES)  # fmt: skip
    actions = schedule.add_subparsers(title="actions", required=True, metavar="ACTION")
    creating = actions.add_parser("create", help="schedule the pipeline; a schedule of that name is changed")
    creating.add_argument("name", metavar="NAME", help="what to call it: lower-case letters, digits and '-'")
    creating.add_argument("--cron", required=True, metavar="WHEN",
                          help='MINUTE HOUR DAY MONTH WEEKDAY, such as "TZ=Europe/Berlin 0 3 * * 1"')  # fmt: skip
    add_configuration(creating, preset=None, data="gs://BUCKET/FOLDER (with --local a folder), tfds:NAME or synthetic")
    add_target(creating, required=False)
    add_root(creating)
    creating.set_defaults(verb=_create)
    for action, words in ACTIONS.items():
        parser = actions.add_parser(action, help=words)
        if action != "list":
            parser.add_argument("name", metavar="NAME", help="of the schedule")
        add_place(parser, required=False)
        parser.set_defaults(verb=_manage, action=action)
    for parser in actions.choices.values():
        parser.add_argument("--local", action="store_true", help="in this user's crontab instead of on Vertex AI")


def _create(parsed: argparse.Namespace) -> ExitStatus:
    _require_place(parsed, "project", "region", "bucket", "image")
    parsed.preset = parsed.preset or ("quick" if parsed.local else "gpu")
    config = configuration(parsed)
    from pipeline import schedule_command

    if parsed.local:
        return schedule_command.create_local(parsed.name, parsed.cron, config, parsed.overrides, parsed.root)
    return schedule_command.create(parsed.name, parsed.cron, config, target_options(parsed))


def _manage(parsed: argparse.Namespace) -> ExitStatus:
    _require_place(parsed, "project", "region")
    from pipeline import schedule_command

    name = getattr(parsed, "name", "")
    if parsed.local:
        return schedule_command.manage_local(parsed.action, name)
    return schedule_command.manage(parsed.action, name, parsed.project, parsed.region)


def _require_place(parsed: argparse.Namespace, *options: str) -> None:
    for option in options:
        given = getattr(parsed, option)
        require(parsed.local or given is not None, f"--{option}", "given, unless the schedule is --local", given)
        require(not parsed.local or given is None, f"--{option}", "left out with --local", given)
