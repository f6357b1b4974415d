"""Schedules on one machine: real runs of the command line against a `crontab` program that keeps its file in a folder."""

import datetime
import pathlib
import re
import shlex
import subprocess
import sys
import time

import pytest

from cli import crontab, last_run, scheduled_command
from cli.crontab import Entry, parse
from cli.main import main
from contracts.layout import run_lock
from pipeline_config import ConfigurationError

# As Debian's: -l prints, - reads; without a crontab -l fails and says so.
CRONTAB = """#!{python}
import pathlib, sys
file = pathlib.Path({file!r})
if sys.argv[1:] == ["-l"]:
    if not file.exists():
        sys.exit("no crontab for flora")
    sys.stdout.buffer.write(file.read_bytes())
elif sys.argv[1:] == ["-"]:
    file.write_bytes(sys.stdin.buffer.read())
else:
    sys.exit("usage error")
"""
OTHERS = "# mine\nMAILTO=flora@example.com\n\n0 5 * * * backup --to 100\\%  # flowers schedules\n@reboot   start\r\n"
NOT_UTF8 = b"# caf\xe9\x0b\n"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The file that is the user's crontab; `instead` replaces the program."""
    file, folder = tmp_path / "crontab.txt", tmp_path / "bin"
    folder.mkdir()
    program(folder, CRONTAB.format(python=sys.executable, file=str(file)))
    for name in scheduled_command.NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(folder))
    return file


def program(folder: pathlib.Path, text: str) -> None:
    (folder / "crontab").write_text(text)
    (folder / "crontab").chmod(0o755)


@pytest.fixture
def flowers(capsys):
    def run(*arguments):
        assert main(["schedule", *arguments, "--local"]) == 0
        return capsys.readouterr().out

    return run


def test_the_verbs_from_creation_to_deletion(table, flowers, tmp_path):
    root, photos = tmp_path / "my runs", tmp_path / "photos"
    photos.mkdir()
    (photos / "rose.jpg").touch()
    said = flowers("create", "weekly", "--cron", "0 3 * * 1", "--data", str(photos), "--root", str(root))
    assert said.startswith("Created schedule weekly: 0 3 * * 1, in this user's crontab")
    (line,) = table.read_text().splitlines()
    assert line.startswith("0 3 * * 1 log=") and line.endswith(" # flowers schedule weekly")
    said = flowers("create", "weekly", "--cron", "0 4 * * *", "--root", str(root))
    assert said.startswith("Updated schedule weekly: 0 4 * * *")
    assert len(table.read_text().splitlines()) == 1
    listed = flowers("list")
    assert "active" in listed and due("0 4 * * *") in listed and f"Next run  {due('0 4 * * *')}" in said
    assert flowers("pause", "weekly") == "Paused schedule weekly\n"
    assert table.read_text().startswith("#") and "paused" in flowers("list") and due("0 4 * * *") not in flowers("list")
    assert flowers("pause", "weekly") and flowers("resume", "weekly") == "Resumed schedule weekly\n"
    assert table.read_text().startswith("0 4 * * *")
    assert flowers("delete", "weekly") == "Deleted schedule weekly\n" and table.read_text() == ""
    assert flowers("list") == "No schedules yet; `flowers schedule create` makes one.\n"


def due(fields):
    return f"{crontab.next_run(fields, datetime.datetime.now()):%Y-%m-%d %H:%M}"


def test_a_line_that_somebody_changed_is_listed_without_its_next_run(table, flowers):
    table.write_text("0 4 * * 1#2 true # flowers schedule odd\n")
    assert re.search(r"odd +│ 0 4 \* \* 1#2 │ active │ +│ +│ +│ +│", flowers("list"))


