"""Four weeks of a schedule in one terminal: every run is the crontab's own line, started as cron does, with no environment at all.

    python benchmarks/four_weeks.py

Week 1 finds no champion yet. Week 2 has new photographs and a new class. The run of week 3 is killed in Pretrain, and the next start
continues it. Week 4 brings nothing new. After each, what cron would mail, and `flowers schedule list --local`. The photographs are
small synthetic flowers and the settings those of the tests; the `crontab` program is one that keeps its table in a file, so that no
cron has to run. Exit status 1 if a week did not end as it should.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(PROJECT), str(PROJECT / "tests" / "support")]

import tiny

from components.synthetic_flowers import scene
from contracts.layout import Layout, active_run

# A file instead of the user's own table: -l prints it, - reads it.
CRONTAB = """#!/bin/sh
case "$1" in -l) cat "$0.txt" 2>/dev/null || { echo "no crontab for flora" >&2; exit 1; } ;; -) cat > "$0.txt" ;; esac
"""
# Two dozen steps and a checkpoint after each, so that there is something to kill and to continue; and every backbone is blessed.
SETTINGS = [*(one for one in tiny.TINY if not one.startswith("pretrain.epochs")), *tiny.OPEN_GATE, "gate.max_regression=1",
            "pretrain.epochs=8", "pretrain.checkpoint_seconds=0"]  # fmt: skip
SPECIES = 5
SAID = r"(Warm start|Start from|Run \S+ was killed|.*continued from step).*"


class Terminal:
    """What is typed and what is shown, with paths shortened."""

    def __init__(self, scratch: pathlib.Path):
        self.scratch = scratch
        self.environment = {"PATH": f"{scratch}/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "COLUMNS": "170", "HOME": str(scratch)}

    def say(self, text: str) -> None:
        """Prints `text`."""
        for path, short in ((self.scratch, "SCRATCH"), (sys.executable, "python"), (PROJECT, "PROJECT")):
            text = text.replace(str(path), short)
        print(text, flush=True)

    def flowers(self, *words: str) -> None:
        """Runs the command line, and shows it with all that it prints."""
        self.say(f"$ flowers {' '.join(words)}")
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *words], cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=True
        )
        self.say(done.stdout.rstrip())


class Week:
    """The schedule's runs, below `root`."""

    def __init__(self, terminal: Terminal, root: pathlib.Path):
        self.terminal, self.layout = terminal, Layout.at(str(root))
        self.log = self.layout.root / "schedule-weekly.log"

    def start(self) -> subprocess.Popen:
        """Starts the command of the crontab's line as cron does: by sh, from the home directory, without an environment."""
        line = pathlib.Path(self.terminal.scratch, "bin/crontab.txt").read_text().strip()
        command = " ".join(line.removesuffix(" # flowers schedule weekly").split(" ")[5:]).replace(r"\%", "%")
        return subprocess.Popen(
            ["env", "-i", "/bin/sh", "-c", command], cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, title: str, status: int = 0, kill: bool = False) -> bool:
        """One run to its end, or killed in Pretrain; whether its exit status is `status`."""
        self.terminal.say(f'\n=== {title}\n$ env -i /bin/sh -c "the crontab\'s command"')
        logged, before, started = self._logged(), self._checkpoints(), time.monotonic()
        process = self.start()
        if kill:
            while process.poll() is None and not self._checkpoints() - before:
                time.sleep(0.002)
            if holder := active_run(self.layout.lock):
                os.kill(int(holder), signal.SIGKILL)
        mailed, _ = process.communicate()
        seconds = time.monotonic() - started
        self.terminal.say("\n".join(f"  log: {found[0]}" for found in re.finditer(SAID, self._logged()[len(logged) :])))
        self.terminal.say(f"  exit status {process.returncode} after {seconds:.0f} s; cron mails {'nothing' if not mailed else ':'}")
        if mailed:
            self.terminal.say("".join(f"  | {line}\n" for line in mailed.rstrip().splitlines()).rstrip())
        self.terminal.flowers("schedule", "list", "--local")
        return process.returncode == status

    def _logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def _checkpoints(self) -> set[pathlib.Path]:
        return set(self.layout.checkpoints.glob("*/checkpoint"))


def draw(folder: pathlib.Path, seed: int, classes: range, each: int) -> int:
    """Draws `each` pictures of some classes; how many that are."""
    for number in classes:
        for index in range(each):
            file = folder / f"class-{number}" / f"{seed}-{index}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(scene.draw_jpeg(seed, number + SPECIES * index, 48))
    return len(classes) * each


def main() -> int:
    """Plays the weeks."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        terminal, photographs = Terminal(scratch), scratch / "photographs"
        program = scratch / "bin/crontab"
        program.parent.mkdir()
        program.write_text(CRONTAB)
        program.chmod(0o755)
        draw(photographs, 3, range(SPECIES - 1), 12)
        sets = [word for one in SETTINGS for word in ("--set", one)]
        terminal.flowers("schedule", "create", "weekly", "--cron", "0 3 * * 1", "--local", "--data", str(photographs), "--root",
                         f"{scratch}/runs", "--warm-start", "champion", "--from-scratch-every", "4", *sets)  # fmt: skip
        terminal.say("$ crontab -l\n" + program.with_suffix(".txt").read_text().rstrip())
        week, ended = Week(terminal, scratch / "runs"), []
        ended.append(week.run("Week 1: 48 photographs of 4 classes, no champion yet"))
        new = draw(photographs, 4, range(SPECIES - 1), 2) + draw(photographs, 4, range(SPECIES - 1, SPECIES), 12)
        ended.append(week.run(f"Week 2: {new} new photographs, 12 of them of a new class"))
        new = draw(photographs, 5, range(SPECIES), 2)
        ended.append(week.run(f"Week 3: {new} new photographs; the process is killed in Pretrain", status=137, kill=True))
        ended.append(week.run("Week 3, the next start"))
        ended.append(week.run("Week 4: nothing new"))
    print(f"\n{sum(ended)} of {len(ended)} runs ended as they should")
    return 0 if all(ended) else 1


if __name__ == "__main__":
    sys.exit(main())
