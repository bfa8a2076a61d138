"""The committed runs about the mask floor are what bench/floor.py computes, and the laws say no more than they show."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.floor import EXPERIMENTS, Experiment, run
from spak.kg.model.run import Run, Trial

EVIDENCE = Path(__file__).parents[2] / "laws" / "evidence"


def recorded(experiment: Experiment) -> Run:
    return msgspec.json.decode((EVIDENCE / f"{experiment.run_id}.json").read_bytes(), type=Run)


def outcome(trial: Trial) -> tuple[object, ...]:
    return (*trial.problem.values(), *trial.configuration.values(), trial.invalidity, trial.value("nan_rows"))


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.run_id)
def test_recorded_outcomes_are_reproduced(experiment: Experiment) -> None:
    """Same NaN rows and same verdict on correctness for every choice and size, on this machine."""
    kept = recorded(experiment)
    again = run(experiment, created=kept.created)
    assert [outcome(trial) for trial in again.trials] == [outcome(trial) for trial in kept.trials]
    assert again.kernel == kept.kernel, "bench/floor.py changed: run `python -m bench.floor`"


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.run_id)
def test_exact_boundary(experiment: Experiment) -> None:
    """With a wholly masked tile, a choice is free of NaN if and only if the sharper law admits it."""
    for trial in recorded(experiment).trials:
        choice = trial.configuration
        admitted = choice["score_dtype"] == "fp32" and "-1e+20" in (
            str(choice["mask_value"]),
            str(choice["initial_max"]),
        )
        assert (trial.value("nan_rows") == 0) == (admitted or trial.problem["masked_tiles"] == 0)
