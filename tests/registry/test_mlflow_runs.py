"""Runs in MLflow's database: begun, continued by the run of the same key, linked with the version that they made."""

import os
import shutil
import sqlite3

import pytest

from registry import mlflow_backend, mlflow_runs, publishing
from registry.mlflow_backend import MlflowBackend


@pytest.fixture
def begun(registry):
    """begun(run_id, key) begins a run in the registry's database."""

    def begin(run_id, key="a", parameters=None, place="host:/DIR"):
        return mlflow_runs.begin(
            registry.directory,
            "",
            "flowers",
            run_id=run_id,
            key=key,
            place=place,
            at=1000,
            tags={"flowers.recipe": key},
            parameters=parameters or {"pretrain.epochs": 3},
            data={"name": "roses", "digest": "d" * 32, "source": '{"uri": "/roses"}'},
        )

    return begin


def run(tracked):
    return tracked.client.get_run(tracked.run_id)


def test_a_run_has_its_parameters_tags_and_data_set(begun):
    many = {f"pretrain.setting_{number}": number for number in range(250)}  # more than a request may have
    found = run(begun("run-1", parameters=many | {"data.labels": ""}))
    assert found.data.params == {name: str(value) for name, value in many.items()} | {"data.labels": ""}
    assert found.data.tags["flowers.run_id"] == "run-1" and found.info.run_name == "run-1"
    (data,) = found.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("roses", "d" * 32)
    assert (found.info.status, found.info.start_time) == ("RUNNING", 1000)


def test_a_run_that_was_killed_is_continued_by_the_next_of_its_key(begun):
    first = begun("run-1")
    mlflow_runs.log_metrics(first, 1, 1000, {"pretrain/loss": -0.5})
    mlflow_runs.log_metrics(first, 2, 2000, {"pretrain/loss": -0.6})
    # A setting that only says how to run may be another now: MLflow lets no parameter change.
    again = begun("run-2", parameters={"pretrain.epochs": 4, "pretrain.width": 8})
    assert again.run_id == first.run_id
    assert mlflow_runs.last_step(again, "pretrain/loss") == 2
    assert run(again).data.tags["flowers.run_id"] == "run-2"
    assert run(again).data.params == {"pretrain.epochs": "3", "pretrain.width": "8"}
    assert len(run(again).inputs.dataset_inputs) == 1
    mlflow_runs.end(again, "KILLED", [])  # interrupted, and continued again
    third = begun("run-3")
    assert (third.run_id, run(third).info.status) == (first.run_id, "RUNNING")
    mlflow_runs.end(third, "FINISHED", [])
    assert begun("run-4").run_id != first.run_id


def test_another_run_at_the_same_place_records_the_killed_one_as_such(begun):
    killed, elsewhere = begun("run-1", key="a"), begun("run-2", key="a", place="host:/OTHER")
    assert begun("run-3", key="b").run_id not in (killed.run_id, elsewhere.run_id)
    assert [run(one).info.status for one in (killed, elsewhere)] == ["KILLED", "RUNNING"]


def test_a_version_names_the_run_that_made_it(begun, registry, candidate):
    made = begun("run-a")  # the tag `run_id` of candidate("a")
    publishing.publish(registry, **candidate("a"))
    publishing.publish(registry, **candidate("b", judged_against="1"))
    client = mlflow_backend.connect(registry.directory)
    assert [client.get_model_version(registry.name, number).run_id or None for number in ("1", "2")] == [made.run_id, None]


def test_artifacts_are_below_the_registry_and_found_after_a_move(begun, registry, tmp_path):
    page = tmp_path / "report.html"
    page.write_text("<p>page</p>")
    mlflow_runs.end(ended := begun("run-1"), "FINISHED", [str(page)])
    moved = shutil.move(registry.directory, tmp_path / "elsewhere" / "registry")
    mlflow_backend.relocate(str(moved))
    client = mlflow_backend.connect(str(moved))
    assert client.get_run(ended.run_id).info.artifact_uri.startswith((tmp_path / "elsewhere" / "registry").as_uri())
    (artifact,) = client.list_artifacts(ended.run_id)
    assert artifact.path == "report.html"
    assert MlflowBackend(str(moved), registry.name).versions() == []


def test_a_database_is_made_where_there_is_none(tmp_path, empty_registry, monkeypatch):
    # MLflow's migrations take seconds: another test makes one for real.
    monkeypatch.setattr(mlflow_backend, "create", lambda directory: shutil.copy(empty_registry / "mlflow.db", directory))
    begun = mlflow_runs.begin(str(tmp_path / "new" / "registry"), "", "flowers", run_id="run-1", key="a", place="host:/DIR", at=0, tags={},
                              parameters={}, data={"name": "roses", "digest": "d", "source": "{}"})  # fmt: skip
    with sqlite3.connect(os.path.join(tmp_path, "new", "registry", "mlflow.db")) as opened:
        assert opened.execute("SELECT run_uuid FROM runs").fetchall() == [(begun.run_id,)]
