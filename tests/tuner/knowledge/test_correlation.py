"""Neighbours in a space: configurations that differ in one parameter, however many combinations there are."""

from __future__ import annotations

import numpy as np
import pytest

from spak.tuner.knowledge.correlation import _Pairs


@pytest.mark.parametrize("num_parameters", [3, 10, 13])
def test_pairs_that_differ_in_one_value_are_found_and_no_others(num_parameters):
    """At thirteen parameters of sixty values the places wrapped around 64 bits."""
    rng = np.random.default_rng(1)
    rows = rng.integers(2, 60, (40, num_parameters))
    both = np.repeat(rows, 2, axis=0)
    both[::2, 0], both[1::2, 0] = 0, 1
    codes = np.unique(both, axis=0).astype(np.int16)
    left, right = _Pairs(codes, [60] * num_parameters).differing(0, 0, 1)
    assert len(left) == len(np.unique(rows[:, 1:], axis=0))
    assert (codes[left, 1:] == codes[right, 1:]).all()
    assert (codes[left, 0], codes[right, 0]) == (pytest.approx(0), pytest.approx(1))
