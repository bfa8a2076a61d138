"""Trials as arrays: configurations by problem sizes, with times, intervals, failures and compiled features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spak.kg.model.base import Scalar
from spak.kg.model.run import Run, Trial

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TrialTable:
    """S problem sizes by N distinct configurations of one op on one piece of hardware.

    Attributes:
        parameters: Parameter -> its values in canonical order (numbers ascending).
        codes: (N, P) int16; index of each configuration's value among its parameter's values.
        problems: The S problem sizes.
        time: (S, N) microseconds or predicted microseconds; NaN where not tried or failed.
        low: (S, N) lower end of the 95 % interval; equals `time` where a run states none.
        high: (S, N) upper end.
        failed: (S, N) true where the trial failed (any invalidity but `constraints`).
        features: Compiled feature -> (S, N), NaN where unknown.
    """

    parameters: Mapping[str, tuple[Scalar, ...]]
    codes: npt.NDArray[np.int16]
    problems: tuple[dict[str, Scalar], ...]
    time: Floats
    low: Floats
    high: Floats
    failed: Bools
    features: Mapping[str, Floats]

    @property
    def observed(self) -> Bools:
        """(S, N): cells with a time."""
        return ~np.isnan(self.time)

    def column(self, name: str) -> npt.NDArray[np.int16]:
        """(N,): codes of one parameter."""
        return self.codes[:, list(self.parameters).index(name)]

    def configuration(self, index: int) -> dict[str, Scalar]:
        """Configuration `index` as names and values."""
        return {
            name: values[self.codes[index, position]] for position, (name, values) in enumerate(self.parameters.items())
        }

    def best(self) -> npt.NDArray[np.int64]:
        """(S,): index of the fastest configuration of each problem size, -1 where nothing was timed."""
        filled = np.where(self.observed, self.time, np.inf)
        return np.where(np.isfinite(filled.min(axis=1)), filled.argmin(axis=1), -1)

    def slowdown_bounds(self) -> tuple[Floats, Floats]:
        """(S, N) lowest and highest slowdown against the best of the problem size that the intervals allow; NaN unseen."""
        rows = np.arange(len(self.problems))
        best = self.best()
        seen = (best >= 0)[:, None]
        low_best = np.where(seen, self.low[rows, best][:, None], np.nan)
        high_best = np.where(seen, self.high[rows, best][:, None], np.nan)
        return self.low / high_best, self.high / low_best

    def only(self, problems: Sequence[int]) -> TrialTable:
        """The same configurations at some of the problem sizes."""
        rows = list(problems)
        return TrialTable(
            parameters=self.parameters,
            codes=self.codes,
            problems=tuple(self.problems[row] for row in rows),
            time=self.time[rows],
            low=self.low[rows],
            high=self.high[rows],
            failed=self.failed[rows],
            features={name: values[rows] for name, values in self.features.items()},
        )


def _ordered(values: Iterable[Scalar]) -> tuple[Scalar, ...]:
    """Distinct values: numbers ascending, then the rest by text."""
    distinct = set(values)
    numbers = sorted(value for value in distinct if isinstance(value, int | float))
    return (*numbers, *sorted((value for value in distinct if isinstance(value, str)), key=str))


def problem_of(run: Run, trial: Trial) -> dict[str, Scalar]:
    """The problem size of a trial: the run's, overridden by the trial's own."""
    return {**run.problem, **trial.problem}


def problem_text(problem: Mapping[str, Scalar]) -> str:
    """Canonical text of a problem size, as evidence entries name it: `name=value,...` sorted by name."""
    parts = []
    for name, value in sorted(problem.items()):
        parts.append(f"{name}={str(value).lower() if isinstance(value, bool) else value}")
    return ",".join(parts)


def from_runs(runs: Sequence[Run], *, objective: str = "time") -> TrialTable:
    """Build the table of some runs of one op on one piece of hardware.

    A configuration tried twice at one size keeps the trial with the lower time: both were honest, the
    lower one bounds what the configuration can do.

    Args:
        runs: Runs that share op and hardware.
        objective: Measurement that ranks trials.

    Raises:
        ValueError: If the runs are of different ops, or hold no trial.
    """
    if len({run.op for run in runs}) != 1:
        raise ValueError("runs of one op are needed, got: " + ", ".join(sorted({run.op for run in runs})))
    cells = [(run, trial) for run in runs for trial in run.trials if trial.invalidity != "constraints"]
    if not cells:
        raise ValueError("the runs hold no trial")
    names = sorted({name for _, trial in cells for name in trial.configuration})
    parameters = {name: _ordered(t.configuration[name] for _, t in cells if name in t.configuration) for name in names}
    lookup = {name: {value: code for code, value in enumerate(values)} for name, values in parameters.items()}
    rows: dict[str, int] = {}
    problems: list[dict[str, Scalar]] = []
    columns: dict[tuple[int, ...], int] = {}
    places: list[tuple[int, int, Trial]] = []
    for run, trial in cells:
        problem = problem_of(run, trial)
        row = rows.setdefault(problem_text(problem), len(rows))
        if row == len(problems):
            problems.append(problem)
        key = tuple(lookup[name].get(trial.configuration.get(name, ""), -1) for name in names)
        places.append((row, columns.setdefault(key, len(columns)), trial))
    return _fill(parameters, np.array(list(columns), dtype=np.int16), tuple(problems), (places, objective))


def _fill(
    parameters: dict[str, tuple[Scalar, ...]],
    codes: npt.NDArray[np.int16],
    problems: tuple[dict[str, Scalar], ...],
    cells: tuple[list[tuple[int, int, Trial]], str],
) -> TrialTable:
    places, objective = cells
    shape = (len(problems), len(codes))
    time, low, high = (np.full(shape, np.nan) for _ in range(3))
    failed = np.zeros(shape, dtype=bool)
    features: dict[str, Floats] = {}
    for row, column, trial in places:
        failed[row, column] |= trial.invalidity != "correct"
        for found in trial.measurements:
            if found.name == objective:
                if trial.invalidity == "correct" and not time[row, column] <= found.value:
                    time[row, column] = found.value
                    low[row, column] = found.value if found.low is None else found.low
                    high[row, column] = found.value if found.high is None else found.high
            elif found.name != "time":
                features.setdefault(found.name, np.full(shape, np.nan))[row, column] = found.value
    return TrialTable(
        parameters=parameters,
        codes=codes,
        problems=problems,
        time=time,
        low=low,
        high=high,
        failed=failed & np.isnan(time),
        features=features,
    )
