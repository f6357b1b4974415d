"""`flowers schedule`: runs the pipeline at fixed times, on Vertex AI or by this machine's cron."""

import argparse
import dataclasses
import datetime
import os
import re
import sys
from collections.abc import Sequence

import rich.console

from cli import crontab, last_run, scheduled_command
from cli.arguments import (
    EXIT_STATUSES,
    ExitStatus,
    add_configuration,
    add_full_check,
    add_place,
    add_root,
    add_target,
    add_warm_start,
    configuration,
    examples,
    remote_start,
    target_options,
)
from cli.console import without_library_noise
from cli.program import as_typed
from cli.tables import print_table
from cli.terminal import say_loading
from contracts.layout import Layout
from contracts.source_code import PROJECT
from contracts.text import visible
from pipeline import preconditions, settings
from pipeline_config import Config, is_network, require
from vertex.target import Target, require_place

NAME = r"[a-z][a-z0-9-]{0,62}"

ACTIONS = {
    "list": "a table of all schedules",
    "pause": "start no further runs; a current run continues",
    "resume": "start runs again; missed runs are not made up for",
    "delete": "delete a schedule; its runs and their outputs stay",
}


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    schedule = verbs.add_parser(
        "schedule", help="run the pipeline at fixed times",
        description="Runs the pipeline at fixed times, on Vertex AI or with --local by this machine's cron.",
        **examples('create weekly --cron "0 3 * * 1" --local --preset cpu --data FOLDER', "list --local", after=EXIT_STATUSES))  # fmt: skip
    actions = schedule.add_subparsers(title="actions", required=True, metavar="ACTION")
    creating = actions.add_parser("create", help="schedule the pipeline; an existing schedule is updated")
    creating.add_argument("name", metavar="NAME", help="of the schedule: lower-case letters, digits and '-'")
    creating.add_argument("--cron", required=True, metavar="WHEN",
                          help='MINUTE HOUR DAY MONTH WEEKDAY, such as "TZ=Europe/Berlin 0 3 * * 1"')  # fmt: skip
    add_configuration(creating, preset=None, data="gs://BUCKET/FOLDER (with --local a folder), tfds:NAME or synthetic")
    add_warm_start(creating)
    add_full_check(creating)
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
    preconditions.require_alternation(parsed.from_scratch_every, config.pretrain.start, parsed.name)

    if parsed.local:
        preconditions.require_sources(settings.with_absolute_paths(config).data)
        preconditions.require_start(config.pretrain.start)
        allowed = ["--allow-cpu"] if parsed.allow_cpu else []
        start = [*allowed, *([] if parsed.warm_start is None else ["--warm-start", parsed.warm_start])]
        start += ["--from-scratch-every", str(parsed.from_scratch_every)] if parsed.from_scratch_every else []
        start += ["--full-check"] if parsed.full_check else []
        preconditions.require_engine(parsed.beam_endpoint, parsed.beam_workers)
        for option, address in (("--beam-endpoint", parsed.beam_endpoint), ("--beam-workers", parsed.beam_workers)):
            start += [option, address] if address else []
        return create_local(parsed.name, parsed.cron, config, parsed.overrides, parsed.root, start)
    require(not parsed.full_check, "--full-check", "left out, unless the schedule is --local, as on Vertex AI all are read",
            parsed.full_check)  # fmt: skip
    return create(parsed.name, parsed.cron, config, target_options(parsed), remote_start(parsed, config.pretrain.start))


def _manage(parsed: argparse.Namespace) -> ExitStatus:
    _require_place(parsed, "project", "region")

    name = getattr(parsed, "name", "")
    if parsed.local:
        return manage_local(parsed.action, name)
    return manage(parsed.action, name, parsed.project, parsed.region)


def _require_place(parsed: argparse.Namespace, *options: str) -> None:
    for option in options:
        given = getattr(parsed, option)
        require(parsed.local or given is not None, f"--{option}", "given, unless the schedule is --local", given)
        require(not parsed.local or given is None, f"--{option}", "left out with --local", given)


def create(name: str, cron: str, config: Config, target_options: dict, start: dict) -> ExitStatus:
    """Compiles the pipeline and schedules it on Vertex AI; an existing schedule is updated.

    Args:
      start: what `cli.arguments.remote_start` returned.

    Raises:
      ConfigurationError: an invalid setting; nothing was sent.
      GoogleCloudError: it was not scheduled.
    """
    require_name(name)
    expression = crontab.parse(cron)
    target = Target(**target_options)
    say_loading()
    with without_library_noise():
        from pipeline import vertex
        from vertex import schedules
        from vertex.client import Connection

        job = vertex.pipeline_job(config, target, **start, **({"schedule": name} if start else {}))
    connection = Connection(target.project, target.region, config.vertex.call_seconds, config.vertex.retry_seconds)
    schedule, created = schedules.create(connection, name, str(expression), job)
    print(f"{'Created' if created else 'Updated'} schedule {name}: {schedule.cron}, {schedule.state.name.lower()}")
    if schedule.next_run_time:
        print(f"  Next run  {_time(schedule.next_run_time)}")
    print(f"  Outcomes  {target.outcomes}/")
    return ExitStatus.FINISHED


