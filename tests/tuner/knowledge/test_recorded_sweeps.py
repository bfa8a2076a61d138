"""The predicted order against the order that was measured, on every recorded sweep."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from bench import predict
from bench.predict_pairs import judged
from spak.tuner.knowledge import predict as model
from tests.shipped import LAWS

TOP = 5
JUDGED = {"fmha", "matmul"}


@pytest.fixture(scope="module")
def cases():
    """Whole sweeps by the GPU they ran on."""
    known = predict.recorded_codes(LAWS)
    options = argparse.Namespace(compile=False, sample=None)
    found = [(run.hw, case) for run in predict.measured(LAWS) for case in predict.cases_of(LAWS, run, known, options)]
    return [(hw, case) for hw, case in found if case.sweep]


@pytest.mark.slow
@pytest.mark.parametrize("gpu", ["h100", "h200"])
def test_the_best_of_five_predictions_is_nearly_the_best_measured(cases, gpu):
    """First choice within 10 % of the best in 85 % of the sweeps of each GPU, the best of five within 5 % in 95 % of them.

    Of the ops it was drawn for; it misses both goals on the gradients of attention, whose counts docs/transfer.md gives.
    """
    found = [case for hw, case in cases if hw == gpu and case.op in JUDGED]
    assert {case.op for case in found} == JUDGED
    assert len(found) >= 11
    first, best = predict.shares([predict.row(case, TOP) for case in found])
    assert first >= 0.85 * len(found)
    assert best >= 0.95 * len(found)


@pytest.mark.slow
def test_pairs_that_differ_in_the_order_of_blocks_are_mostly_ordered_right(cases):
    """Of the pairs whose times differ by more than noise; with the heaviest blocks dealt first it was 10 % of `heads_fastest`."""
    predicted = [(hw, case, case.predicted()) for hw, case in cases if case.name.endswith("-order")]
    for name, least in (("heavy_first", 0.6), ("heads_fastest", 0.6), ("persistent", 0.9)):
        counts = judged(predicted, name)["fmha", "h200"]
        assert counts.total() > 50
        assert counts["right"] >= least * counts.total()


def test_factors_on_constants_do_not_outlive_their_use():
    """Varying a constant changes the model only inside the block."""
    before = model.GLOBAL_LATENCY
    with predict.scaled({"GLOBAL_LATENCY": 2.0}):
        doubled = model.GLOBAL_LATENCY
    assert doubled == 2 * before
    assert before == model.GLOBAL_LATENCY


def test_equal_values_share_their_mean_rank():
    """Ties neither gain nor lose, and reversing an order reverses its correlation."""
    assert predict.ranks(np.array([3.0, 1.0, 3.0])).tolist() == [2.5, 1.0, 2.5]
    times = np.array([1.0, 2.0, 3.0])
    assert predict.correlation(times, -times) == pytest.approx(-1)
