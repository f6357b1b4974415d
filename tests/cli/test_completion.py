"""What a shell offers for `flowers …`: in a real bash, by the script that `flowers completion bash` prints."""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import time

import pytest

from cli.main import main

PROJECT = pathlib.Path(__file__).resolve().parents[2]

# Calls the completion function as bash does when the key is pressed at the end of a line, and prints what it offers.
ASK = """
eval "$(flowers completion bash)"
while IFS= read -r COMP_LINE; do
    COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMP_KEY=9 COMPREPLY=()
    read -ra COMP_WORDS <<< "$COMP_LINE"
    _python_argcomplete flowers 2>/dev/null
    printf '%s|' "${COMPREPLY[@]}"
    printf '\\n'
done
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment in which `flowers` is this checkout's."""
    commands = tmp_path_factory.mktemp("bin")
    command = commands / "flowers"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{PROJECT}" exec "{sys.executable}" -m pipeline "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "TERM": "dumb"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """DIR with a registry of two versions, the second champion."""
    from registry.mlflow_backend import MlflowBackend

    root = tmp_path_factory.mktemp("root")
    backend = MlflowBackend(str(root / "registry"), "flowers-backbone")
    with backend.writing():
        for content_hash in ("a" * 64, "b" * 64):
            backend.create_version(content_hash, {})
        backend.set_alias("champion", "2")
    return root


@pytest.fixture(scope="module")
def offered(environment, registry, tmp_path_factory):
    """What bash offers for each of these lines, by line."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "photographs").mkdir()
    (folder / "photographs.txt").touch()
    lines = ["flowers re", "flowers run --pre", "flowers run --preset ", "flowers run --set pretrain.ep",
             "flowers run --data syn", "flowers run --data ph", "flowers registry ", f"flowers registry show --root {registry} ",
             f"flowers run --root {registry} --warm-start ", "flowers registry show --root /nowhere ",
             "flowers completion "]  # fmt: skip
    bash = subprocess.run(
        ["bash", "--norc", "-c", ASK], input="".join(f"{line}\n" for line in lines), cwd=folder, env=environment,
        capture_output=True, text=True, timeout=120, check=True)  # fmt: skip
    return {line: [part.strip() for part in answer.split("|") if part.strip()]
            for line, answer in zip(lines, bash.stdout.splitlines(), strict=True)}, registry  # fmt: skip


def test_verbs_and_options_are_completed(offered):
    answers, _ = offered
    assert {"registry", "rehearse"} <= set(answers["flowers re"]) and "run" not in answers["flowers re"]
    assert answers["flowers run --pre"] == ["--preset"]
    assert {"list", "show", "verify"} <= set(answers["flowers registry "])
    assert set(answers["flowers completion "]) >= {"bash", "zsh", "fish"}


def test_presets_settings_and_sources_are_completed(offered):
    answers, _ = offered
    assert {"quick", "cpu", "gpu"} <= set(answers["flowers run --preset "])
    assert answers["flowers run --set pretrain.ep"] == ["pretrain.epochs="]
    assert answers["flowers run --data syn"] == ["synthetic"]
    assert answers["flowers run --data ph"] == ["photographs/"]


def test_registered_versions_are_completed_from_the_registry_of_the_root_that_was_typed(offered):
    answers, registry = offered
    assert {"1", "2", "champion"} <= set(answers[f"flowers registry show --root {registry} "])
    assert {"1", "2", "champion"} <= set(answers[f"flowers run --root {registry} --warm-start "])
    assert not {"1", "2", "champion"} & set(answers["flowers registry show --root /nowhere "])


def test_the_key_completes_in_an_interactive_bash(environment):
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
    try:
        os.write(terminal, b'eval "$(flowers completion bash)"; echo rea""dy\n')
        read_until(terminal, "ready")
        os.write(terminal, b"echo flowers; flowers compl\t")
        assert "flowers completion" in read_until(terminal, "flowers completion")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def read_until(terminal, text, seconds=60):
    shown, deadline = "", time.monotonic() + seconds
    while text not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 0.2)[0]:
            shown += re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", os.read(terminal, 4096).decode())
    return shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_accepts_its_script(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "flowers" in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its script was printed, not read by it")
    subprocess.run([shell, "-n"], input=script, text=True, check=True)