def manage(action: str, name: str, project: str, region: str) -> ExitStatus:
    """Lists, pauses, resumes or deletes on Vertex AI.

    Raises:
      ConfigurationError: there is no such schedule.
      GoogleCloudError: it was not done.
    """
    require_place(project, region)
    from vertex import jobs, schedules
    from vertex.client import Connection

    connection = Connection(project, region)
    if action == "list":
        rows = []
        for one in schedules.listed(connection):
            job = jobs.of_schedule(connection, schedules.short_name(one))
            # Without a job there may be a word about why none was started.
            last = ((_time(job.create_time), job.state.name.removeprefix("PIPELINE_STATE_").lower(), jobs.found(job)) if job else
                    ("", one.last_scheduled_run_response.run_response, ""))  # fmt: skip
            rows.append((schedules.short_name(one), one.cron, one.state.name.lower(), _time(one.next_run_time),
                         str(one.started_run_count), *map(visible, last)))  # fmt: skip
        return _table(f"Schedules in {project}, {region}",
                      ("name", "when", "state", "next run (UTC)", "runs", "last run (UTC)", "its state", "it found"), rows)  # fmt: skip
    require_name(name)
    getattr(schedules, action)(connection, name)
    return _done(action, name)


def create_local(name: str, cron: str, config: Config, overrides: Sequence[str], root: str, start: Sequence[str] = ()) -> ExitStatus:
    """Schedules `flowers run` in this user's crontab; an existing schedule is updated.

    Args:
      overrides: what was given with --set, for the command in the crontab.
      start: words of that command that say where pre-training starts, and on what, and which photographs are read.

    Raises:
      ConfigurationError: an invalid setting, another time zone, or no crontab; nothing was written.
    """
    require_name(name)
    expression = crontab.parse(cron)
    crontab.require_this_machine_s_zone(expression)
    layout = Layout.at(root)
    absolute = settings.with_absolute_paths(config)
    paths = [f"data.{name}={value}" for name in settings.PATHS if (value := getattr(absolute.data, name))]
    paths += [f"pretrain.start={absolute.pretrain.start}"] if is_network(config.pretrain.start) else []
    log = layout.root / f"schedule-{name}.log"
    options = [option for one in [*overrides, *paths] for option in ("--set", one)]
    run = [sys.executable, "-m", "pipeline", "run", "--schedule", name, "--preset", config.preset, *options, *start,
           "--root", str(layout.root)]  # fmt: skip
    variables, left_out = scheduled_command.variables(os.environ)
    command = scheduled_command.command(name, str(PROJECT), [*variables, *run], str(log))
    line = scheduled_command.escaped(command)
    crontab.entries()  # raises before anything is made if there is no crontab
    os.makedirs(layout.root, exist_ok=True)
    created = crontab.put(crontab.Entry(name, expression.fields, line))
    print(f"{'Created' if created else 'Updated'} schedule {name}: {expression.fields}, in this user's crontab")
    print(f"  Next run  {_time(crontab.next_run(expression.fields, datetime.datetime.now()))}")
    print(f"  Command   {command}")
    for one in left_out:
        print(f"  Left out  {one}; if runs need it, write it into the crontab yourself, as a line NAME=VALUE above")
    print(f"  Outcome   {layout.latest / 'run.json'} of the last run; {log} has the output of all, and cron mails what fails")
    return ExitStatus.FINISHED


def manage_local(action: str, name: str) -> ExitStatus:
    """Lists, pauses, resumes or deletes in this user's crontab.

    Raises:
      ConfigurationError: there is no such schedule, or no crontab.
    """
    if action == "list":
        now = datetime.datetime.now()
        rows = [
            (one.name, one.fields, "paused" if one.paused else "active",
             "" if one.paused else _time(crontab.next_run(one.fields, now)), *dataclasses.astuple(last_run.of_entry(one)))
            for one in crontab.entries()
        ]  # fmt: skip
        return _table("Schedules in this user's crontab",
                      ("name", "when", "state", "next run", "last run", "it ended", "it found"), rows)  # fmt: skip
    require_name(name)
    if action == "delete":
        crontab.remove(name)
    else:
        crontab.set_paused(name, action == "pause")
    return _done(action, name)


def require_name(name: str) -> None:
    require(re.fullmatch(NAME, name) is not None, "the name of a schedule",
            "lower-case letters, digits and '-', beginning with a letter, 63 at most", name)  # fmt: skip


def _done(action: str, name: str) -> ExitStatus:
    print(f"{action.removesuffix('e')}ed schedule {name}".capitalize())
    return ExitStatus.FINISHED


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> ExitStatus:
    if not rows:
        print(as_typed("No schedules yet; `flowers schedule create` makes one."))
        return ExitStatus.FINISHED
    print_table(rich.console.Console(), columns, rows, title=title)
    return ExitStatus.FINISHED


def _time(moment) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""
