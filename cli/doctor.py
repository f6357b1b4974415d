"""`flowers doctor`: checks the machine, the installation, DIR and the configuration for what makes runs fail. Changes nothing.

Checks that need TensorFlow run in a process of their own (`doctor_libraries`), so that a TensorFlow that cannot be imported, or
that ends its process, is a finding too.
"""

import argparse
import sys
from collections.abc import Iterator

import pipeline_config
from cli import arguments, doctor_libraries, doctor_machine
from cli.arguments import ExitStatus, add_configuration, add_root, examples
from cli.doctor_machine import FAIL, OK, WARN, Finding, judge
from cli.program import as_typed
from cli.terminal import say_loading
from contracts import memory as limits
from contracts.layout import Layout, active_run
from contracts.text import visible
from pipeline import preconditions, run_record, settings, surroundings
from pipeline_config import Config
from registry.opening import registry_place

# ANSI colours by level, for terminals.
COLOURS = {OK: "32", WARN: "33", FAIL: "31"}

SHOWN = 3  # examples in a line

# Resident memory of a whole run on 60 photographs with a network of 4 channels: 1.2 GB, nearly all of it the libraries.
LIBRARIES_BYTES = 1.2e9


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    doctor = verbs.add_parser(
        "doctor", help="check this machine and configuration, and say how to fix what is wrong",
        description="Checks the machine, the installation, DIR and the configuration of a run, changes nothing, and prints a "
        "line for each finding: ok, warn or fail, and how to fix it. Exit status 1 if anything fails.",
        **examples("--preset cpu --data FOLDER", "--root runs/mine"))  # fmt: skip
    add_configuration(doctor, preset="quick", data="the source that the run will use")
    add_root(doctor)
    doctor.set_defaults(verb=_doctor)


def _doctor(parsed: argparse.Namespace) -> ExitStatus:
    return doctor(parsed, Layout.at(parsed.root))


def doctor(parsed: argparse.Namespace, layout: Layout) -> ExitStatus:
    """Prints a line a finding, as it is found.

    Returns:
      NODE_FAILED (1) if a run would fail, FINISHED (0) otherwise.
    """
    levels = []
    for finding in findings(parsed, layout):
        levels.append(finding.level)
        print(line(finding, sys.stdout.isatty()), flush=True)
    errors, warnings = levels.count(FAIL), levels.count(WARN)
    print(f"{errors} error{'s' if errors != 1 else ''}, {warnings} warning{'s' if warnings != 1 else ''}, {levels.count(OK)} ok")
    return ExitStatus.NODE_FAILED if FAIL in levels else ExitStatus.FINISHED


def findings(parsed: argparse.Namespace, layout: Layout) -> Iterator[Finding]:
    """All findings, the cheap ones first."""
    yield doctor_machine.python()
    yield doctor_machine.system()
    yield doctor_machine.processor()
    yield from doctor_machine.packages()
    yield from doctor_machine.variables()
    config, finding = settings_of(parsed)
    yield finding
    yield from around()
    yield from doctor_machine.check(layout)
    yield from last_run(layout)
    say_loading()
    overrides = [] if finding.level == FAIL else arguments.overrides(parsed)
    answers = doctor_libraries.ask(config.preset, overrides, str(layout.datasets), registry_place(config.registry.place, layout))
    yield from imports(answers)
    yield gpus(answers["gpus"], config)
    yield from gpu_memory(answers["gpus"])
    yield from source(early(config) or answers["source"], config)
    if not answers["gpus"].get("gpus"):
        yield doctor_machine.memory(*memory_needed(answers["step"], answers["source"], config))
    yield registry(answers["registry"])


def line(finding: Finding, coloured: bool) -> str:
    """`finding` in one line: no name of a file or class can break it or reach the terminal as a control sequence."""
    level = f"{finding.level:<4}"
    if coloured:
        level = f"\x1b[{COLOURS[finding.level]}m{level}\x1b[0m"
    text = f"{finding.subject:<17} {finding.says}" + (f" -> {finding.fix}" if finding.fix else "")
    return f"{level}  {visible(as_typed(text))}"


