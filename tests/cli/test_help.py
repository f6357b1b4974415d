"""The help of every verb ends in two examples that the parser takes; hints name the command as the user typed it."""

import re
import shlex
import sys

import pytest

from cli import arguments, program
from cli.main import main, parser


def verbs():
    """The parser of each verb, by name."""
    (found,) = (action for action in parser()._actions if action.dest not in ("help", "version"))
    return found.choices


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_every_verb_has_two_examples_that_are_understood(verb):
    text = verbs()[verb].format_help()
    listed = re.search(r"^examples:\n((?:  .*\n)+)", text, re.MULTILINE)
    commands = listed[1].splitlines()
    assert len(commands) == 2
    for command in commands:
        name, *words = shlex.split(command)
        parsed = parser().parse_args(words)
        assert name == "flowers" and words[0] == verb
        if hasattr(parsed, "overrides") and parsed.preset:
            arguments.configuration(parsed)


@pytest.mark.parametrize(("started_as", "on_the_path", "named"), [
    (".venv/bin/flowers", None, ".venv/bin/flowers"), ("/usr/bin/flowers", "/usr/bin/flowers", "flowers"),
    ("/opt/flowers/.venv/bin/flowers", "/usr/bin/flowers", "/opt/flowers/.venv/bin/flowers"),
    ("/project/pipeline/__main__.py", None, "flowers"),
])  # fmt: skip
def test_hints_name_the_command_as_it_was_typed(tmp_path, capsys, monkeypatch, started_as, on_the_path, named):
    monkeypatch.setattr(sys, "argv", [started_as])
    monkeypatch.setattr(program.shutil, "which", lambda name: on_the_path)
    assert main(["runs", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"No recorded run below {tmp_path}; `{named} run` makes the first.\n"
    assert parser().format_usage().startswith(f"usage: {named} ")
    assert main(["runs", "a", "latest", "--root", str(tmp_path)]) == 2
    assert f"`{named} run` makes the first" in capsys.readouterr().err


def test_running_text_is_folded_and_examples_are_not(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    description, _, rest = verbs()["embed"].format_help().partition("positional arguments:")
    assert max(map(len, description.splitlines())) <= 60 and "  flowers embed FOLDER -o photographs.npy --version 3\n" in rest
