"""`flowers doctor`: asks every room of pipeline/doctor/ and prints what it found. Called by the command line."""

import argparse
import sys
from collections.abc import Iterator

from pipeline import arguments
from pipeline.doctor import configuration, libraries, machine, storage
from pipeline.doctor.finding import FAIL, OK, WARN, Finding
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout

# ANSI colours by level, for terminals.
COLOURS = {OK: "32", WARN: "33", FAIL: "31"}


def doctor(parsed: argparse.Namespace, layout: Layout) -> ExitStatus:
    """Prints a line a finding, as it is found.

    Returns:
      NODE_FAILED (1) where a run would fail, FINISHED (0) otherwise.
    """
    levels = []
    for finding in findings(parsed, layout):
        levels.append(finding.level)
        print(line(finding, sys.stdout.isatty()), flush=True)
    print(f"{levels.count(FAIL)} to mend, {levels.count(WARN)} to know of, {levels.count(OK)} as they should be")
    return ExitStatus.NODE_FAILED if FAIL in levels else ExitStatus.FINISHED


def findings(parsed: argparse.Namespace, layout: Layout) -> Iterator[Finding]:
    """All findings, the cheap ones first."""
    yield machine.python()
    yield machine.system()
    yield machine.processor()
    yield from machine.packages()
    yield from machine.variables()
    config, finding = configuration.settings_of(parsed)
    yield finding
    yield from storage.check(layout)
    overrides = [] if finding.level == FAIL else arguments.overrides(parsed)
    answers = libraries.ask(config.preset, overrides, str(layout.datasets), str(layout.registry))
    yield from configuration.imports(answers)
    yield configuration.gpus(answers["gpus"], config)
    yield from configuration.source(answers["source"], config)
    if not answers["gpus"].get("gpus"):
        yield machine.memory(*configuration.memory_needed(answers["step"], answers["source"], config))
    yield configuration.registry(answers["registry"])


def line(finding: Finding, coloured: bool) -> str:
    """`finding` in one line: no name of a file or class can break it or reach the terminal as a control sequence."""
    level = f"{finding.level:<4}"
    if coloured:
        level = f"\x1b[{COLOURS[finding.level]}m{level}\x1b[0m"
    text = f"{finding.subject:<17} {finding.says}" + (f" -> {finding.mend}" if finding.mend else "")
    return f"{level}  {''.join(character if character.isprintable() else '?' for character in text)}"
