"""The whole `gpu` DAG, compiled for Vertex AI and rehearsed, with a small backbone: its result is that of a local run.

All is slow, as a rehearsal is as many commands as the DAG has nodes: most tests take commands that are forks of the fork server, the last
starts each.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import rehearse_by_forks
from tiny import OPEN_GATE, PATIENCE_SECONDS, PROJECT, TINY

import pipeline_config
from contracts.content_hash import content_hash

pytestmark = pytest.mark.slow


def settings(preset):
    """A preset's settings by dotted key, without its name and the machines."""

    def flat(values, prefix=""):
        for name, value in values.items():
            yield from flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]

    values = pipeline_config.to_dict(pipeline_config.PRESETS[preset])
    return {key: value for key, value in flat(values) if key != "preset" and not key.startswith("vertex.")}


# ResNet-50 at 224 pixels would take hours here; the tasks, their commands and all that they hand on stay those of the preset. With the
# settings of the run that other tests share, that is the local run to compare with. What has no effect there is refused.
WITHOUT_EFFECT = ("data.synthetic_", "pretrain.warm_start", "pretrain.min_gpus")
SMALL = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings("quick").items()
         if value != settings("gpu")[key] and not key.startswith(WITHOUT_EFFECT)]  # fmt: skip
# A rehearsal writes nothing into MLflow, and refuses settings that would say how.
HERE = [one for one in TINY if not one.startswith("tracking.")]
SETTINGS = [argument for setting in (*SMALL, *HERE, *OPEN_GATE) for argument in ("--set", setting)]


@pytest.fixture(scope="module")
def rehearse(small_folder):
    """rehearse(flowers, root) compiles and rehearses the DAG; run.json of the rehearsal. `flowers` runs a command line."""

    def rehearsed(flowers, root):
        flowers(
            "compile",
            "--preset",
            "gpu",
            *SETTINGS,
            "--data",
            "gs://photographs/flowers",
            "--project",
            "flowers-1",
            "--region",
            "europe-west4",
            "--bucket",
            "gs://bucket",
            "--image",
            "europe-west4-docker.pkg.dev/flowers-1/images/flowers:1",
            "--warm-start",
            "champion",
            "-o",
            root / "flowers.json",
        )
        flowers("rehearse", root / "flowers.json", "--data", small_folder, "--root", root / "rehearsal")
        return json.loads((root / "rehearsal/latest/run.json").read_text())

    return rehearsed


def checked(ended):
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    """The folder for temporary files of the rehearsal whose commands are forked."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def forked_flowers(forked, temporary):
    """Runs a command line whose tasks are forks."""
    path = f"{PROJECT}:{pathlib.Path(rehearse_by_forks.__file__).parent}"

    def flowers(*arguments):
        checked(forked.run(["-m", "rehearse_by_forks", *map(str, arguments)], cwd=PROJECT,
                           env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(temporary)}, capture_output=True, text=True,
                           timeout=PATIENCE_SECONDS))  # fmt: skip

    return flowers


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("gpu")


@pytest.fixture(scope="module")
def first(rehearse, forked_flowers, root):
    """run.json of the first rehearsal below `root`."""
    return rehearse(forked_flowers, root)


@pytest.fixture(scope="module")
def records(first, finished_run):
    """run.json of the rehearsal and of a local run with the same settings."""
    return first, finished_run.record(0)


def test_a_rehearsal_divides_the_photographs_as_a_local_run_does(records):
    rehearsed, local = records
    for figure in ("images", "quarantined", "train", "eval", "classes"):
        assert rehearsed["data"][figure] == local["data"][figure]


def test_a_rehearsal_leaves_no_temporary_files(records, temporary):
    assert list(temporary.iterdir()) == []


def test_a_rehearsal_trains_and_measures_what_a_local_run_does(records):
    rehearsed, local = records
    assert rehearsed["pretrain"]["steps"] == local["pretrain"]["steps"] > 0
    # The same steps in another process: equal but for the order in which threads add.
    assert rehearsed["pretrain"]["final_loss"] == pytest.approx(local["pretrain"]["final_loss"], abs=1e-4)
    for figure in ("top1", "knn_top1", "random_init_top1"):
        assert rehearsed["linear_eval"][figure] == local["linear_eval"][figure]


def test_a_rehearsal_comes_to_the_verdict_of_a_local_run(records):
    rehearsed, local = records
    assert rehearsed["gate"]["blessed"] is local["gate"]["blessed"] is True
    assert rehearsed["gate"]["reasons"] == local["gate"]["reasons"]
    assert rehearsed["registry"]["version"] == local["registry"]["version"] == "1"


def test_the_first_rehearsal_finds_no_champion_and_the_next_starts_from_what_it_registered(first, rehearse, forked_flowers, root):
    (log,) = (root / "rehearsal/runs").glob("*/StartingPoint.log")
    assert first["pretrain"]["warm_start"] is None and "Start from random weights, as there is no champion yet" in log.read_text()
    (version,) = (root / "rehearsal/gs/bucket/registry/versions").glob("*/backbone")
    second = rehearse(forked_flowers, root)
    started = second["pretrain"]["warm_start"]
    assert (started["version"], started["content_hash"]) == ("1", content_hash(str(version)))
    assert "/StartingBackbone_" in started["backbone"]  # the copy among the outputs of this run
    assert first["gate"]["baseline_version"] is None and second["gate"]["baseline_version"] == "1"
    # LinearEval fitted the champion's probes, and the Evaluator measured the one of all labels by itself.
    with_all = second["linear_eval"]["label_curve"][-1]["champion"]["mean"]
    assert second["gate"]["metrics"]["champion"]["accuracy"] == pytest.approx(with_all)


def test_a_rehearsal_whose_commands_are_started_does_what_one_whose_commands_are_forked_does(records, rehearse, tmp_path):
    def flowers(*arguments):
        checked(subprocess.run([sys.executable, "-m", "pipeline", *map(str, arguments)], cwd=PROJECT, capture_output=True, text=True,
                               timeout=PATIENCE_SECONDS, check=False))  # fmt: skip

    started, forked = rehearse(flowers, tmp_path), records[0]
    assert list(started["nodes"]) == list(forked["nodes"])
    assert {node: entry["state"] for node, entry in started["nodes"].items()} == dict.fromkeys(forked["nodes"], "complete")
    assert started["linear_eval"]["top1"] == forked["linear_eval"]["top1"]
    assert started["registry"]["version"] == forked["registry"]["version"] == "1"