def settings_of(parsed: argparse.Namespace) -> tuple[Config, Finding]:
    """The configuration that the arguments name; if that is invalid, the preset's, or that of the default preset."""
    try:
        config = arguments.configuration(parsed)
    except pipeline_config.ConfigurationError as error:
        fallback = pipeline_config.PRESETS.get(parsed.preset, pipeline_config.QUICK)
        return fallback, Finding(FAIL, "configuration", str(error), f"further checks use the preset {fallback.preset} unchanged")
    return config, Finding(OK, "configuration", f"preset {config.preset}, {len(parsed.overrides)} settings changed")


def early(config: Config) -> dict | None:
    """An answer about the source where a run would refuse it before it begins; else None."""
    try:
        preconditions.require_sources(settings.with_absolute_paths(config).data)
    except pipeline_config.ConfigurationError as error:
        return {"error": str(error), "as_a_run": True}
    return None


def around() -> Iterator[Finding]:
    """Whether there are a folder for temporary files and semaphores."""
    for subject, require, good in (
        ("temporary files", surroundings.require_temporary_folder, "can be written"),
        ("semaphores", surroundings.require_semaphores, "can be made"),
    ):
        try:
            require()
        except pipeline_config.ConfigurationError as error:
            says, _, fix = str(error).partition("; ")
            yield Finding(FAIL, subject, says, fix)
        else:
            yield Finding(OK, subject, good)


def last_run(layout: Layout) -> Iterator[Finding]:
    """How the newest run below DIR ended; nothing before the first."""
    record = run_record.newest(layout)
    if record is None:
        return
    record = run_record.as_it_ended(record, active_run(layout.lock) is not None)
    if record["status"] == run_record.KILLED:
        says, _, fix = record["error"].partition("; ")
        yield Finding(WARN, "last run", f"{record['run_id']} was {says}", fix)
    else:
        yield Finding(OK, "last run", f"{record['run_id']} {record['status']}")


def imports(answers: dict[str, dict]) -> Iterator[Finding]:
    """Whether the libraries can be imported."""
    broken = {name: answers[name]["error"] for name in doctor_libraries.IMPORTED if "error" in answers[name]}
    for name, error in broken.items():
        yield Finding(FAIL, name, f"cannot be imported: {error}", "make setup; if that does not help, make clean setup")
    if not broken:
        yield Finding(OK, "libraries", ", ".join(f"{name} {answers[name]['version']}" for name in doctor_libraries.IMPORTED))


def gpus(answer: dict, config: Config) -> Finding:
    """Whether TensorFlow sees GPUs, and whether the configuration wants them."""
    if "error" in answer:
        return Finding(WARN, "GPU", f"unknown: {answer['error']}", "see above")
    if "not_shared" in answer:
        return Finding(FAIL, "GPU", answer["not_shared"])
    count = len(answer["gpus"])
    wanted = 0 if config.pretrain.allow_cpu else config.pretrain.min_gpus
    needed = f"pretrain.min_gpus is {wanted}" if wanted else "none needed"
    return judge(count >= wanted, "GPU", f"{count or 'none'} seen, {needed}", "install the extra `gpu` or use the image for GPUs "
                 "(docs/gpu.md), take --preset cpu, or add --allow-cpu")  # fmt: skip


def gpu_memory(answer: dict) -> Iterator[Finding]:
    """Whether what a step keeps can fit into the GPUs; nothing without one, or where the driver does not say how much memory it has."""
    if answer.get("memory"):
        says, _, fix = answer["too_large"].partition("; ")
        good = f"{answer['memory'] / 1e9:.1f} GB, which holds what a step keeps"
        yield judge(not says, "GPU memory", says or good, fix, WARN)


