"""When a schedule is due: what is understood, and that what is not is refused by the name of its field."""

import re

import pytest

from cli import crontab
from pipeline_config import ConfigurationError


@pytest.mark.parametrize(("text", "zone", "fields"), [
    ("0 3 * * 1", "", "0 3 * * 1"),
    ("TZ=Europe/Berlin 0 3 * * 1", "Europe/Berlin", "0 3 * * 1"),
    ("CRON_TZ=America/New_York  */15  0-6,22,23 1-31/2 jan-MAR mon,Fri", "America/New_York",
     "*/15 0-6,22,23 1-31/2 jan-MAR mon,Fri"),
    (" 59 23 31 12 7 ", "", "59 23 31 12 7"),
    ("0 0 * * sun-sat", "", "0 0 * * sun-sat"),
])  # fmt: skip
def test_what_cron_and_vertex_ai_understand_is_taken_as_it_is(text, zone, fields):
    found = crontab.parse(text)
    assert (found.zone, found.fields) == (zone, fields)
    assert str(found) == (f"TZ={zone} {fields}" if zone else fields)


@pytest.mark.parametrize(("text", "named"), [
    ("", "MINUTE HOUR DAY MONTH WEEKDAY"), ("0 3 * *", "MINUTE HOUR DAY MONTH WEEKDAY"), ("0 0 3 * * 1", "MINUTE HOUR"),
    ("@daily", "MINUTE HOUR"), ("MAILTO=me 0 3 * * 1", "MINUTE HOUR"),
    ("TZ=Europe/Bonn 0 3 * * 1", "TZ=Europe/Berlin, got 'Europe/Bonn'"),
    ("TZ=../../etc/passwd 0 3 * * 1", "a time zone of the IANA database"),
    ("60 3 * * 1", "the minute in --cron must be *, a number from 0 to 59"), ("0 24 * * 1", "the hour"),
    ("0 3 0 * *", "the day of the month"),
    ("0 3 32 * *", "the day of the month"), ("0 3 * 13 *", "the month"), ("0 3 * * 8", "the day of the week"),
    ("0 3 * mon *", "the month"),
    ("*/0 3 * * *", "the minute"), ("5/2 3 * * *", "the minute"), ("9-3 3 * * *", "the minute"), ("1-2-3 3 * * *", "the minute"),
    ("1, 3 * * *", "the minute"), ("-1 3 * * *", "the minute"), ("0 3 * * 1#2", "the day of the week"),
    ("0 3 L * *", "the day of the month"),
    ("0 3 * * ?", "the day of the week"), ("٣ 3 * * *", "the minute"), ("0;reboot 3 * * *", "the minute"),
])  # fmt: skip
def test_what_is_no_cron_expression_is_refused_and_named(text, named):
    with pytest.raises(ConfigurationError, match=re.escape(named)):
        crontab.parse(text)
