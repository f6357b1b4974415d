"""What became of the last run of a schedule in the crontab: from run.json of its runs, and its log where a run left no record."""

import dataclasses
import datetime

from cli import scheduled_command
from cli.crontab import Entry
from cli.runs import outcome
from contracts import baseline
from contracts.layout import Layout, active_run
from contracts.text import percent, visible
from pipeline import run_record

LONGEST = 100  # characters of an error, in a table


@dataclasses.dataclass(frozen=True)
class LastRun:
    """All as text, "" where there is nothing to say: when it began or, without a record, ended (local time), how, what it found."""

    when: str = ""
    ended: str = ""
    found: str = ""


def of_entry(entry: Entry) -> LastRun:
    """What became of the last run of a line of `flowers schedule`."""
    ends, root = scheduled_command.ends(entry), scheduled_command.root(entry)
    record = _newest(Layout.at(root), entry.name) if root else None
    started = _local(record) if record else None
    # A run that could not begin leaves no record: what its log says is newer than the newest record then.
    if started is None or (len(ends) > 1 and ends[-2].moment > started):
        return LastRun(f"{ends[-1].moment:%Y-%m-%d %H:%M}", ends[-1].words) if ends else LastRun()
    return LastRun(f"{started:%Y-%m-%d %H:%M}", "running" if record["status"] == run_record.STARTED else record["status"], found(record))


def found(record: dict) -> str:
    """What a run (run.json) found: its version, or whether it was blessed, with its accuracy; or why it did not end well."""
    if record["status"] != "finished":
        error = visible(record.get("error") or "").partition(";")[0]
        return f"{error[:LONGEST].rstrip()} …" if len(error) > LONGEST else error
    linear = record.get("linear_eval")
    figures = f", {percent(linear['top1'])} ({baseline.of(linear)} {percent(linear['random_init_top1'])})" if linear else ""
    nodes = record.get("nodes") or {}
    repeated = bool(nodes) and all(node["state"] == "cached" for node in nodes.values())
    return f"{'nothing new: ' if repeated else ''}{outcome(record)}{figures}"


def _newest(layout: Layout, schedule: str) -> dict | None:
    records = [one for one in run_record.read_all(layout) if one.get("schedule") == schedule]
    return run_record.as_it_ended(records[-1], active_run(layout.lock) is not None) if records else None


def _local(record: dict) -> datetime.datetime | None:
    """When a run started, by this machine's clock; None if its record does not say."""
    try:
        return datetime.datetime.fromisoformat(record["started_at"]).astimezone().replace(tzinfo=None)
    except (KeyError, TypeError, ValueError):
        return None
