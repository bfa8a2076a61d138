"""The interval of a median: known ranks, and its coverage on random data."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.tuner.backend.gpu.statistics import interval_rank, summarise

TIMES = st.lists(st.floats(0.1, 1e6), min_size=1, max_size=60)


@pytest.mark.parametrize(("count", "rank"), [(5, 0), (6, 1), (7, 1), (8, 1), (9, 2), (25, 8), (100, 40)])
def test_ranks_are_those_of_the_binomial_table(count, rank):
    assert interval_rank(count) == rank


@given(TIMES)
def test_the_interval_holds_the_median_and_exists_from_six_samples_on(times):
    found = summarise(times)
    assert (found.low is None) == (len(times) < 6)
    if found.low is not None:
        assert found.low <= found.median <= found.high


@given(TIMES, st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(times, rng):
    shuffled = times.copy()
    rng.shuffle(shuffled)
    assert summarise(times) == summarise(shuffled)


@pytest.mark.parametrize("count", [7, 25])
def test_the_interval_covers_the_true_median_in_at_least_ninety_five_of_a_hundred(count):
    rng = random.Random(1)
    hits = 0
    for _ in range(2000):
        found = summarise([rng.lognormvariate(0, 1) for _ in range(count)])
        hits += found.low <= 1.0 <= found.high
    assert hits / 2000 >= 0.94  # 95 % less three standard errors of 2000 draws


@pytest.mark.parametrize("times", [[], [1.0, math.nan], [math.inf]])
def test_times_that_are_no_times_are_refused(times):
    with pytest.raises(ValueError, match="finite"):
        summarise(times)
