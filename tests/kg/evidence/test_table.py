"""Trials as arrays: nothing lost, the faster of two tries kept."""

from __future__ import annotations

import pytest

from spak.kg.evidence.table import from_runs, problem_text
from spak.kg.model.run import Measurement, Run, Trial
from tests.tuner.landscapes import configurations, sweep


def test_a_table_holds_every_trial_and_the_faster_of_two_tries() -> None:
    run = sweep((1,))
    again = Trial(
        configuration=configurations()[0],
        problem={"size": 1},
        measurements=(Measurement(name="time", value=0.5, unit="us"),),
    )
    table = from_runs([run, Run(**{**_fields(run), "trials": (again,)})])
    assert table.time.shape == (1, len(configurations()))
    assert table.time.min() == 0.5
    assert table.low.min() == 0.5


def _fields(run: Run) -> dict[str, object]:
    return {name: getattr(run, name) for name in run.__struct_fields__}


def test_runs_of_two_ops_are_refused() -> None:
    other = Run(**{**_fields(sweep((1,))), "op": "matmul"})
    with pytest.raises(ValueError, match="fmha, matmul"):
        from_runs([sweep((1,)), other])


def test_runs_without_a_trial_are_refused() -> None:
    with pytest.raises(ValueError, match="no trial"):
        from_runs([Run(**{**_fields(sweep((1,))), "trials": ()})])


def test_problem_text_is_sorted_and_writes_flags_as_yaml_does() -> None:
    assert problem_text({"seq": 5, "causal": True}) == "causal=true,seq=5"


def test_inputs_nobody_names_are_standard_normal_and_named_only_where_they_are_not():
    assert problem_text({"seq": 8, "inputs": "normal"}) == problem_text({"seq": 8}) == "seq=8"
    assert problem_text({"seq": 8, "inputs": "sink"}) == "inputs=sink,seq=8"


def test_a_time_of_a_device_that_had_drifted_is_no_time_and_no_feature_of_what_was_timed() -> None:
    run = sweep((1,))
    marked = Trial(
        configuration=configurations()[0],
        problem={"size": 1},
        measurements=(
            Measurement(name="unsteady_time", value=0.5, unit="us"),
            Measurement(name="drift", value=0.1),
            Measurement(name="registers", value=96.0),
        ),
    )
    alone = from_runs([Run(**{**_fields(run), "trials": (marked,)})])
    assert not alone.observed.any()
    assert not alone.failed.any()
    assert set(alone.features) == {"registers"}
    beside = from_runs([run, Run(**{**_fields(run), "trials": (marked,)})])
    assert (beside.time == from_runs([run]).time).all(), "it is faster than any other, and does not count"
