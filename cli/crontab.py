"""Schedules in the crontab of the user, and the cron expressions that say when a schedule is due.

    0 3 * * 1 cd PROJECT && flowers run … # flowers schedule weekly

Each schedule is a line marked with its name; a paused one is the same line as a comment. Every other line stays as it is.
"""

import dataclasses
import datetime
import os
import re
import shutil
import subprocess
import time
import zoneinfo
from collections.abc import Callable

import cronsim

from pipeline_config import ConfigurationError, require

# By cronsim's name of a field: its name in messages, and its values.
FIELDS = {
    "minute": ("minute", "a number from 0 to 59"),
    "hour": ("hour", "a number from 0 to 23"),
    "day-of-month": ("day of the month", "a number from 1 to 31 that the month has"),
    "month": ("month", "a number from 1 to 12, jan to dec"),
    "day-of-week": ("day of the week", "a number from 0 to 7, sun to sat"),
}
# The part of cronsim's syntax that every cron and Vertex AI read: *, 3, mon, 3-5, */2, 3-9/2 and lists of these, but not L, W, #
# and 5/2.
_ITEM = r"(\*|{value}-{value})(/[0-9]{{1,2}})?|{value}".format(value="([0-9]{1,2}|[a-z]{3})")
PORTABLE = re.compile(rf"({_ITEM})(,({_ITEM}))*", re.IGNORECASE | re.ASCII)
EXAMPLE = '"TZ=Europe/Berlin 0 3 * * 1", at three on Mondays'


@dataclasses.dataclass(frozen=True)
class CronExpression:
    """`zone`: name in the IANA database, "" for none given. `fields`: the five fields, single spaces between them."""

    zone: str
    fields: str

    def __str__(self) -> str:
        return f"TZ={self.zone} {self.fields}" if self.zone else self.fields


def parse(text: str) -> CronExpression:
    """Reads an expression.

    Raises:
      ConfigurationError: it is none, or never due; the message names the field.
    """
    found = re.fullmatch(r"(?:(?:CRON_)?TZ=(?P<zone>\S+)\s+)?(?P<fields>[^=]*)", text.strip())
    given = found["fields"].split() if found else []
    require(len(given) == len(FIELDS), "--cron",
            f"MINUTE HOUR DAY MONTH WEEKDAY, with TZ=ZONE before it or not, such as {EXAMPLE}", text)  # fmt: skip
    zone = found["zone"] or ""
    require(not zone or _is_zone(zone), "--cron", "with a time zone of the IANA database, such as TZ=Europe/Berlin", zone)
    fields, parts = " ".join(given), dict(zip(FIELDS, given, strict=True))
    wrong = next((field for field, part in parts.items() if not PORTABLE.fullmatch(part)), None) or _wrong(fields)
    for field, (name, values) in FIELDS.items():
        require(field != wrong, f"the {name} in --cron", f"*, {values}, a range, a step or a list of them", parts[field])
    require(wrong is None, "--cron", "an expression that is due some time", text)
    return CronExpression(zone, fields)


def next_run(fields: str, now: datetime.datetime) -> datetime.datetime | None:
    """When a schedule is due next after `now`, in the zone of `now`; without one, by this machine's clock.

    Returns:
      None for fields that `parse` refuses, which `flowers schedule` never writes.
    """
    try:
        return next(cronsim.CronSim(parse(fields).fields, now), None)
    except ConfigurationError:
        return None


def _wrong(fields: str) -> str | None:
    """cronsim's name of the field that it refuses; None if it accepts all."""
    try:
        cronsim.CronSim(fields, datetime.datetime.min)
    except cronsim.CronSimError as error:
        return str(error).removeprefix("Bad ")
    return None


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


