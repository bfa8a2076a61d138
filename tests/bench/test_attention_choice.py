"""Which policy about rising maxima is judged at a size."""

from __future__ import annotations

from bench.attention import KEPT, ranked


def test_the_least_geometric_mean_comes_first():
    assert ranked({"slow": {"normal": 11.0, "sink": 11.0}, "fast": {"normal": 10.0, "sink": 11.0}}) == ["fast", "slow"]


def test_a_policy_that_does_not_keep_its_speed_comes_last_however_fast_it_is_on_the_rest():
    steady = {"normal": 10.0, "sink": 10.0, "std-6": 10.0}
    falls = {"normal": 8.0, "sink": 8.0, "std-6": 8.0 / KEPT * 1.01}
    keeps = {"normal": 8.0, "sink": 8.0, "std-6": 8.0 / KEPT * 0.99}
    assert ranked({"falls": falls, "steady": steady}) == ["steady", "falls"]
    assert ranked({"keeps": keeps, "steady": steady}) == ["keeps", "steady"]
