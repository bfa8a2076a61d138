"""Pairs of trials that differ in one parameter: which count, and what is right."""

from __future__ import annotations

import numpy as np
import pytest

from bench.predict import Case
from bench.predict_pairs import judged, verdicts_of
from spak.tuner.knowledge.predict import PredictedMachine

MACHINE = PredictedMachine(1, 1, 1, 1, 1, 1, 1, 1, 1, 1)


def case(times, configurations):
    """Times with intervals of 1 % either way."""
    measured = np.array(times)
    return Case("case", "op", True, MACHINE, measured, (), (), 0, configurations, measured * 0.99, measured * 1.01)


@pytest.mark.parametrize(("predicted", "verdict"), [([1.0, 2.0], "right"), ([2.0, 1.0], "wrong"), ([3.0, 3.0], "same")])
def test_a_pair_is_right_wrong_or_a_tie(predicted, verdict):
    """Measured, the first of the two is the faster one."""
    pair = case([10.0, 12.0], [{"order": 0, "tile": 8}, {"order": 1, "tile": 8}])
    assert list(verdicts_of(pair, np.array(predicted), "order")) == [verdict]


def test_noise_and_other_differences_make_no_pair():
    """Times that differ by less than their intervals say nothing, nor do trials that differ in something else too."""
    close = case([10.0, 10.1], [{"order": 0, "tile": 8}, {"order": 1, "tile": 8}])
    other = case([10.0, 12.0], [{"order": 0, "tile": 8}, {"order": 1, "tile": 16}])
    for one in (close, other):
        assert list(verdicts_of(one, np.array([1.0, 2.0]), "order")) == []


def test_counts_are_kept_apart_by_op_and_gpu():
    """Two GPUs, one right and one wrong."""
    pair = case([10.0, 12.0], [{"order": 0}, {"order": 1}])
    found = judged([("a", pair, np.array([1.0, 2.0])), ("b", pair, np.array([2.0, 1.0]))], "order")
    assert found == {("op", "a"): {"right": 1}, ("op", "b"): {"wrong": 1}}
