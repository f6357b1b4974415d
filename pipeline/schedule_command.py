"""`flowers schedule`: the pipeline again and again, on Vertex AI or by this machine's cron. Called by the command line."""

import json
import os
import re
import shlex
import sys
from collections.abc import Sequence

import rich.console
import rich.markup
from rich.table import Table

from pipeline import cron_expression, crontab, settings
from pipeline.code_version import PROJECT
from pipeline.console import without_library_noise
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout
from pipeline.vertex_target import Target, require_place
from pipeline_config import Config, require

NAME = r"[a-z][a-z0-9-]{0,62}"


def create(name: str, cron: str, config: Config, target_options: dict) -> ExitStatus:
    """Compiles the pipeline and schedules it on Vertex AI; a schedule of that name is changed.

    Raises:
      ConfigurationError: a setting that cannot work; nothing was sent.
      GoogleCloudError: it was not scheduled.
    """
    require_name(name)
    expression = cron_expression.parse(cron)
    target = Target(**target_options)
    with without_library_noise():
        from google.cloud.aiplatform_v1.types import PipelineJob

        from components.google_cloud.client import Connection
        from pipeline import vertex, vertex_schedules

        job = PipelineJob.from_json(json.dumps(vertex.pipeline_job(config, target)))
    job.labels["schedule"] = name
    connection = Connection(target.project, target.region, config.vertex.call_seconds, config.vertex.retry_seconds)
    schedule, created = vertex_schedules.create(connection, name, str(expression), job)
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
    from components.google_cloud.client import Connection
    from pipeline import vertex_schedules

    connection = Connection(project, region)
    if action == "list":
        rows = [
            (vertex_schedules.short_name(one), one.cron, one.state.name.lower(), _time(one.next_run_time),
             str(one.started_run_count), one.last_scheduled_run_response.run_response)
            for one in vertex_schedules.listed(connection)
        ]  # fmt: skip
        return _table(f"Schedules in {project}, {region}",
                      ("name", "when", "state", "next run (UTC)", "runs", "last answer"), rows)  # fmt: skip
    require_name(name)
    getattr(vertex_schedules, action)(connection, name)
    return _done(action, name)


def create_local(name: str, cron: str, config: Config, overrides: Sequence[str], root: str) -> ExitStatus:
    """Schedules `flowers run` by this user's crontab; a schedule of that name is changed.

    Args:
      overrides: what was given with --set, for the command in the crontab.

    Raises:
      ConfigurationError: a setting that cannot work, another time zone, or no crontab; nothing was written.
    """
    require_name(name)
    expression = cron_expression.parse(cron)
    crontab.require_this_machine_s_zone(expression)
    layout = Layout.at(root)
    source = settings.with_absolute_source(config).data.source
    log = layout.root / f"schedule-{name}.log"
    options = [option for one in [*overrides, f"data.source={source}"] for option in ("--set", one)]
    run = [sys.executable, "-m", "pipeline", "run", "--preset", config.preset, *options, "--root", str(layout.root)]
    command = f"cd {shlex.quote(str(PROJECT))} && {shlex.join(run)} >> {shlex.quote(str(log))} 2>&1"
    crontab.entries()  # before anything is made: is there a crontab at all?
    os.makedirs(layout.root, exist_ok=True)
    created = crontab.put(crontab.Entry(name, expression.fields, crontab.escaped(command)))
    print(f"{'Created' if created else 'Updated'} schedule {name}: {expression.fields}, by this user's crontab")
    print(f"  Command   {command}")
    print(f"  Outcome   {layout.latest / 'run.json'} of the last run; {log} has what each one printed")
    return ExitStatus.FINISHED


def manage_local(action: str, name: str) -> ExitStatus:
    """Lists, pauses, resumes or deletes in this user's crontab.

    Raises:
      ConfigurationError: there is no such schedule, or no crontab.
    """
    if action == "list":
        rows = [(one.name, one.fields, "paused" if one.paused else "active", one.command) for one in crontab.entries()]
        return _table("Schedules in this user's crontab", ("name", "when", "state", "command"), rows)
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
        print("No schedules yet; `flowers schedule create` makes one.")
        return ExitStatus.FINISHED
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(rich.markup.escape(text) for text in row))
    rich.console.Console(width=None if sys.stdout.isatty() else 160).print(table)
    return ExitStatus.FINISHED


def _time(moment) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""