def test_a_whole_line(table, flowers, tmp_path, monkeypatch):
    """The command in the crontab runs the pipeline as it was configured. The test's name is part of its paths: a line is limited."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", "data sets")
    root = tmp_path / "100% runs"
    for file in ("it's mine/rose.jpg", "more/tulip.jpg", "labels.csv"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    flowers("create", "weekly", "--cron", "0 3 * * 1", "--data", "it's mine", "--labels", "labels.csv", "--unlabelled",
            "more", "--set", "pretrain.epochs=3", "--root", str(root))  # fmt: skip
    command = crontab.existing("weekly").command.replace(r"\%", "%")  # as cron hands it to the shell
    words = shlex.split(command.partition(" >> ")[0].partition(" && ")[2])
    assert words == [
        "env", f"TFDS_DATA_DIR={tmp_path}/data sets", f"PATH={tmp_path}/bin", sys.executable, "-m", "pipeline", "run",
        "--schedule", "weekly", "--preset", "quick",
        "--set", "pretrain.epochs=3", "--set", f"data.source={tmp_path}/it's mine", "--set", f"data.labels={tmp_path}/labels.csv",
        "--set", f"data.unlabelled={tmp_path}/more", "--root", str(root)]  # fmt: skip


def test_a_schedule_starts_from_the_champion_and_alternates_as_it_was_told(table, flowers, tmp_path):
    flowers("create", "weekly", "--cron", "0 3 * * 1", "--warm-start", "champion", "--from-scratch-every", "4", "--set",
            "pretrain.warm_start_epochs=2", "--full-check", "--root", str(tmp_path))  # fmt: skip
    words = shlex.split(crontab.existing("weekly").command)
    assert words[words.index("--warm-start") :][:5] == ["--warm-start", "champion", "--from-scratch-every", "4", "--full-check"]


@pytest.mark.parametrize(("arguments", "message"), [
    (["--from-scratch-every", "4"], "--from-scratch-every counts only for a schedule with --warm-start"),
    (["--from-scratch-every", "1", "--warm-start", "champion"], "--from-scratch-every must be 2 or more, got 1"),
    (["--set", "pretrain.warm_start_epochs=2"], "pretrain.warm_start_epochs counts only with --warm-start"),
])  # fmt: skip
def test_a_start_that_cannot_be_meant_is_refused(table, capsys, arguments, message):
    assert main(["schedule", "create", "weekly", "--cron", "0 3 * * 1", "--local", *arguments]) == 2
    assert message in capsys.readouterr().err and not table.exists()
    if "--warm-start" not in arguments:
        assert main(["run", *arguments]) == 2


def test_a_run_that_is_due_while_another_one_runs_is_left_out(table, flowers, tmp_path):
    flowers("create", "weekly", "--cron", "0 3 * * 1", "--root", str(tmp_path / "runs"))
    command = ["/bin/sh", "-c", crontab.existing("weekly").command.replace(r"\%", "%")]
    with run_lock(tmp_path / "runs/lock"):
        # For real, as cron does it: from another folder, and with little environment.
        done = subprocess.run(command, cwd="/", env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, check=False, timeout=300,
                              capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 2 and "another run (process" in done.stdout  # which cron mails
    assert "another run (process" in (tmp_path / "runs/schedule-weekly.log").read_text()
    assert not (tmp_path / "runs/latest").exists()


def as_cron(command):
    return subprocess.run(["/bin/sh", "-c", command], cwd="/", env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
                          check=False)  # fmt: skip


@pytest.mark.parametrize(("run", "status", "mailed"), [
    (["true"], 0, ""), (["ls", "/no such folder"], 2, "no such folder"), (["sh", "-c", "kill -9 $$"], 137, "exit status 137"),
])  # fmt: skip
def test_cron_mails_a_run_that_fails_and_the_log_and_the_list_say_how_it_ended(tmp_path, run, status, mailed):
    command = scheduled_command.command("weekly", "/", run, str(tmp_path / "it's 5% of.log"))
    done = as_cron(command)
    assert done.returncode == status and bool(done.stdout + done.stderr) == bool(status)
    assert re.search(mailed, done.stdout + done.stderr)
    (end,) = scheduled_command.ends(Entry("weekly", "0 3 * * 1", scheduled_command.escaped(command)))
    assert end.words == ("finished" if status == 0 else f"failed ({status})")
    assert abs(datetime.datetime.now() - end.moment) < datetime.timedelta(minutes=10)
    assert len(command) + len(str(tmp_path)) < 1000  # which is what Debian's cron takes


@pytest.mark.parametrize(("folder", "log"), [("/gone", "log"), ("/", "gone/log")])
def test_cron_mails_that_the_project_or_the_folder_of_the_log_is_gone(tmp_path, folder, log):
    done = as_cron(scheduled_command.command("weekly", folder, ["true"], str(tmp_path / log)))
    assert done.returncode != 0 and "gone" in done.stdout + done.stderr


def test_what_never_ended_or_is_no_command_of_ours_has_no_last_end(tmp_path):
    for command in ("true", "log=/gone; true", "it's", "", f"log={tmp_path}; true", "log='"):
        assert scheduled_command.ends(Entry("weekly", "0 3 * * 1", command)) == []
        assert last_run.of_entry(Entry("weekly", "0 3 * * 1", command)) == last_run.LastRun()


def test_whatever_else_the_crontab_has_stays_byte_for_byte(table):
    table.write_bytes(OTHERS.encode() + NOT_UTF8)
    crontab.put(Entry("weekly", "0 3 * * 1", "true"))
    crontab.put(Entry("daily", "0 3 * * *", "true"))
    crontab.put(Entry("weekly", "0 4 * * 1", "true", paused=True))
    ours = b"#paused# 0 4 * * 1 true # flowers schedule weekly\n0 3 * * * true # flowers schedule daily\n"
    assert table.read_bytes() == OTHERS.encode() + NOT_UTF8 + ours
    for name in ("weekly", "daily"):
        crontab.remove(name)
    assert table.read_bytes() == OTHERS.encode() + NOT_UTF8


def test_only_lines_of_ours_are_ours(table):
    table.write_text(OTHERS)
    assert crontab.entries() == []
    with pytest.raises(ConfigurationError, match="no schedule 'weekly' in this user's crontab; there are none"):
        crontab.remove("weekly")
    crontab.put(Entry("daily", "0 3 * * *", "true"))
    with pytest.raises(ConfigurationError, match="there are daily"):
        crontab.set_paused("weekly", True)


@pytest.mark.parametrize(("text", "message"), [
    (None, "this machine has no `crontab`: install it"),
    ("#!/bin/sh\necho 'You (flora) are not allowed to use this program' >&2; exit 1",
     "`crontab -l` failed: You .* are not allowed"),
    ("#!/bin/sh\n[ $1 = -l ] || { echo 'cannot write: disk full' >&2; exit 1; }", "`crontab -` refused: cannot write: disk full"),
    ("#!/bin/sh\n[ $1 = -l ] && echo '0 1 * * * else'; exit 0", "the crontab differs from what was written"),
    ("#!/bin/sh\nexec /bin/sleep 60", "`crontab -l` did not end within 0.5 s"),
])  # fmt: skip
def test_a_crontab_that_does_not_work_is_reported(table, tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(crontab, "SECONDS", 0.5 if text and "sleep" in text else 30)
    (tmp_path / "bin/crontab").unlink()
    if text is not None:
        program(tmp_path / "bin", text)
    with pytest.raises(ConfigurationError, match=message):
        crontab.put(Entry("weekly", "0 3 * * 1", "true"))


def test_without_a_crontab_nothing_is_made(table, tmp_path, capsys):
    (tmp_path / "bin/crontab").unlink()
    assert main(["schedule", "create", "w", "--cron", "0 3 * * 1", "--local", "--root", str(tmp_path / "runs")]) == 2
    assert "apt-get install cron" in capsys.readouterr().err and not (tmp_path / "runs").exists()


@pytest.fixture
def machine_in(monkeypatch):
    def change(zone):
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield change
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("machine", "zone", "accepted"), [
    ("Europe/Berlin", "Europe/Berlin", True),
    ("Europe/Paris", "Europe/Berlin", True),  # the same clock all year
    ("UTC", "Etc/UTC", True),
    ("UTC", "Europe/London", False),  # the same clock in winter alone
    ("UTC", "Europe/Berlin", False),
    ("UTC", "", True),
])  # fmt: skip
def test_another_time_zone_than_the_machine_s_is_refused(machine_in, machine, zone, accepted):
    machine_in(machine)
    expression = parse(f"TZ={zone} 0 3 * * 1" if zone else "0 3 * * 1")
    if accepted:
        crontab.require_this_machine_s_zone(expression)
        return
    with pytest.raises(ConfigurationError, match=f"--cron cannot have TZ={zone} with --local"):
        crontab.require_this_machine_s_zone(expression)
