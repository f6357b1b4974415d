"""Promises of cores: affinity and quota of control groups, both versions, seen from inside and outside of a container."""

import os

import pytest
from limited import system

from contracts.cores import cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))


@pytest.mark.parametrize(("groups", "files", "expected"), [
    ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),  # 1.5 cores, in a container
    ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
    ("0::/a.slice/b.scope\n", {"a.slice/cpu.max": "300000 100000\n", "a.slice/b.scope/cpu.max": "max 100000\n"}, 3),  # of one above
    ("0::/a.slice/b.scope\n", {"a.slice/cpu.max": "300000 100000\n", "a.slice/b.scope/cpu.max": "50000 100000\n"}, 1),
    ("0::/a.slice\n", {"a.slice/cpu.max": "1600000 100000\n"}, 8),  # more than the affinity
    ("4:cpu,cpuacct:/docker/f00\n2:memory:/docker/f00\n",
     {"cpu,cpuacct/cpu.cfs_quota_us": "400000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 4),
    ("4:cpu:/x\n0::/\n", {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 8),
    ("0::/\n", {"cpu.max": "what\n"}, 8),
])  # fmt: skip
def test_the_least_of_affinity_and_quotas_counts(tmp_path, groups, files, expected):
    assert cores(system(tmp_path, groups, files)) == expected


def test_without_control_groups_affinity_counts(tmp_path):
    assert cores(tmp_path) == 8