# Not python-crontab, which changes other people's lines (tried with 3.4.0): it squeezes odd spacing, turns 00 and the weekday 7
# into 0, drops environment lines with a space before = and those after the last job, moves others, comments out invalid lines,
# turns CRLF into LF, puts a blank line before a new job, and fails at bytes that are not UTF-8.
PAUSED = "#paused# "
LINE = re.compile(rf"(?P<paused>{PAUSED})?(?P<fields>\S+(?: \S+){{4}}) (?P<command>.*) # flowers schedule (?P<name>[a-z0-9-]+)")
# crontab reads and writes one small file.
SECONDS = 30


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of `flowers schedule`. `command`: what the shell runs, as written in the line."""

    name: str
    fields: str
    command: str
    paused: bool = False

    def line(self) -> str:
        return f"{PAUSED if self.paused else ''}{self.fields} {self.command} # flowers schedule {self.name}"


def entries() -> list[Entry]:
    """All lines of `flowers schedule`, by name.

    Raises:
      ConfigurationError: this machine has no crontab program, or it does not answer.
    """
    found = [_entry(line) for line in _lines(_read())]
    return sorted((entry for entry in found if entry), key=lambda entry: entry.name)


def put(entry: Entry) -> bool:
    """Replaces the line with the entry's name, or adds a last line.

    Returns:
      Whether it is new.

    Raises:
      ConfigurationError: see `entries`; or the crontab differs from what was written.
    """

    def change(lines: list[str]) -> list[str]:
        kept = [line for line in lines if not _is(line, entry.name)]
        at = next((index for index, line in enumerate(lines) if _is(line, entry.name)), len(lines))
        return [*kept[:at], entry.line(), *kept[at:]]

    before = {one.name for one in entries()}
    _change(change)
    return entry.name not in before


def set_paused(name: str, paused: bool) -> None:
    """Pauses the schedule or resumes it.

    Raises:
      ConfigurationError: there is none of that name; and see `put`.
    """
    put(dataclasses.replace(existing(name), paused=paused))


def remove(name: str) -> None:
    """Removes the line.

    Raises:
      ConfigurationError: there is none of that name; and see `put`.
    """
    existing(name)
    _change(lambda lines: [line for line in lines if not _is(line, name)])


def existing(name: str) -> Entry:
    """The line of that name.

    Raises:
      ConfigurationError: there is none.
    """
    found = {entry.name: entry for entry in entries()}
    if name not in found:
        there = f"there are {', '.join(found)}" if found else "there are none"
        raise ConfigurationError(f"there is no schedule {name!r} in this user's crontab; {there}")
    return found[name]


def require_this_machine_s_zone(expression: CronExpression) -> None:
    """Refuses a zone whose clock differs from this machine's on any day of the coming year: cron uses the machine's zone.

    Some crons know CRON_TZ; others (Debian's) silently ignore it and start the run at another hour.
    """
    if not expression.zone:
        return
    zone, now = zoneinfo.ZoneInfo(expression.zone), time.time()
    for day in range(366):
        moment = now + day * 86_400
        there = datetime.datetime.fromtimestamp(moment, zone).utcoffset()
        if there != datetime.timedelta(seconds=time.localtime(moment).tm_gmtoff):
            raise ConfigurationError(
                f"--cron cannot have TZ={expression.zone} with --local: cron uses this machine's time zone "
                f"({time.tzname[0]}), which differs; give the time in that zone, without TZ=, or change the machine's zone"
            )


def _entry(line: str) -> Entry | None:
    found = LINE.fullmatch(line)
    return Entry(found["name"], found["fields"], found["command"], bool(found["paused"])) if found else None


def _is(line: str, name: str) -> bool:
    entry = _entry(line)
    return entry is not None and entry.name == name


def _change(change: Callable[[list[str]], list[str]]) -> None:
    before = _read()
    after = "".join(f"{line}\n" for line in change(_lines(before)))
    _crontab(["-"], after)
    if _read() != after:
        raise ConfigurationError("the crontab differs from what was written: another program changes it; check `crontab -l` and try again")


def _lines(text: str) -> list[str]:
    """Not splitlines, which knows more ends of lines than cron does."""
    return text.removesuffix("\n").split("\n") if text else []


def _read() -> str:
    status, text, said = _crontab(["-l"], "", accept=(0, 1))
    if status and "no crontab for" not in said:
        raise ConfigurationError(f"`crontab -l` failed: {said}")
    return "" if status else text


def _crontab(arguments: list[str], text: str, accept: tuple[int, ...] = (0,)) -> tuple[int, str, str]:
    """Runs the program; returns its exit status, standard output and standard error."""
    program = shutil.which("crontab")
    if program is None:
        raise ConfigurationError(
            "this machine has no `crontab`: install it (Debian and Ubuntu: apt-get install cron), or let another scheduler, "
            "such as a systemd timer, run `flowers run`"
        )
    try:
        # As bytes: in text mode ends of lines would change, and a line that is not UTF-8 would be an error.
        done = subprocess.run(
            [program, *arguments], input=os.fsencode(text), capture_output=True, timeout=SECONDS, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"`crontab {arguments[0]}` did not end within {SECONDS} s") from None
    said = os.fsdecode(done.stderr).strip()
    if done.returncode not in accept:
        raise ConfigurationError(f"`crontab {arguments[0]}` refused: {said or f'exit status {done.returncode}'}")
    return done.returncode, os.fsdecode(done.stdout), said
