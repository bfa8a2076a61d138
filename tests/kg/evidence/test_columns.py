"""Trials gathered as columns are what they are one by one, however unlike they are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.evidence import columns
from spak.kg.evidence.table import from_runs
from spak.kg.model.run import DRIFT, UNSTEADY_TIME, Measurement, Run, Trial

_QUANTITIES = ("time", "predicted_time", "registers", "spill_bytes", UNSTEADY_TIME, DRIFT)
_NUMBERS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.25])


@st.composite
def _trial(draw):
    measured = [
        Measurement(name=name, value=draw(_NUMBERS), low=draw(st.none() | _NUMBERS), high=draw(st.none() | _NUMBERS))
        for name in draw(st.lists(st.sampled_from(_QUANTITIES), max_size=4))
    ]
    return Trial(
        configuration={"tile": draw(st.integers(1, 6)), "tma": draw(st.booleans())},
        invalidity=draw(st.sampled_from(["correct", "correct", "compile", "constraints"])),
        measurements=tuple(measured),
        problem=draw(st.sampled_from([{}, {}, {"seq": 1}, {"seq": True}])),
    )


_TRIALS = st.lists(_trial(), min_size=1, max_size=8)


def _expected(trials, objective):
    """Cell -> quantity -> what the table has there, trial by trial."""
    cells: dict = {}
    for trial in trials:
        cell = cells.setdefault((repr({"seq": 9} | trial.problem), tuple(trial.configuration.items())), {})
        cell["failed"] = cell.get("failed", False) or trial.invalidity != "correct"
        for one in trial.measurements:
            if one.name == objective:
                if trial.invalidity == "correct" and not cell.get("at", (np.inf,))[0] <= one.value:
                    cell["at"] = tuple(one.value if end is None else end for end in (one.value, one.low, one.high))
            elif one.name not in {"time", UNSTEADY_TIME, DRIFT}:
                cell[one.name] = one.value
    return cells


@given(_TRIALS, st.sampled_from(["time", "predicted_time"]))
def test_a_table_has_of_each_cell_what_its_trials_say(trials, objective):
    run = Run(id="r", tier="measured", created="", hw="h", op="o", problem={"seq": 9}, trials=tuple(trials))
    expected = _expected([trial for trial in trials if trial.invalidity != "constraints"], objective)
    if not expected:
        return
    table = from_runs([run], objective=objective)
    for (problem, configuration), cell in expected.items():
        row = [repr(one) for one in table.problems].index(problem)
        place = table.space.index(dict(configuration))
        at = cell.get("at", (np.nan,) * 3)
        assert np.array_equal(
            [table.time[row, place], table.low[row, place], table.high[row, place]], at, equal_nan=True
        )
        assert table.failed[row, place] == (cell["failed"] and "at" not in cell)
        for name, values in table.features.items():
            assert np.array_equal(values[row, place], cell.get(name, np.nan), equal_nan=True)
    assert table.features.keys() == {name for cell in expected.values() for name in cell} - {"at", "failed"}
    assert sum("at" in cell for cell in expected.values()) == table.observed.sum()


@given(st.lists(_trial(), max_size=8))
def test_every_measurement_is_in_one_column(trials):
    found = [
        (place, name, one)
        for alike in columns.measured(trials)
        for name, column in zip(alike.names, alike.columns, strict=True)
        for place, one in zip(alike.places, column, strict=True)
    ]
    assert all(name == one.name for _, name, one in found)
    every = [(place, one.name, one) for place, trial in enumerate(trials) for one in trial.measurements]
    assert sorted(map(repr, found)) == sorted(map(repr, every))
    assert sorted(place for alike in columns.measured(trials) for place in alike.places) == list(range(len(trials)))


_CONFIGURATIONS = st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from([0, 1, True, 1.0, "x"])), max_size=4)


@given(_CONFIGURATIONS)
def test_settings_are_there_where_all_are_of_the_same_parameters(configurations):
    found = columns.settings_of(configurations)
    if len({frozenset(one) for one in configurations}) > 1:
        assert found is None
    elif not any(configurations):
        assert found == {}
    else:
        again = [{name: column[place] for name, column in found.items()} for place in range(len(configurations))]
        exactly = [repr(sorted(one.items())) for one in configurations]  # 1, 1.0 and true are three things
        assert [repr(sorted(one.items())) for one in again] == exactly
