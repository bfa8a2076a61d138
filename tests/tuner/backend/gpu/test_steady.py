"""What is drift and what is noise; a time taken meanwhile is kept, and is never `time`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.tuner.backend.gpu.steady import MARGIN, SteadyWatch, change, drift, is_beyond, measured_time, scattered

SAMPLES = st.lists(st.floats(10.0, 1000.0), min_size=6, max_size=30).map(tuple)


def scaled(samples, factor):
    return tuple(sample * factor for sample in samples)


@given(SAMPLES)
def test_a_device_never_drifts_from_itself(samples):
    assert drift({"clock": samples}, {"clock": samples}) is None


@given(SAMPLES, SAMPLES)
def test_drift_one_way_is_drift_the_other_way(now, before):
    forth, back = drift({"clock": now}, {"clock": before}), drift({"clock": before}, {"clock": now})
    assert (forth is None) == (back is None)
    if forth is not None:
        assert forth.ratio * back.ratio == pytest.approx(1)


@given(SAMPLES, SAMPLES, st.floats(0.0, 0.2), st.floats(0.0, 0.2))
def test_a_wider_margin_never_finds_more(now, before, margin, more):
    assert is_beyond(change("clock", now, before), margin) or not is_beyond(change("clock", now, before), margin + more)


@given(SAMPLES, st.floats(1.0, 3.0))
def test_slowing_all_launches_by_more_than_noise_and_margin_is_seen(samples, factor):
    spread = change("clock", samples, samples)
    found = drift({"clock": scaled(samples, factor)}, {"clock": samples})
    assert (found is not None) == (factor * spread.low > 1 + MARGIN)
    assert found is None or found.ratio == pytest.approx(factor)


def test_the_larger_change_of_two_kernels_is_told_and_others_are_not_compared():
    before = {"clock": (100.0,) * 6, "memory": (50.0,) * 6}
    found = drift({"clock": (105.0,) * 6, "memory": (40.0,) * 6, "new": (1.0,) * 6}, before)
    assert str(found) == "the reference kernel 'memory' takes 20.0 % less than at first"
    assert drift({"new": (1.0,) * 6}, before) is None


def test_too_few_launches_have_no_interval_to_judge_by():
    with pytest.raises(ValueError, match="six launches of clock or more"):
        drift({"clock": (100.0,) * 5}, {"clock": (100.0,) * 25})


def test_a_watch_compares_with_the_first_reading_however_slowly_a_device_creeps():
    watch = SteadyWatch()
    assert watch.judge([]) is None
    steps = [watch.judge([{"clock": (100.0 * 1.01**step,) * 6}]) for step in range(5)]
    assert [found is not None for found in steps] == [False, False, True, True, True]


def test_what_was_fast_before_the_rounds_and_slow_after_them_is_drift():
    watch = SteadyWatch()
    found = watch.judge([{"clock": (100.0,) * 6}, {"clock": (107.0,) * 6}])
    assert found.ratio == pytest.approx(1.07)
    assert watch.judge([{"clock": (100.0,) * 6}]) is None, "the first reading stays what it was"


EVEN, UNEVEN = {"clock": (100.0,) * 25}, {"clock": (100.0,) * 15 + (150.0,) * 10}


def test_a_device_that_somebody_else_uses_at_times_is_uneven_though_its_median_stays():
    """Which a comparison of medians cannot see."""
    watch = SteadyWatch()
    assert watch.judge([EVEN]) is None
    assert drift(UNEVEN, EVEN) is None
    found = watch.judge([EVEN, UNEVEN])
    assert (found.kernel, found.ratio, found.scatter) == ("clock", 1.0, 0.5)
    assert str(found) == "launches of the reference kernel 'clock' differ: the interval of their median is 50 % wide"
    assert watch.judge([EVEN]) is None


def test_what_is_uneven_from_the_start_is_marked_until_an_even_reading_says_what_the_device_is():
    """Else every later reading would lie within its interval."""
    watch = SteadyWatch()
    assert watch.judge([UNEVEN]).scatter == 0.5
    assert watch.first == {}
    assert watch.judge([EVEN]) is None
    assert watch.judge([{"clock": (107.0,) * 25}]).ratio == pytest.approx(1.07)


@given(st.lists(st.floats(100.0, 109.0), min_size=6, max_size=30).map(tuple), st.floats(0.01, 100.0))
def test_launches_that_all_lie_within_a_tenth_are_never_uneven_whatever_their_time(samples, factor):
    assert scattered({"clock": scaled(samples, factor)}, {}) is None


def test_a_marked_time_is_no_time_and_says_how_far_the_device_had_drifted():
    found = change("clock", (110.0,) * 6, (100.0,) * 6)
    marked = {m.name: m for m in measured_time([5.0] * 6, found)}
    assert set(marked) == {"unsteady_time", "drift"}
    assert (marked["unsteady_time"].value, marked["unsteady_time"].unit) == (5.0, "us")
    assert marked["drift"].value == pytest.approx(0.1)
    assert [m.name for m in measured_time([5.0] * 6)] == ["time"]
