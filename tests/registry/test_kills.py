"""A process killed before each step by which it changes the registry: the champion stays readable, and what was left is repaired.

The steps are not listed here: a first process records every change of a file and of the database that an operation makes, and
then one process for each of them is killed as it is about to make it.
"""

import os
import shutil
import signal

import pytest
import tensorflow as tf
from registry_operations import OPERATIONS

from contracts import files
from registry import champions, lifecycle, publishing, reading, trust
from registry.mlflow_backend import MlflowBackend
from registry.trust import Standing

# The champion after each, of versions 1 to 4 of which each was judged against the one before.
AFTERWARDS = {"publish": "5", "promote": "1", "rollback": "3", "prune": "4", "sign": "4"}
# Steps that the record of each has at least, in this order: without them this test would kill too little.
STEPS = {
    "publish": ["makedirs", "copy", "write", "rename", "create_version", "set_model_tag", "set_alias", "set_model_tag"],
    "promote": ["set_model_tag", "set_alias", "set_model_tag"],
    "rollback": ["set_model_tag", "set_alias", "set_model_tag"],
    "prune": ["delete_version", "delete_version", "remove", "rmtree", "remove", "rmtree"],
    "sign": ["write", "rename", "set_version_tag"],
}


@pytest.fixture
def four_versions(registry, candidate):
    """A registry of four versions, the last of which is champion."""
    for number, text in enumerate("abcd"):
        publishing.publish(registry, **candidate(text, judged_against=str(number) if number else None))
    return registry


@pytest.mark.parametrize("boundaries", ["one of each kind", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("operation", [*(name for name in OPERATIONS if name != "sign"), pytest.param("sign", marks=pytest.mark.slow)])
def test_a_kill_before_a_step_leaves_a_champion_and_is_repaired(processes, four_versions, candidate, tmp_path, operation, boundaries):
    arguments = candidate("e", judged_against="4")
    whole = _copy(four_versions, tmp_path / "whole")
    steps = _run(processes, operation, whole, arguments, tmp_path / "steps")
    assert _is_in_order(STEPS[operation], steps)
    expected = _state(whole)
    assert expected["champion"] == AFTERWARDS[operation]

    # The last of each kind: what came before it is on the disk by then.
    last = {len(steps) - 1 - steps[::-1].index(name) for name in steps}
    for step, name in enumerate(steps):
        if boundaries != "all" and step not in last:
            continue
        where = f"{operation}, killed before step {step}, {name}"
        killed = _copy(four_versions, tmp_path / f"killed-{step}")
        assert _run(processes, operation, killed, arguments, tmp_path / f"steps-{step}", step) == steps[:step], where
        # A reader at this moment: the old champion or the new one, whole.
        champion = reading.champion(killed)
        assert champion.version in {"4", expected["champion"]}, where
        assert trust.standing(killed, champion).standing is Standing.VERIFIED, where

        repaired = _copy(killed, tmp_path / f"repaired-{step}")
        lifecycle.repair(repaired)
        state = _state(repaired)
        assert state["champion"] == champion.version == state["history"][-1][1], where
        assert (state["damaged"], state["unconfirmed"], state["leftovers"]) == ([], [], []), where

        OPERATIONS[operation](killed, arguments)
        assert _state(killed) == expected, where


def test_a_first_publication_that_was_killed_is_completed_by_the_next(processes, registry, candidate, tmp_path):
    arguments = candidate("a")
    steps = _run(processes, "publish", _copy(registry, tmp_path / "whole"), arguments, tmp_path / "steps")
    for step in (steps.index("create_version"), steps.index("set_alias")):
        killed = _copy(registry, tmp_path / f"killed-{step}")
        _run(processes, "publish", killed, arguments, tmp_path / f"steps-{step}", step)
        assert reading.champion(killed) is None
        assert publishing.publish(killed, **arguments).is_champion
        assert _state(killed)["history"] == [("published", "1", "")]


def _run(processes, operation, registry, arguments, record, kill_before=None):
    """Runs an operation in a process of its own, killed before a step or not; returns the names of the steps it took."""
    process = processes.Process(target=_operate, args=(operation, registry, arguments, str(record), kill_before))
    process.start()
    process.join()
    assert process.exitcode == (0 if kill_before is None else -signal.SIGKILL)
    return record.read_text().split()


def _operate(operation, registry, arguments, record, kill_before):
    with open(record, "w", buffering=1) as file:  # line by line, as a kill must not take the record with it
        taken = [0]

        def before(name):
            if taken[0] == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)
            taken[0] += 1
            file.write(f"{name}\n")

        def counted(name, function):
            def call(*args, **kwargs):
                before(name)
                return function(*args, **kwargs)

            return call

        for name in ("makedirs", "copy", "rename", "remove", "rmtree"):
            setattr(tf.io.gfile, name, counted(name, getattr(tf.io.gfile, name)))
        for name in ("create_version", "set_version_tag", "set_model_tag", "set_alias", "delete_version"):
            setattr(MlflowBackend, name, counted(name, getattr(MlflowBackend, name)))
        write = counted("write", open)
        files.open = lambda path, mode="r": write(path, mode) if "w" in mode else open(path, mode)
        os.replace = counted("rename", os.replace)
        OPERATIONS[operation](registry, arguments)


def _state(registry):
    """Everything that has to be the same whether or not an operation was interrupted."""
    versions = registry.versions()
    champion = reading.champion_of(versions)
    history = champions.history_of(registry.model_tags(), champion)
    with registry.writing():
        leftovers = [os.path.basename(path) for path in registry.leftovers()]
    return {
        "champion": champion.version,
        "versions": [(version.version, version.aliases, version.tags) for version in versions],
        "history": [(entry.kind, entry.version, entry.previous) for entry in history],
        "unconfirmed": [entry for entry in history if not entry.confirmed],
        "damaged": [one for one in versions if trust.standing(registry, one).standing is not Standing.VERIFIED],
        "leftovers": leftovers,
    }


def _copy(registry, target):
    shutil.copytree(os.path.dirname(registry.directory), target)  # with the keys
    return MlflowBackend(str(target / "registry"), registry.name)


def _is_in_order(expected, found):
    rest = iter(found)
    return all(name in rest for name in expected)
