"""What cron runs for a schedule: its environment, without secrets, under any shell; and what is said of its last run."""

import datetime
import json
import shlex
import subprocess
import sys

import pytest

from cli import last_run, scheduled_command
from cli.crontab import Entry
from contracts.layout import Layout, run_lock
from pipeline_config import ConfigurationError

SECRETS = {
    "HF_TOKEN": "hf_1", "AWS_SECRET_ACCESS_KEY": "aws_2", "DATABASE_PASSWORD": "pw_3", "LABEL_STUDIO_API_KEY": "ls_4",
    "http_proxy": "http://flora:rose_5@proxy:3128", "HTTPS_PROXY": "token_6@proxy:3128",
    "TFDS_DATA_DIR": "https://flora:rose_7@host/data",
}  # fmt: skip
HARMLESS = {
    "PATH": "/opt/flora's tools/bin:/usr/bin:/bin", "LD_LIBRARY_PATH": "/opt/cuda 12/lib64", "TMPDIR": '/tmp/100% "flora"; $HOME `id`',
    "https_proxy": "http://proxy:3128", "no_proxy": "localhost,.example.com", "CUDA_VISIBLE_DEVICES": "", "CUDA_HOME": "/opt/cuda 12",
    "GOOGLE_APPLICATION_CREDENTIALS": "/home/flora/key.json",
}  # fmt: skip


def line(environment, run):
    """A command as it stands in the crontab."""
    words, left_out = scheduled_command.variables(environment)
    return scheduled_command.escaped(scheduled_command.command("weekly", "/", [*words, *run], "/dev/null")), left_out


def as_cron(written):
    """Runs a crontab's line as cron does, with no environment at all."""
    return subprocess.run(["env", "-i", "/bin/sh", "-c", written.replace(r"\%", "%")], cwd="/", capture_output=True, text=True, check=False)


def test_no_secret_is_in_the_line(capsys):
    written, left_out = line(SECRETS | {"PATH": "/usr/bin:/bin"}, ["true"])
    for value in ("hf_1", "aws_2", "pw_3", "ls_4", "rose_5", "token_6", "rose_7"):
        assert value not in written and value not in "".join(left_out)
    # What was left out and is no stranger is named with the reason.
    assert [one.partition(":")[0] for one in left_out] == ["TFDS_DATA_DIR", "http_proxy", "HTTPS_PROXY"]
    assert all("a user or a password" in one for one in left_out)


def test_a_run_has_the_environment_of_its_schedule_whatever_the_values_hold(tmp_path):
    tell = f"import json, os; json.dump(dict(os.environ), open({str(tmp_path / 'seen.json')!r}, 'w'))"
    written, left_out = line(HARMLESS | {"EDITOR": "vi"}, [sys.executable, "-c", tell])
    done = as_cron(written)
    assert (done.returncode, done.stdout, done.stderr, left_out) == (0, "", "", [])
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert {name: seen.get(name) for name in HARMLESS} == HARMLESS and "EDITOR" not in seen


@pytest.mark.parametrize("value", ["/data\n* * * * * rm -rf /", "/data\rx", "/data\\%x"])
def test_what_crons_read_differently_is_left_out_and_said(value):
    written, left_out = line({"TFDS_DATA_DIR": value}, ["true"])
    assert "/data" not in written and "line breaks or backslashes" in left_out[0]
    with pytest.raises(ConfigurationError, match="one line without a backslash"):
        line({}, ["true", value]) if "\r" not in value else scheduled_command.escaped("\n")


