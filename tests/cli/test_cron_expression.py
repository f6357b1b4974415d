"""When a schedule is due: what is understood, and that what is not is refused by the name of its field."""

import datetime
import re
import zoneinfo

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
    ("0 3 * * 5L", "the day of the week"), ("0 3 LW * *", "the day of the month"), ("0 3 15W * *", "the day of the month"),
    ("0 3 * * ſun", "the day of the week"),  # a long s, of which S is the capital
    (f"{'9' * 5000} 3 * * *", "the minute"),
    ("0 3 31 4,6 *", "a number from 1 to 31 that the month has"),  # never due
])  # fmt: skip
def test_what_is_no_cron_expression_is_refused_and_named(text, named):
    with pytest.raises(ConfigurationError, match=re.escape(named)):
        crontab.parse(text)


# 2026-11-29 is a Sunday.
@pytest.mark.parametrize(("fields", "due"), [
    ("0 3 * * 1", "2026-11-30 03:00"), ("0 3 * * mon", "2026-11-30 03:00"), ("0 3 * * 7", "2026-12-06 03:00"),
    ("*/15 12 * * *", "2026-11-29 12:15"), ("0 3 29 2 *", "2028-02-29 03:00"),
    ("0 3 1 * 3", "2026-12-01 03:00"), ("0 3 15 * 3", "2026-12-02 03:00"),  # day of the month or of the week, as crontab(5) says
])  # fmt: skip
def test_the_next_run_is_the_first_that_is_due(fields, due):
    found = crontab.next_run(fields, datetime.datetime(2026, 11, 29, 12, 0))
    assert f"{found:%Y-%m-%d %H:%M}" == due


def test_the_next_run_in_a_zone_keeps_its_hour_when_the_clocks_change():
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")  # back to winter time on 2026-10-25
    found = crontab.next_run("0 3 * * 0", datetime.datetime(2026, 10, 24, 12, 0, tzinfo=berlin))
    assert found == datetime.datetime(2026, 10, 25, 2, 0, tzinfo=datetime.UTC)


def test_fields_that_only_some_crons_know_have_no_next_run():
    assert crontab.next_run("0 3 * * 1#2", datetime.datetime(2026, 11, 29)) is None
