"""Dealing the CTAs of a launch to SMs: examples done by hand, and what holds for every launch."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.tuner.knowledge import dealing
from spak.tuner.knowledge.dealing import Pace, clocks, in_order, walked

ALONE = Pace(edge=0.0, periods=(1.0,))
"""One CTA an SM, one clock a pass."""

COUNTS = st.lists(st.integers(1, 20), min_size=1, max_size=60)


def test_heavy_ctas_first_fill_the_gaps_light_ones_first_leave_them():
    """1, 1, 2, 2 and 4 passes on two SMs.

    Heavy first: 4 beside 2 + 2, then 1 and 1: both SMs end at 5. Light first: 1 + 2 beside 1 + 2, then 4 alone: 3 + 4.
    """
    light = np.array([1.0, 1.0, 2.0, 2.0, 4.0])
    assert clocks(light[::-1], 0.0, 2, ALONE) == 5
    assert clocks(light, 0.0, 2, ALONE) == 7


def test_ctas_that_share_an_sm_slow_each_other_until_one_is_alone():
    """One SM that takes 3 clocks for a pass of two CTAs and 2 for that of one.

    2 and 5 passes: both do 2 at 2 * 3 clocks each, then 3 are left for one alone at 2: 12 + 6.
    """
    pace = Pace(edge=0.0, periods=(2.0, 3.0))
    assert clocks(np.array([2.0, 5.0]), 0.0, 1, pace) == 18
    assert clocks(np.array([5.0, 2.0]), 0.0, 1, pace) == 18
    assert clocks(np.array([7.0]), 0.0, 1, pace) == 14  # never shared


def test_a_tile_has_an_edge_and_a_walker_one_for_each_tile():
    """Three tiles of two passes with an edge of 10: dealt to one SM, or walked by one CTA, 3 * (2 + 10)."""
    pace = Pace(edge=10.0, periods=(1.0,))
    assert clocks(np.full(3, 2.0), 1.0, 1, pace) == 36
    passes, tiles = walked(np.full(3, 2.0), 1)
    assert clocks(passes, tiles, 1, pace) == 36


def test_a_walker_takes_every_so_many_tiles():
    """Tiles of 1 to 5 passes and two walkers: 1 + 3 + 5 and 2 + 4; a stride of the period meets the same tile again."""
    passes, tiles = walked(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 2)
    assert passes.tolist() == [9, 6]
    assert tiles.tolist() == [3, 2]
    passes, _ = walked(in_order(((1, 8), (1, 1)), repeats=3), 2)
    assert passes.tolist() == [24, 3]


def test_launch_order_is_runs_that_repeat():
    """Two of 3 passes and one of 1, twice."""
    assert in_order(((2, 3), (1, 1)), repeats=2).tolist() == [3, 3, 1, 3, 3, 1]


@given(COUNTS, st.integers(1, 7), st.integers(1, 3))
def test_dealing_many_at_once_is_dealing_one_by_one(passes, num_sms, resident):
    """The end of each place is that of a queue which gives every CTA to the place that is free first."""
    free, last = dealing._dealt(np.array(passes, dtype=float), num_sms * resident, 0.0)
    queue, begun = [0.0] * (num_sms * resident), 0.0
    for cost in passes:
        begun = queue[0]
        heapq.heapreplace(queue, begun + cost)
    assert sorted(free) == sorted(queue)
    assert last == begun


@given(COUNTS, st.integers(1, 7), st.integers(1, 3))
def test_no_order_beats_the_work_or_its_heaviest_cta(passes, num_sms, resident):
    """No sooner than the work spread evenly at the best pace or the heaviest alone, no later than one after the other."""
    periods = tuple(1.0 + 1.0 / count for count in range(1, resident + 1))
    taken = clocks(np.array(passes, dtype=float), 0.0, num_sms, Pace(0.0, periods))
    assert taken >= max(sum(passes) * periods[-1] / num_sms, max(passes) * periods[0]) * 0.999
    assert taken <= sum(passes) * periods[0] * 1.001


@given(COUNTS, st.integers(1, 9))
def test_walkers_do_all_the_work(passes, walkers):
    """Nothing is lost or done twice, whatever the stride."""
    done, tiles = walked(np.array(passes, dtype=float), walkers)
    assert done.sum() == sum(passes)
    assert tiles.sum() == len(passes)


@given(COUNTS, st.integers(1, 7), st.floats(0.0, 10.0))
def test_longer_passes_and_edges_never_end_sooner_on_one_sm(passes, longer, edge):
    """One SM does all, so its end grows with each cost."""
    counts = np.array(passes, dtype=float)
    before = clocks(counts, 1.0, 1, Pace(edge, (1.0,)))
    assert clocks(counts, 1.0, 1, Pace(edge, (1.0 + longer,))) > before
    assert clocks(counts, 1.0, 1, Pace(edge + longer, (1.0,))) > before


def test_a_long_launch_begins_with_its_average(monkeypatch):
    """Only the last CTAs are dealt one by one; those before them weigh as if spread evenly."""
    passes = in_order(((1, 1), (1, 2), (1, 3), (1, 4)), repeats=500)
    exact = clocks(passes, 1.0, 10, ALONE)
    monkeypatch.setattr(dealing, "EXACT_DEALING", 100)
    assert clocks(passes, 1.0, 10, ALONE) == pytest.approx(exact, rel=0.01)
