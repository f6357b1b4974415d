"""What cron runs for a schedule: one line of shell with the environment that the run needs, its log, and a word where it fails.

A command is written for any cron: no user's shell, no environment, and a mail with whatever is printed.
"""

import dataclasses
import datetime
import os
import re
import shlex
from collections.abc import Mapping, Sequence

from cli.crontab import Entry
from pipeline_config import ConfigurationError, require

# What a run and its libraries find by these variables, and cron's own environment lacks. Names of files and folders:
PATHS = ("TFDS_DATA_DIR", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
         "REQUESTS_CA_BUNDLE")  # fmt: skip
# Lists of folders:
SEARCHED = ("PATH", "LD_LIBRARY_PATH")
# Proxies and the hosts that need none; libraries read either case.
PROXIES = tuple(spelt for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for spelt in (name, name.upper()))
# Devices; an empty value hides all of them.
DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_HOME", "TF_FORCE_GPU_ALLOW_GROWTH")
NAMES = (*PATHS, *SEARCHED, *PROXIES, *DEVICES)


def variables(environment: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What a scheduled command needs of `environment`.

    Only variables that are named above are read, and none that holds a password: whoever may read a process list sees them.

    Returns:
      The words before the command that set them, with absolute paths; and the names of those that are left out, with the reason.
    """
    words, left_out = [], []
    for name in NAMES:
        value = environment.get(name)
        if value is None or (not value and name not in DEVICES):
            continue
        if why := _not_for_a_crontab(name, value):
            left_out.append(f"{name}: {why}")
            continue
        if name in PATHS:
            value = _absolute(value)
        elif name in SEARCHED:
            value = ":".join(dict.fromkeys(_absolute(one) for one in value.split(":") if one))  # each folder once
        words.append(f"{name}={value}")
    return (["env", *words] if words else []), left_out


def _not_for_a_crontab(name: str, value: str) -> str:
    """Why a value is left out, or ""."""
    # A proxy's user and password stand before an @, with a scheme or without.
    if "@" in value if name in PROXIES else re.search("://[^/]*@", value):
        return "it holds a user or a password"
    return "crons differ in how they read its line breaks or backslashes" if re.search(r"[\n\r\\]", value) else ""


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


# Of the log, in the mail about a run that failed.
MAILED_LINES = 15
# Before the name of the log, with which a command begins.
LOG = "log="


def command(name: str, folder: str, run: Sequence[str], log: str) -> str:
    """The shell command of a schedule: the run in `folder`, its output and how it ended in `log`.

    cron mails what a command prints, so it prints nothing unless the run fails: then one line that says so, and the end of the log.
    """
    begin = f'{LOG}{shlex.quote(log)}; cd {shlex.quote(folder)} && {shlex.join(run)} >> "$log" 2>&1; s=$?'
    end = f'echo "$(date "+%F %T") schedule {name}: exit status $s" >> "$log"'
    mail = f'echo "schedule {name}: exit status $s; the end of $log:"; tail -n {MAILED_LINES} "$log"; exit $s'
    return f"{begin}; {end}; [ $s = 0 ] || {{ {mail}; }}"


@dataclasses.dataclass(frozen=True)
class End:
    """How a run of a schedule ended, as its log has it: `moment` by this machine's clock, and `words`."""

    moment: datetime.datetime
    words: str


def ends(entry: Entry) -> list[End]:
    """How all runs of a schedule ended that did, in order, from its log; none if the log is gone or the line is not as written here."""
    try:
        first = _words(entry)[0]
        if not first.startswith(LOG):
            return []
        with open(first.removeprefix(LOG).removesuffix(";"), encoding="utf-8", errors="replace") as file:
            found = re.findall(rf"^(\S+ \S+) schedule {entry.name}: exit status (\d+)$", file.read(), re.MULTILINE)
        return [End(datetime.datetime.fromisoformat(moment), "finished" if status == "0" else f"failed ({status})")
                for moment, status in found]  # fmt: skip
    except (OSError, ValueError, IndexError):
        return []


def root(entry: Entry) -> str:
    """DIR of a schedule's runs; "" if its line is not as written here."""
    try:
        words = _words(entry)
        return words[words.index("--root") + 1]
    except (ValueError, IndexError):
        return ""


def _words(entry: Entry) -> list[str]:
    """The words of a line as the shell reads it: cron puts % where a backslash stands before it."""
    return shlex.split(entry.command.replace(r"\%", "%"))


# Debian's cron reads no longer command.
LONGEST = 998


def escaped(command: str) -> str:
    """A shell command as written in a crontab, where an unescaped % ends it.

    Raises:
      ConfigurationError: it is longer than cron reads, or has line breaks or backslashes, which crons read differently.
    """
    require(not re.search(r"[\n\\]", command), "a scheduled command", "one line without a backslash", command)
    text = command.replace("%", r"\%")
    size = len(os.fsencode(text))
    if size > LONGEST:
        longest = max(shlex.split(command), key=len)
        raise ConfigurationError(
            f"cron reads commands of {LONGEST} bytes, and this one has {size}: its longest part is {longest}; shorten that, or, if it "
            "sets a variable, write it into the crontab as a line NAME=VALUE above and create the schedule without it (`env -u NAME "
            "flowers schedule create …`)"
        )
    return text
