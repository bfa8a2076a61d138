"""The recorded exhaustive sweeps, as what a search is replayed on and laws are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import msgspec
import numpy as np

from spak.kg.evidence.table import TrialTable, from_runs
from spak.kg.files.loader import Laws, load
from spak.kg.formats.recording import Recording, seen_parameters
from spak.kg.model.op import Op, Parameter
from spak.kg.model.run import Run
from spak.kg.space.space import Space, build
from spak.tuner.replay import expected_random

ROOT = Path(__file__).parents[2] / "laws"
SMALLEST = 100
"""Configurations of a sweep that takes part: below, a few random trials find the best under any law."""

GOAL = 1.02
"""A search has arrived at a trial that takes at most so many times as long as the best."""


@dataclass(frozen=True)
class Sweep:
    """One exhaustive measured run."""

    run: Run
    op: Op

    @cached_property
    def space(self) -> Space:
        """The op's space, narrowed to what was recorded."""
        return recorded_space(self.op, self.run)

    @cached_property
    def table(self) -> TrialTable:
        """Its trials as arrays, by which laws are judged."""
        return from_runs([self.run])

    @cached_property
    def recording(self) -> Recording:
        """Its trials as what a replay answers from."""
        return recording(self.run)

    @property
    def best(self) -> float:
        """The least time, in microseconds."""
        return float(np.nanmin(self.table.time))

    @property
    def goal(self) -> float:
        """The time at which a search has arrived."""
        return GOAL * self.best

    @property
    def at_random(self) -> float:
        """Evaluations that random search expects to need to the goal, exactly."""
        return expected_random(self.recording, 1 / GOAL)


def recorded_space(op: Op, run: Run) -> Space:
    """The space of `op`, narrowed to what the sweep recorded."""
    parameters = {}
    for name, parameter in op.parameters.items():
        fixed = run.trials[0].configuration.get(name, parameter.default)  # it need not be the op's default
        recorded = run.exhaustive_over.get(name, (fixed,))
        kept = tuple(value for value in parameter.values if value in recorded)
        default = parameter.default if parameter.default in kept else kept[0]
        parameters[name] = Parameter(
            values=kept, default=default, role=parameter.role, description=parameter.description
        )
    return build(msgspec.structs.replace(op, parameters=parameters), run.problem)


def recording(run: Run) -> Recording:
    """A run's trials as what a replay answers from."""
    return Recording(
        format="run", parameters=seen_parameters(run.trials), declared=False, trials=run.trials, problem=run.problem
    )


@cache
def store() -> Laws:
    """The packaged law root, read once a process."""
    return load(ROOT)


@cache
def sweep(run_id: str) -> Sweep:
    """One sweep, read once a process."""
    run = store().run(run_id)
    return Sweep(run, store().ops[run.op])


def sweep_ids() -> list[str]:
    """Every exhaustive measured run of at least `SMALLEST` configurations."""
    runs = [store().run(name) for name in store().run_ids if name.startswith("measured-")]
    return [run.id for run in runs if run.exhaustive_over and len(run.trials) >= SMALLEST]