def test_relative_folders_and_the_home_are_those_of_the_user(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/flora")
    words, _ = scheduled_command.variables({"TFDS_DATA_DIR": "~/data", "LD_LIBRARY_PATH": "lib::/usr/lib", "SSL_CERT_FILE": "gs://b/f"})
    assert words == ["env", "TFDS_DATA_DIR=/home/flora/data", "SSL_CERT_FILE=gs://b/f", f"LD_LIBRARY_PATH={tmp_path}/lib:/usr/lib"]


def test_a_line_that_cron_would_cut_off_is_refused_with_its_longest_part():
    with pytest.raises(ConfigurationError, match="cron reads commands of 998 bytes, and this one has .*: its longest part is LD_LIBRARY"):
        line({"LD_LIBRARY_PATH": ":".join(f"/opt/library/{number}" for number in range(60))}, ["true"])


def test_one_line_says_that_it_failed():
    done = as_cron(line({}, ["sh", "-c", "exit 3"])[0])
    assert done.returncode == 3 and done.stdout.splitlines()[0] == "schedule weekly: exit status 3; the end of /dev/null:"


@pytest.fixture
def entry(tmp_path):
    run = scheduled_command.command("weekly", "/", ["flowers", "run", "--root", str(tmp_path / "5% of")], str(tmp_path / "log"))
    return Entry("weekly", "0 3 * * 1", scheduled_command.escaped(run))


def record(tmp_path, started, schedule="weekly", status="finished", **more):
    moment = datetime.datetime.fromisoformat(started).astimezone(datetime.UTC)
    folder = Layout.at(str(tmp_path / "5% of")).run(f"{moment:%Y%m%d-%H%M%S}-0000")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"status": status, "schedule": schedule, "started_at": moment.isoformat(), **more}))


def log(tmp_path, *ends):
    (tmp_path / "log").write_text("".join(f"Run …\n{moment} schedule weekly: exit status {status}\n" for moment, status in ends))


FOUND = {"linear_eval": {"top1": 0.766, "random_init_top1": 0.678}, "gate": {"blessed": True, "classes": ["a"]},
         "registry": {"version": "3"}}  # fmt: skip


def test_the_last_run_is_told_with_what_it_found(tmp_path, entry):
    assert last_run.of_entry(entry) == last_run.LastRun()
    record(tmp_path, "2026-03-02 03:00:01", **FOUND)
    record(tmp_path, "2026-03-05 12:00:00", schedule=None)  # by hand
    log(tmp_path, ("2026-03-02 03:40:00", 0))
    assert last_run.of_entry(entry) == last_run.LastRun("2026-03-02 03:00", "finished", "version 3, 76.6 % (random-init 67.8 %)")


def test_a_run_without_news_says_so(tmp_path, entry):
    record(tmp_path, "2026-03-02 03:00:01", **FOUND, nodes={"Pretrain": {"state": "cached"}})
    assert last_run.of_entry(entry).found == "nothing new: version 3, 76.6 % (random-init 67.8 %)"


def test_a_run_that_was_killed_or_goes_on_is_told(tmp_path, entry):
    record(tmp_path, "2026-03-02 03:00:01", status="started", failing_node="Pretrain")
    with run_lock(Layout.at(str(tmp_path / "5% of")).lock):
        assert last_run.of_entry(entry) == last_run.LastRun("2026-03-02 03:00", "running", "")
    assert last_run.of_entry(entry) == last_run.LastRun(
        "2026-03-02 03:00", "killed",
        "killed in Pretrain: its process ended without a word, by SIGKILL, for want of memory or with the mac …")  # fmt: skip


def test_a_run_that_could_not_begin_is_told_by_its_log(tmp_path, entry):
    record(tmp_path, "2026-03-02 03:00:01", **FOUND)
    log(tmp_path, ("2026-03-02 03:40:00", 0), ("2026-03-09 03:00:00", 2))
    assert last_run.of_entry(entry) == last_run.LastRun("2026-03-09 03:00", "failed (2)", "")
    log(tmp_path, ("2026-03-02 03:40:00", 137))
    assert last_run.of_entry(entry).ended == "finished"


def test_a_run_that_begins_in_the_second_in_which_the_former_one_ended_is_told_by_its_record(tmp_path, entry):
    record(tmp_path, "2026-03-02 03:40:00", **FOUND)
    log(tmp_path, ("2026-03-02 03:40:00", 137), ("2026-03-02 04:10:00", 0))
    assert last_run.of_entry(entry) == last_run.LastRun("2026-03-02 03:40", "finished", "version 3, 76.6 % (random-init 67.8 %)")


def test_the_folder_of_the_runs_is_read_from_the_line(tmp_path, entry):
    assert scheduled_command.root(entry) == str(tmp_path / "5% of")
    assert shlex.quote(str(tmp_path / "5% of")) in entry.command.replace(r"\%", "%")
