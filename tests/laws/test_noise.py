"""The margins within which a law about time is noise come from the recorded intervals, and are not looser or tighter."""

from __future__ import annotations

import numpy as np
import pytest

from spak.kg.law.effects import EFFECTS, FEATURE_VALUES, TIE_LIMIT, TIME_NOISE
from tests.shipped import LAWS

NEAR = 1.2
"""Trials up to this much slower than the best of their problem size are what a law about time is decided by."""


@pytest.fixture(scope="module")
def widths() -> np.ndarray:
    """(n,) width of the 95 % interval as a fraction of the time, of every recorded trial near its best."""
    found = []
    for identifier in LAWS.run_ids:
        run = LAWS.run(identifier)
        if run.tier != "measured":
            continue
        by_size: dict[str, list[tuple[float, float]]] = {}
        for trial in run.trials:
            time = next((m for m in trial.measurements if m.name == "time" and m.low is not None), None)
            if time is not None and time.low is not None and time.high is not None and trial.invalidity == "correct":
                size = str(sorted({**run.problem, **trial.problem}.items()))
                by_size.setdefault(size, []).append((time.value, (time.high - time.low) / time.value))
        for timed in by_size.values():
            best = min(value for value, _ in timed)
            found += [width for value, width in timed if value <= NEAR * best]
    return np.array(found)


def test_the_margin_of_a_slowdown_is_what_95_percent_of_the_intervals_stay_below(widths):
    """Two times whose intervals are that wide are told apart at this difference, to the nearest whole percent."""
    assert len(widths) > 1000
    assert round(float(np.quantile(widths, 0.95)), 2) == TIME_NOISE


def test_the_margin_of_a_tie_is_what_one_time_leaves_open(widths):
    """Half an interval on either side, to the whole percent below; within it nobody can say that there is a difference."""
    assert TIE_LIMIT <= np.quantile(widths / 2, 0.95) < TIE_LIMIT + 0.01


def test_half_of_the_intervals_show_the_least_speedup(widths):
    least = EFFECTS["speedup"].at_least
    assert least is not None
    assert np.median(widths) < least.least - 1


def test_the_ranges_of_compiled_features_hold_what_was_ever_compiled_and_what_hardware_has():
    """A range that is too narrow would call a claim impossible that is not."""
    for identifier in LAWS.run_ids:
        for trial in LAWS.run(identifier).trials:
            for one in trial.measurements:
                if one.name in FEATURE_VALUES:
                    assert FEATURE_VALUES[one.name].holds(one.value), (identifier, one)
    for feature, fact in (
        ("registers", "max_registers_per_thread"),
        ("threads", "max_threads_per_cta"),
        ("smem_bytes", "max_smem_per_cta"),
        ("ctas_per_sm", "max_ctas_per_sm"),
    ):
        stated = [float(node.facts[fact].value) for node in LAWS.hardware.values() if fact in node.facts]
        assert FEATURE_VALUES[feature].most == max(stated), feature
