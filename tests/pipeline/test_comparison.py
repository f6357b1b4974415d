"""`flowers compare` on a finished run: its own figures again, SimSiam's gain from the same photographs, and what it refuses."""

import json
import shutil

import keras
import pytest
from tiny import PATIENCE_SECONDS, PROJECT

from components.evaluator import evidence
from contracts.layout import Layout
from pipeline import comparison
from pipeline_config import ConfigurationError, Supervised


@pytest.fixture(scope="module")
def rows(finished_run, tmp_path_factory):
    """Of the finished run, with supervised training on half as many views and a network whose features are the mean colour."""
    folder = tmp_path_factory.mktemp("comparison")
    pixels = keras.Input((8, 8, 3))
    keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(pixels)).save(folder / "colour.keras")
    run = comparison.open_run(Layout(finished_run.root), finished_run.record(0))
    progress = []
    made = list(comparison.compare(run, Layout(folder), Supervised(views_ratio=0.5), [str(folder / "colour.keras")],
                                   on_progress=lambda *one: progress.append(one)))  # fmt: skip
    return made, progress, folder


@pytest.mark.slow
def test_random_init_and_simsiam_have_the_figures_of_the_run(rows, finished_run):
    linear = finished_run.record(0)["linear_eval"]
    baseline, ours = rows[0][:2]
    assert (baseline.top1, baseline.knn_top1, baseline.few_labels_top1) == pytest.approx(
        (linear["random_init_top1"], linear["random_init_knn_top1"], linear["random_init_top1_at_10_percent_labels"]))  # fmt: skip
    assert (ours.top1, ours.knn_top1, ours.few_labels_top1) == pytest.approx(
        (linear["top1"], linear["knn_top1"], linear["top1_at_10_percent_labels"]))  # fmt: skip
    assert ours.training_seconds == finished_run.record(0)["pretrain"]["seconds"] and ours.gain is None


@pytest.mark.slow
def test_every_network_has_its_row_with_interval_and_gain(rows, finished_run):
    made, progress, folder = rows
    eval_count = finished_run.record(0)["data"]["eval"]
    assert [row.network for row in made] == ["random-init network", "SimSiam", "supervised from scratch", str(folder / "colour.keras")]
    for row in made:
        assert (row.low, row.high) == pytest.approx(evidence.share_interval([(round(row.top1 * eval_count), eval_count)]))
        if row.network != "SimSiam":
            assert row.gain == pytest.approx(made[1].top1 - row.top1) and row.gain_low <= row.gain <= row.gain_high
    assert made[2].classifier_top1 is not None and made[2].training_seconds > 0
    assert made[3].features == 3 and made[3].training_seconds is None
    record = finished_run.record(0)
    steps = record["pretrain"]["steps"] * record["configuration"]["pretrain"]["view_count"] // 2  # half as many views as SimSiam saw
    assert ("supervised from scratch, all labels", steps, steps) in [one[:3] for one in progress]


@pytest.mark.slow
def test_supervised_training_is_not_repeated(rows, finished_run):
    made, _, folder = rows
    run = comparison.open_run(Layout(finished_run.root), finished_run.record(0))
    progress = []
    again = list(comparison.compare(run, Layout(folder), Supervised(views_ratio=0.5), on_progress=lambda *one: progress.append(one)))
    assert again[2].training_seconds == made[2].training_seconds and again[2].top1 == made[2].top1
    assert not [one for one in progress if "labels" in one[0]]


def test_a_run_without_its_artifacts_has_nothing_to_compare(finished_run, tmp_path):
    with pytest.raises(ConfigurationError, match="has nothing to compare"):
        comparison.open_run(Layout(tmp_path), finished_run.record(0))
    with pytest.raises(ConfigurationError, match="has nothing to compare"):
        comparison.open_run(Layout(finished_run.root), finished_run.record(0) | {"linear_eval": None})


def test_the_verb_prints_a_table_and_writes_it(finished_run, forked, tmp_path):
    shutil.copytree(finished_run.root, tmp_path / "DIR", symlinks=True)
    command = ["-m", "pipeline", "compare", "--root", str(tmp_path / "DIR"), "--no-supervised"]
    ended = forked.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert ended.returncode == 0, ended.stderr
    assert "random-init network" in ended.stdout and "SimSiam's gain" in ended.stdout and "held-out photographs" in ended.stdout
    written = json.loads((tmp_path / "DIR" / "latest" / "comparison.json").read_text())
    assert [row["network"] for row in written["rows"]] == ["random-init network", "SimSiam"] and written["schema_version"] == 1
    refused = forked.run([*command, "--set", "pretrain.epochs=3"], cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert refused.returncode == 2 and "takes settings of supervised alone" in refused.stderr
