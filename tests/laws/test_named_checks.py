"""The computed runs are what their checks give today, and the laws say no more than they show."""

from __future__ import annotations

import pytest

from bench.checks import EXPERIMENTS, Experiment, run
from spak.kernels.checks import CHECKS, named_check
from spak.kg.law.kinds import meaning
from spak.kg.model.run import Trial
from tests.shipped import LAWS


def outcome(trial: Trial) -> tuple[object, ...]:
    return (
        sorted(trial.problem.items()),
        sorted(trial.configuration.items(), key=str),
        trial.invalidity,
        trial.value("nan_rows"),
    )


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.run_id)
def test_recorded_outcomes_are_reproduced(experiment: Experiment) -> None:
    """Same NaN rows and same verdict on every configuration; errors may differ in their last digits between machines."""
    kept = LAWS.run(experiment.run_id)
    again = run(experiment, kept.created)
    assert sorted(map(outcome, again.trials), key=str) == sorted(map(outcome, kept.trials), key=str)
    assert (again.kernel, again.check) == (kept.kernel, kept.check), "the check changed: run `python -m bench.checks`"


def test_exact_boundary() -> None:
    """With a wholly masked tile, a choice is free of NaN if and only if the sharper law admits it."""
    for experiment in EXPERIMENTS[:2]:
        for trial in LAWS.run(experiment.run_id).trials:
            choice = trial.configuration
            admitted = choice["score_dtype"] == "fp32" and -1e20 in (choice["mask_value"], choice["initial_max"])
            assert (trial.value("nan_rows") == 0) == (admitted or trial.problem["masked_tiles"] == 0)


def test_every_check_that_a_law_a_run_or_a_system_names_exists_and_is_about_its_op() -> None:
    named = {meaning(law).check: law.scope.op for law in LAWS.laws.values() if meaning(law).check}
    named |= {LAWS.run(run).check: LAWS.run(run).op for run in LAWS.run_ids if LAWS.run(run).check}
    named |= {check: named_check(check).op for system in LAWS.systems.values() for check in system.gate}
    assert named.keys() == CHECKS.keys()
    assert set(named.values()) <= LAWS.ops.keys()
    assert {name: named_check(name).op for name in CHECKS} == named


def test_a_value_that_a_check_does_not_know_is_refused_and_not_computed() -> None:
    floor = {"mask_value": -1e20, "initial_max": -1e20, "score_dtype": "fp32", "tile_n": 32}
    size = {"seq_q": 4, "seq_kv": 64, "head_dim": 8, "masked_tiles": 1}
    check = named_check("attention-mask-floor")
    assert check.result(size, floor, 0).failure is None
    with pytest.raises(ValueError, match="'fp64' is none of"):
        check.result(size, {**floor, "score_dtype": "fp64"}, 0)
    with pytest.raises(ValueError, match="leave rows without one"):
        check.result({**size, "masked_tiles": 2}, floor, 0)
    for name in CHECKS:
        assert named_check(name).sizes(7) == named_check(name).sizes(7) != named_check(name).sizes(8)
