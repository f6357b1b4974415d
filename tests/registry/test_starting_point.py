"""Where the runs of a schedule start: four weeks of it, with kills, and weeks without anything new."""

import pytest

from pipeline.local import finished_runs
from registry.starting_point import starting_version


def record(fingerprint, version, status="finished", schedule="weekly"):
    return {"schedule": schedule, "status": status, "data": {"fingerprint": fingerprint},
            "configuration": {"pretrain": {"warm_start": {"version": version}}}}  # fmt: skip


def start(records, fingerprint, registered=("1", "2", "champion"), every=0, wanted="champion"):
    return starting_version(finished_runs(records, "weekly"), wanted, every, fingerprint, registered)[0]


def test_the_first_week_has_no_champion_and_starts_from_random_weights():
    assert starting_version([], "champion", 0, "a", []) == ("", "as there is no champion yet")


def test_a_version_that_does_not_exist_is_not_made_up_for():
    assert start([], "a", registered=(), wanted="7") == "7"  # which the registry then refuses


def test_new_photographs_continue_from_the_champion():
    assert start([record("a", "")], "b") == "champion"


@pytest.mark.parametrize("version", ["", "1"])
def test_a_week_without_new_photographs_starts_where_the_last_one_did(version):
    # So that it is served from the cache, although the champion has changed through that run.
    assert start([record("a", ""), record("b", version)], "b") == version


def test_a_start_that_was_pruned_since_is_not_repeated():
    assert start([record("b", "1")], "b", registered=("2", "champion")) == "champion"


def test_every_third_run_is_from_scratch_and_unfinished_ones_do_not_count():
    records, starts = [], []
    for week in range(7):
        version = start(records, f"week {week}", every=3)
        starts.append(version)
        killed = [record(f"week {week}", version and "1", status) for status in ("killed", "interrupted", "started", "failed")]
        assert start([*records, *killed], f"week {week}", every=3) == version  # what was killed is continued
        records += [*killed, record("other", "1", schedule="daily"), record(f"week {week}", version and "1")]
    assert starts == ["champion", "champion", "", "champion", "champion", "", "champion"]


def test_records_of_other_releases_and_runs_without_data_are_passed_over():
    assert finished_runs([{"status": "finished", "run_id": "x"}, record("a", "") | {"data": None}], "weekly") == []
