"""When a schedule is due: `[TZ=ZONE] MINUTE HOUR DAY MONTH WEEKDAY`. Called by the verb `schedule`; pure.

The five fields as crontab(5) has them and as Vertex AI takes them. What only some crons know (@daily, L, #, seconds) is refused,
so that a schedule means the same on one machine and on Vertex AI.
"""

import dataclasses
import re
import zoneinfo

from pipeline_config import require

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Name, least and greatest value, and the words that stand for values from the least one on. Sunday is 0 and 7.
FIELDS = (("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day of the month", 1, 31, ()), ("month", 1, 12, MONTHS),
          ("day of the week", 0, 7, DAYS))  # fmt: skip
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
      ConfigurationError: it is none; the message names the field.
    """
    found = re.fullmatch(r"(?:(?:CRON_)?TZ=(?P<zone>\S+)\s+)?(?P<fields>[^=]*)", text.strip())
    parts = found["fields"].split() if found else []
    require(len(parts) == len(FIELDS), "--cron",
            f"MINUTE HOUR DAY MONTH WEEKDAY, with TZ=ZONE before it or not, such as {EXAMPLE}", text)  # fmt: skip
    zone = found["zone"] or ""
    require(not zone or _is_zone(zone), "--cron", "with a time zone of the IANA database, such as TZ=Europe/Berlin", zone)
    for part, (name, least, greatest, words) in zip(parts, FIELDS, strict=True):
        valid = all(_is_item(item.lower(), least, greatest, words) for item in part.split(","))
        expected = f"*, a number from {least} to {greatest}, a range, a step or a list of them"
        require(valid, f"the {name} in --cron", expected, part)
    return CronExpression(zone, " ".join(parts))


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _is_item(item: str, least: int, greatest: int, words: tuple[str, ...]) -> bool:
    """Whether `item` is one of *, 3, 3-5, mon, mon-fri, */2, 3-9/2."""
    span, slash, step = item.partition("/")
    if slash and not (re.fullmatch(r"[0-9]{1,2}", step) and int(step) > 0):
        return False
    if span == "*":
        return True
    values = [_value(one, least, words) for one in span.split("-")]
    in_range = all(value is not None and least <= value <= greatest for value in values)
    return in_range and len(values) <= 2 and values == sorted(values) and (len(values) == 2 or not slash)


def _value(text: str, least: int, words: tuple[str, ...]) -> int | None:
    if text in words:
        return words.index(text) + least
    return int(text) if re.fullmatch(r"[0-9]{1,2}", text) else None
