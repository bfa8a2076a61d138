"""Trials recorded elsewhere, lined up with the target's space."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spak.kg.model.base import ProblemSize, Scalar
from spak.kg.model.run import Run, Trial
from spak.kg.space.factors import Floats
from spak.kg.space.space import Space

WORST = math.log(10)
"""Largest log slowdown told apart: ten times slower than the best is as bad as failing, and says as much elsewhere."""


@dataclass(frozen=True)
class Source:
    """What one piece of hardware says about one problem size of the op.

    Attributes:
        problem: Problem size; empty if its file states none.
        rows: (n,) configurations of the target's space that were tried there.
        slowdown: (n,) log of time over the best time there, at most `WORST`; failures are `WORST`.
    """

    hw: str
    problem: ProblemSize
    rows: npt.NDArray[np.int64]
    slowdown: Floats

    @property
    def label(self) -> str:
        """Hardware id, and the problem size where one is stated."""
        return label_of(whereabouts(self.hw, self.problem))


Whereabouts = tuple[str, tuple[tuple[str, Scalar], ...]]
"""Hardware id and problem size, its parameters by name: what one source is about."""


def whereabouts(hw: str, problem: ProblemSize) -> Whereabouts:
    """What trials of this problem size on this hardware are about."""
    return hw, tuple(sorted(problem.items()))


def label_of(where: Whereabouts) -> str:
    """Hardware id, and the problem size where one is stated."""
    sizes = ",".join(f"{name}={value}" for name, value in where[1])
    return f"{where[0]} at {sizes}" if sizes else where[0]


def by_place(runs: Iterable[Run]) -> dict[Whereabouts, list[Trial]]:
    """The trials of `runs` by what they are about."""
    groups: dict[Whereabouts, list[Trial]] = {}
    for run in runs:
        for trial in run.trials:
            groups.setdefault(whereabouts(run.hw, trial.problem or run.problem), []).append(trial)
    return groups


def sources(space: Space, groups: Mapping[Whereabouts, Sequence[Trial]], objective: str = "time") -> list[Source]:
    """One source for each of `groups` with a value of `objective` in `space`, in order of labels."""
    found = [_source(space, where, trials, objective) for where, trials in groups.items()]
    return sorted((source for source in found if source is not None), key=lambda source: source.label)


def _source(space: Space, where: Whereabouts, trials: Sequence[Trial], objective: str) -> Source | None:
    measured = [trial.value(objective) if trial.invalidity == "correct" else None for trial in trials]
    if all(time is None for time in measured):
        return None
    rows = space.indices([trial.configuration for trial in trials])
    times = np.array([math.inf if time is None else time for time in measured])
    of, row = np.unique(rows[rows >= 0], return_inverse=True)
    found = np.full(len(of), math.inf)
    np.minimum.at(found, row, times[rows >= 0])
    if not np.isfinite(found).any():
        return None
    with np.errstate(divide="ignore"):
        slowdown = np.minimum(np.log(found / found.min()), WORST)
    return Source(where[0], dict(where[1]), of, slowdown)
