"""The help of every verb ends in two examples that the parser takes; hints name the command as the user typed it."""

import argparse
import re
import shlex
import sys

import pytest
from tiny import PROJECT

from cli import arguments, program
from cli.main import main, parser


def verbs():
    """The parser of each verb, by name."""
    (found,) = (action for action in parser()._actions if action.dest not in ("help", "version"))
    return found.choices


def options(of, verb):
    """The names of each option of a verb and of its actions, with the verb."""
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from options(inner, f"{verb} {name}")
        elif action.option_strings:
            yield verb, action.option_strings


def test_every_option_is_in_a_test_or_in_a_command_of_the_documents():
    texts = "\n".join(path.read_text() for folder in ("tests", "docs") for path in (PROJECT / folder).rglob("*.[pm][yd]"))
    missing = [(verb, names) for verb, names in options(parser(), "flowers") if not any(name in texts for name in names)]
    assert missing == []


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
    assert max(map(len, description.splitlines())) <= 60 and "  flowers embed FOLDER -o photographs.parquet --update\n" in rest