def source(answer: dict, config: Config) -> Iterator[Finding]:
    """Whether the source of photographs can be read, and whether its classes are large enough."""
    name = config.data.source
    if "error" in answer:
        yield Finding(FAIL, "data", answer["error"], "" if answer.get("as_a_run") else "see above")
        return
    if "to_download" in answer:
        yield Finding(OK, "data", f"{name} is to be downloaded to {answer['to_download']}")
        return
    for part in answer.get("not_read", ()):
        yield Finding(OK, "data", f"not read: {part}")
    yield from looked_at(answer, config)
    for sentence in answer.get("refusals", ()):
        yield Finding(FAIL, "data", sentence)  # the run's own, which says what to do
    unlabelled, train = answer["unlabelled"], answer["train"] + answer["unlabelled"]
    says = f"{name}: {answer['images']:,} files of {len(answer['classes'])} classes"
    yield Finding(OK, "data", says + (f", {unlabelled:,} unlabelled" if unlabelled else ""))
    if not answer.get("refusals"):
        batch = config.pretrain.batch_size
        yield judge(batch <= train, "batch", f"{batch} of {'' if answer.get('is_whole') else 'about '}{train:,} photographs to learn from",
                    f"--set pretrain.batch_size={max(2, train // 4)}")  # fmt: skip


def looked_at(answer: dict, config: Config) -> Iterator[Finding]:
    """What decoding the photographs of a folder tells, all or some of them."""
    looked, count = answer.get("looked_at", 0), answer.get("files", 0)
    if looked < count:
        yield Finding(OK, "data", f"looked at {looked:,} of {count:,} files, in equal distances; only a run sees all: files that cannot be "
                      "used, copies of one picture that were saved again, how many are left for training")  # fmt: skip
    refused, too_many = answer.get("refused"), answer.get("bad_fraction", 0) > config.data.max_bad_fraction
    if refused and (looked < count or not too_many):  # else it is among the refusals
        reasons = ", ".join(f"{number:,} {reason} ({detail})" for number, reason, detail in refused)
        yield judge(not too_many, "data", f"{sum(one[0] for one in refused):,} of {looked:,} files cannot be used: {reasons}",
                    "mend or remove them, or set data.follow_links or data.exclude as it says: a run refuses more than "
                    f"data.max_bad_fraction={config.data.max_bad_fraction:g} of all files", WARN)  # fmt: skip
    if twice := answer.get("in_two_classes"):
        shown = "; ".join(" = ".join(paths[:SHOWN]) for paths in twice[:SHOWN]) + ("; …" if len(twice) > SHOWN else "")
        what = "file" if looked < count else "picture"
        yield Finding(WARN, "data", f"the same {what} is in more than one class, {len(twice):,} times: {shown}",
                      "delete those in the wrong class")  # fmt: skip
    if ignored := answer.get("ignored_profiles"):
        yield Finding(WARN, "data", f"{ignored:,} colour profiles are broken, and are ignored",
                      "nothing, if the colours of those photographs look right")  # fmt: skip
    if answer.get("nearly_black"):
        yield Finding(WARN, "data", "most photographs are nearly black, below 5 % of white", "if they should not be, scale their values")


def registry(answer: dict) -> Finding:
    """Whether the registry can be read and all files of its versions are there."""
    if "error" in answer:
        return Finding(FAIL, "registry", answer["error"], answer.get("fix", "restore DIR/registry from a back-up (docs/operations.md)"))
    if not answer["versions"]:
        return Finding(OK, "registry", "empty: the first run that passes the gate registers version 1")
    if answer["missing"]:
        return Finding(FAIL, "registry", f"the files of version {', '.join(answer['missing'])} are gone",
                       "restore DIR/registry/versions from a back-up (docs/operations.md)")  # fmt: skip
    return judge(answer["champion"] is not None, "registry",
                 f"{answer['versions']} versions, champion {answer['champion'] or 'none'}",
                 "`flowers registry promote VERSION`", WARN)  # fmt: skip


def memory_needed(step: dict, source_answer: dict, config: Config) -> tuple[float, str]:
    """Bytes that a run needs on a machine without GPU, the sum of the three largest parts, and what these parts are."""
    settings = config.pretrain
    side = round(settings.resolution * settings.canvas_scale)
    images = (source_answer.get("images") or float("inf")) + source_answer.get("unlabelled", 0)
    canvases = min(images * side * side * 3, limits.budget(settings.memory_megabytes * 1e6))
    kept = step.get("bytes", 0)
    what = f"libraries, {canvases / 1e6:.0f} MB of photographs and {kept / 1e6:.0f} MB for a step of {settings.batch_size}"
    return LIBRARIES_BYTES + canvases + kept, what
