"""Cores are those that a batch system or a container grants."""

from __future__ import annotations

import os

import pytest

from spak.tuner.backend.cores import usable_cores

THERE = len(os.sched_getaffinity(0))


def test_without_control_groups_it_is_what_the_process_may_run_on(tmp_path):
    assert usable_cores(tmp_path) == THERE
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("garbage\n0::/not/there\n3:cpu:/neither\n")
    assert usable_cores(tmp_path) == THERE


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/pod/container", {"pod/container/cpu.max": "100000 100000"}, 1),
        ("0::/pod/container", {"pod/container/cpu.max": "max 100000", "pod/cpu.max": "150000 100000"}, 1),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/pod", {"pod/cpu.max": "max 100000"}, THERE),
        ("0::/pod", {"pod/cpu.max": "99999900000 100000"}, THERE),
        ("0::/pod", {"pod/cpu.max": "no number"}, THERE),
        ("4:cpu,cpuacct:/job", {"cpu,cpuacct/job/cpu.cfs_quota_us": "100000", "cpu,cpuacct/job/cpu.cfs_period_us": "100000"}, 1),
        ("4:cpu:/job", {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, THERE),
        ("4:cpuset:/job", {"cpuset/job/cpu.cfs_quota_us": "1", "cpuset/job/cpu.cfs_period_us": "1"}, THERE),
        ("1:memory:/a\n4:cpu:/outside", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
    ],
)  # fmt: skip
def test_a_quota_of_a_group_or_of_one_above_it_limits(tmp_path, groups, files, cores):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups + "\n")
    for name, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    assert usable_cores(tmp_path) == cores


@pytest.mark.skipif(THERE < 2, reason="needs two cores to take one away")
def test_taskset_counts():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
