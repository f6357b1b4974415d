"""`flowers runs`: what was recorded is listed as it is, and two runs are told apart by figures and settings."""

import json
import re
import sys

import pytest

import pipeline_config
from cli import arguments, runs
from cli.main import main, parser

A, B, C = "20260101-030000-aaaa", "20260102-030000-bbbb", "20260103-030000-cccc"


def record(**changed):
    configuration = pipeline_config.to_dict(pipeline_config.QUICK)
    configuration["data"]["source"] = "/photos/[bold]rose\x1b[2J"
    return {
        "status": "finished", "started_at": "2026-01-01T03:00:00+00:00", "configuration": configuration,
        "data": {"train": 300, "eval": 100, "fingerprint": "f" * 64}, "pretrain": {"epochs": 24, "steps": 1512, "seconds": 120.4},
        "linear_eval": {"top1": 0.8, "random_init_top1": 0.5, "knn_top1": 0.7, "random_init_knn_top1": 0.4},
        "gate": {"blessed": True, "classes": ["rose", "tulip"]}, "registry": {"version": "3"},
    } | changed  # fmt: skip


@pytest.fixture
def flowers(tmp_path, capsys, monkeypatch):
    """Records runs by id and calls the verb, without the libraries."""
    for name in ("tensorflow", "tfx"):
        monkeypatch.setitem(sys.modules, name, None)

    def call(recorded, *words, status=0):
        for run_id, content in recorded.items():
            folder = tmp_path / "runs" / run_id
            folder.mkdir(parents=True)
            (folder / "run.json").write_text(content if isinstance(content, str) else json.dumps(content | {"run_id": run_id}))
        if recorded:
            (tmp_path / "latest").symlink_to(f"runs/{max(recorded)}")
        assert main(["runs", *words, "--root", str(tmp_path)]) == status
        return capsys.readouterr()

    return call


def test_runs_are_listed_in_their_order_whatever_became_of_them(flowers):
    failed = record(status="failed", linear_eval=None, gate=None, registry=None, configuration=None, data=None)
    lines = flowers({C: failed, A: record(), B: '{"status": "fin', "20260104-030000-dddd": "[]"}).out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        [A, "2026-01-01", "version", "3", "80.0", "%", "50.0", "%", r"/photos/[bold]rose\x1b[2J"], [B, "unreadable"],
        [C, "2026-01-01", "failed"], ["20260104-030000-dddd", "unreadable"]]  # fmt: skip


def test_a_run_whose_process_has_gone_is_listed_as_killed(flowers):
    gone = record(status="started", failing_node="Pretrain", linear_eval=None, gate=None, registry=None)
    assert re.search(f"{A} +2026-01-01 +killed", flowers({A: gone}).out)


@pytest.mark.parametrize(("changed", "words"), [
    ({}, "version 3"), ({"registry": {"version": "3", "alias": None}}, "version 3, no alias"),
    ({"registry": {"version": None}}, "blessed"), ({"registry": None}, "blessed"),
    ({"gate": {"blessed": False, "classes": ["rose", "tulip"]}, "registry": {"version": None}}, "not blessed"),
    ({"gate": {"blessed": False, "classes": []}, "registry": {"version": None}}, "not judged"),
    ({"gate": None}, "finished"), ({"status": "interrupted"}, "interrupted"), ({"status": "started", "gate": None}, "started"),
])  # fmt: skip
def test_what_became_of_a_run_is_said_in_two_words(changed, words):
    assert runs.outcome(record(**changed)) == words


def test_where_there_is_no_run_it_says_how_to_make_one(flowers):
    assert "`flowers run` makes the first" in flowers({}).out


def test_two_runs_are_compared_by_figures_and_changed_settings(flowers):
    other = record(linear_eval=record()["linear_eval"] | {"top1": 0.9}, registry={"version": None})
    other["configuration"]["pretrain"]["views"]["hue"] = 0.05
    out = flowers({A: record(), B: other}, A, "latest").out
    rows = {line[:28].strip(): line[28:].split() for line in out.splitlines()}
    # sqrt(0.8 * 0.2 / 100) = 0.04, sqrt(0.9 * 0.1 / 100) = 0.03
    assert rows["linear top-1"] == "80.0 % ± 4.0 % 90.0 % ± 3.0 %".split()
    assert rows["linear top-1, baseline"] == "50.0 % ± 5.0 % 50.0 % ± 5.0 %".split()
    assert rows["outcome"] == ["version", "3", "blessed"] and rows["pretrain.views.hue"] == ["0.5", "0.05"]
    assert not any(name.startswith("pretrain.") and name != "pretrain.views.hue" for name in rows)
    assert "The photographs are the same." in out


def test_figures_of_other_photographs_are_said_to_be_of_others(flowers):
    out = flowers({A: record(), B: record(data=record()["data"] | {"fingerprint": "0" * 64})}, A, B).out
    assert "The settings are the same." in out and "The photographs differ" in out


@pytest.mark.parametrize(("words", "message"), [
    ([A], "or two, to compare them, got 1"), ([A, B, A], "got 3"), ([A, "../../etc"], f"no recorded run '../../etc' .* {B}, {A}"),
    ([A, "20260101\x1b"], r"no recorded run '20260101\\\\x1b'"),
])  # fmt: skip
def test_anything_but_two_runs_that_exist_is_refused(flowers, words, message):
    assert re.search(message, flowers({A: record(), B: record()}, *words, status=2).err)


def test_a_shell_is_offered_the_runs(flowers, tmp_path):
    flowers({A: record(), B: record()})
    assert arguments.runs(parser().parse_args(["runs", "--root", str(tmp_path)])) == [B, A, "latest"]
    assert arguments.runs(parser().parse_args(["runs", "--root", str(tmp_path / "nowhere")])) == []
