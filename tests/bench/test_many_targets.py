"""The comparison of searches of many targets: what is replayed, what is counted, and that nothing of it is known beforehand."""

from __future__ import annotations

import pytest

from bench.many_targets import AFTER, Manner, interval, rows, search, sweeps
from tests.shipped import LAWS


@pytest.fixture(scope="module")
def targets():
    return sweeps(LAWS, "fmha-backward")


def test_each_size_on_each_device_is_a_target_with_the_space_that_was_swept(targets):
    assert len({(one.hw, one.name) for one in targets}) == len(targets) == 12
    assert {one.hw for one in targets} == {"h100", "h200"}
    for one in targets:
        assert len(one.space) == len(one.recording.trials)
        assert one.best == min(trial.value("time") for trial in one.recording.trials)


def test_a_search_ends_when_every_target_is_near_its_best(targets):
    found = search(LAWS, targets[:3], 0, Manner(flows=True, by_time=False))
    assert found.at.keys() == found.enough.keys()
    assert all(found.now[key] <= found.enough[key] for key in found.enough)
    assert found.total >= max(found.at.values())
    assert len(found.excess) == len(AFTER)
    assert found.excess == sorted(found.excess, reverse=True)


def test_what_is_recorded_of_the_op_is_not_known_to_the_search(targets):
    """The first trial of all is a default, and no guess of a lone target names anybody."""
    whose = []
    one = targets[0]
    found = search(LAWS, [one], 0, Manner(flows=True, by_time=False), watch=whose.append)
    assert whose[0].origin == "default"
    assert not any(trial.whose for trial in whose)
    assert len(whose) == found.total


def test_alone_counts_the_budget_that_all_need(targets, monkeypatch):
    monkeypatch.setattr("bench.many_targets.sweeps", lambda laws, op: targets[:2])
    [row] = rows(LAWS, "fmha-backward", range(1), ["alone"], by_time=False)
    assert row.until[-1] == 2 * max(row.each.values())


def test_the_interval_of_a_mean_holds_the_mean():
    mean, low, high = interval([1.0, 2.0, 6.0])
    assert low <= mean == 3.0 <= high
