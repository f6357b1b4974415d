"""Kills and lost answers at every request by which a process changes a registry on a server: the champion stays whole, and the
same command completes what is missing.

The requests are not listed here: a first process records each that an operation makes, and then one process for each of them is
killed as it is about to make it; or its answer is lost, when the server has carried it out. tests/registry/test_kills.py does the
same with the files of a registry on this machine.
"""

import os
import pathlib
import shutil
import signal

import pytest
from registry_operations import OPERATIONS

from contracts.layout import Layout
from registry import champions, lifecycle, publishing, reading, server_lock, trust
from registry.opening import open_registry, registry_place
from registry.server_lock import Patience
from registry.trust import Standing

pytestmark = pytest.mark.slow

# How many versions there are before, each judged against the one before it; and the champion after.
BEFORE = {"publish": 1, "promote": 2, "rollback": 2, "prune": 3, "sign": 1}
AFTERWARDS = {"publish": "2", "promote": "1", "rollback": "1", "prune": "3", "sign": "1"}
# Requests that the record of each has at least, in this order.
STEPS = {
    "publish": ["registered-models/create", "runs/create", "artifacts", "artifacts", "runs/update", "model-versions/create",
                "registered-models/set-tag", "registered-models/alias", "registered-models/set-tag", "registered-models/set-tag"],
    "promote": ["registered-models/create", "registered-models/set-tag", "registered-models/alias", "registered-models/set-tag"],
    "rollback": ["registered-models/create", "registered-models/set-tag", "registered-models/alias", "registered-models/set-tag"],
    "prune": ["registered-models/create", "model-versions/delete", "artifacts", "runs/delete"],
    "sign": ["registered-models/create", "artifacts", "artifacts", "model-versions/set-tag"],
}  # fmt: skip
PATIENCE = Patience(look=0.05, renew=0.2, expire=1.5)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """A lock that a killed process left is taken over soon."""
    monkeypatch.setattr(server_lock, "PATIENCE", PATIENCE)


# An answer that is lost matters where something is made or deleted: the other requests can be repeated as they are.
@pytest.mark.parametrize(("operation", "fault"), [*((name, "killed") for name in OPERATIONS), ("publish", "answer lost"),
                                                  ("prune", "answer lost")])  # fmt: skip
def test_a_fault_at_a_request_leaves_a_champion_and_is_completed_by_the_same_command(
    processes, mlflow_server, candidate, tmp_path, operation, fault
):
    arguments = candidate("z", judged_against=str(BEFORE[operation]))

    def prepared(number):
        """A registered model of its own on the server, and the folder of a machine."""
        root = tmp_path / str(number)
        place = registry_place(mlflow_server.address, Layout.at(str(root)))
        registry = open_registry(place, f"{operation}-{fault[0]}-{os.getpid()}-{number}")
        if number:  # one key for all, as a signature is part of what is compared
            shutil.copytree(tmp_path / "0" / "keys", root / "keys")
        for count, text in enumerate("abc"[: BEFORE[operation]]):
            publishing.publish(registry, **candidate(text, judged_against=str(count) if count else None))
        return registry, root

    whole, root = prepared(0)
    steps = _run(processes, operation, whole, root, arguments)
    assert _is_in_order(STEPS[operation], steps), steps
    expected = _state(whole)
    assert expected["champion"] == AFTERWARDS[operation]

    # Of files that are sent one after another the first and the last.
    chosen = [step for step, name in enumerate(steps) if name != "artifacts" or steps[step - 1] != name or steps[step + 1] != name]
    for step, name in ((step, steps[step]) for step in chosen):
        where = f"{operation}, {fault} at request {step}, {name}"
        registry, root = prepared(step + 1)
        assert _run(processes, operation, registry, root, arguments, fault, step)[: step + 1] == steps[: step + 1], where
        # Another machine at this moment: the old champion or the new one, whole.
        other = open_registry(registry_place(mlflow_server.address, Layout.at(str(tmp_path / f"other-{step}"))), registry.name)
        shutil.copytree(root / "keys", tmp_path / f"other-{step}" / "keys")
        versions = other.versions()
        champion = reading.champion_of(versions)
        assert champion.version in {str(BEFORE[operation]), expected["champion"]}, where
        for version in versions:
            finding = trust.standing(other, version)
            # While a signature is replaced, its two files do not fit; nobody uses the version, and signing again completes it.
            assert finding.standing is Standing.VERIFIED or (operation == "sign" and "artifacts" in name), (where, finding)

        # All but the release of the lock was done: a rollback more would be another one, further back.
        if not (operation == "rollback" and step + 1 == len(steps)):
            OPERATIONS[operation](registry, arguments)
        lifecycle.repair(registry)
        assert _state(registry) == expected, where


def _run(processes, operation, registry, root, arguments, fault=None, step=None):
    """Runs an operation in a process of its own, with a fault at a request or without; returns the requests that it made."""
    record = root / f"record-{step}"
    given = (operation, registry.place, str(root), registry.name, arguments, str(record), fault, step)
    process = processes.Process(target=_operate, args=given)
    process.start()
    process.join()
    assert process.exitcode == (-signal.SIGKILL if fault == "killed" else 0)
    return record.read_text().split()


def _operate(operation, server, root, name, arguments, record, fault, step):
    from mlflow.utils import rest_utils

    from registry.backend import RegistryError

    server_lock.PATIENCE = PATIENCE
    send = rest_utils._get_http_response_with_retries
    with open(record, "w", buffering=1) as file:  # line by line, as a kill must not take the record with it
        taken = [0]

        def counted(method, url, *args, **kwargs):
            what = "artifacts" if "/mlflow-artifacts/" in url else url.partition("/mlflow/")[2]
            if method == "GET" or what.endswith(("search", "renewed")) or "flowers.renewed" in str(kwargs.get("json", "")):
                return send(method, url, *args, **kwargs)
            number, taken[0] = taken[0], taken[0] + 1
            file.write(f"{what}\n")
            if number == step and fault == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = send(method, url, *args, **kwargs)
            if number == step:
                raise ConnectionError("the answer is lost")
            return answer

        rest_utils._get_http_response_with_retries = counted
        try:
            OPERATIONS[operation](open_registry(registry_place(server, Layout.at(root)), name), arguments)
        except (RegistryError, ConnectionError):
            if fault is None:
                raise


def _state(registry):
    """Everything that has to be the same whether or not an operation was interrupted."""
    versions = registry.versions()
    champion = reading.champion_of(versions)
    history = champions.history_of(registry.model_tags(), champion)
    with registry.writing():
        leftovers = registry.leftovers()
    return {
        "champion": champion.version,
        "versions": [(version.version, version.aliases, version.tags) for version in versions],
        "history": [(entry.kind, entry.version, entry.previous) for entry in history],
        "unconfirmed": [entry for entry in history if not entry.confirmed],
        "damaged": [one for one in versions if trust.standing(registry, one, anew=True).standing is not Standing.VERIFIED],
        "leftovers": leftovers,
        "copies": sorted(one.name for one in pathlib.Path(registry.files_path("x")).parent.iterdir() if one.name in
                         {version.tags["content_hash"] for version in versions}),
    }  # fmt: skip


def _is_in_order(expected, found):
    rest = iter(found)
    return all(name in rest for name in expected)
