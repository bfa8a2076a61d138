"""Trials as arrays: configurations by problem sizes, with times, intervals, failures and compiled features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from spak.kg.evidence.columns import columns_of, measured
from spak.kg.expression import Expression
from spak.kg.expression.assignment import show_assignments
from spak.kg.expression.columns import Column
from spak.kg.model.base import IMPLIED, Configuration, ProblemSize, Scalar, canonical
from spak.kg.model.run import DRIFT, UNSTEADY_TIME, Measurement, Run, Trial
from spak.kg.space.factors import Codes, Floats
from spak.kg.space.space import Setting, Space, mixed_radix
from spak.kg.space.truths import Truths

Bools = npt.NDArray[np.bool_]

_Cells = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Row and column of each trial in the arrays of a table."""

_VALUE = attrgetter("value")

_TIMES = frozenset({"time", UNSTEADY_TIME, DRIFT})
"""What is no feature of a configuration but of when and where it was timed."""


@dataclass(frozen=True)
class TrialTable:
    """S problem sizes by N distinct configurations of one op; one device's sizes are rows of their own.

    Attributes:
        space: The configurations; problem sizes are the table's, not the space's.
        problems: The S problem sizes.
        time: (S, N) microseconds or predicted microseconds; NaN where not tried or failed.
        low: (S, N) lower end of the 95 % interval; equals `time` where a run states none.
        high: (S, N) upper end.
        failed: (S, N) true where the trial failed (any invalidity but `constraints`).
        features: Compiled feature -> (S, N), NaN where unknown.
        references: Baselines that were timed in the same rounds, by name; only of one run at one problem size.
    """

    space: Space
    problems: tuple[ProblemSize, ...]
    time: Floats
    low: Floats
    high: Floats
    failed: Bools
    features: Mapping[str, Floats]
    references: Mapping[str, Measurement] = field(default_factory=dict)

    @classmethod
    def untried(cls, space: Space, problems: Sequence[ProblemSize]) -> TrialTable:
        """Configurations of which nothing is known."""
        time, low, high = (np.full((len(problems), len(space)), np.nan) for _ in range(3))
        return cls(space, tuple(problems), time, low, high, np.zeros(time.shape, dtype=bool), {})

    @cached_property
    def parameters(self) -> dict[str, tuple[Scalar, ...]]:
        """Parameter -> its values in canonical order (numbers ascending)."""
        return dict(zip(self.space.names, self.space.values, strict=True))

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """(S,): each problem size as evidence entries name it."""
        return tuple(map(problem_text, self.problems))

    @cached_property
    def observed(self) -> Bools:
        """(S, N): cells with a time."""
        return ~np.isnan(self.time)

    @property
    def compiled(self) -> Bools:
        """(S, N): cells with any compiled feature."""
        cells = [np.isfinite(values) for values in self.features.values()]
        return np.asarray(np.logical_or.reduce([np.zeros_like(self.failed), *cells]))

    def column(self, name: str) -> npt.NDArray[np.int16]:
        """(N,): codes of one parameter."""
        return self.space.codes[:, self.space.names.index(name)]

    def best(self) -> npt.NDArray[np.int64]:
        """(S,): index of the fastest configuration of each problem size, -1 where nothing was timed."""
        return self._best

    @cached_property
    def _best(self) -> npt.NDArray[np.int64]:
        filled = np.where(self.observed, self.time, np.inf)
        return np.where(np.isfinite(filled.min(axis=1)), filled.argmin(axis=1), -1)

    def slowdown_bounds(self) -> tuple[Floats, Floats]:
        """(S, N) lowest and highest slowdown against the best of the problem size that the intervals allow; NaN unseen."""
        return self._slowdown_bounds

    @cached_property
    def _slowdown_bounds(self) -> tuple[Floats, Floats]:
        best = np.arange(len(self.problems)), self.best()  # where nothing was timed, any configuration is NaN
        return self.low / self.high[best][:, None], self.high / self.low[best][:, None]

    def holds(self, expression: Expression, row: int, facts: Mapping[str, Scalar]) -> Bools:
        """(N,) where `expression` is true at problem size `row`; false where it needs a value that nobody knows.

        It may speak of parameters, problem parameters, compiled features, and `facts` of the hardware (without `hw.`).
        """
        truths, known = self._truths(row, facts)
        if not expression.all_names <= known:
            return np.zeros(len(self.space), dtype=bool)
        true = truths.holds(expression).copy()
        for name in expression.all_names & self.features.keys():
            true &= self._known[name][row]
        return true

    def _truths(self, row: int, facts: Mapping[str, Scalar]) -> tuple[Truths, frozenset[str]]:
        """The configurations at one problem size, and every name that has a value there."""
        key = (row, id(facts))
        if key not in self._asked:
            known = np.nan_to_num(np.array([values[row] for values in self.features.values()]))
            measured = dict(zip(self.features, known, strict=True))
            tried = {name: Column(values, self.column(name)) for name, values in self.parameters.items()}
            given = {**Setting(self.problems[row], facts).names, **measured, **tried}
            self._asked[key] = (facts, Truths(given, len(self.space)), frozenset(given))
        return self._asked[key][1:]

    @cached_property
    def _asked(self) -> dict[tuple[int, int], tuple[Mapping[str, Scalar], Truths, frozenset[str]]]:
        """What `_truths` gave; the facts are kept because their `id()` is the key."""
        return {}

    @cached_property
    def _known(self) -> dict[str, Bools]:
        """Compiled feature -> (S, N) where it is known."""
        return {name: np.isfinite(values) for name, values in self.features.items()}

    def having(self, setting: Mapping[str, Scalar]) -> Bools:
        """(N,) configurations with every value of `setting`."""
        return self.space.having({name: (value,) for name, value in setting.items()}).flat

    def matched(self, name: str, codes: Sequence[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """(C, len(codes)) configurations of each context, all other parameters equal, that has every one of `codes`."""
        others = np.delete(self.space.codes, self.space.names.index(name), axis=1)
        _, group = np.unique(others, axis=0, return_inverse=True)
        index = np.full((int(group.max()) + 1, len(codes)), -1, dtype=np.int64)
        for slot, code in enumerate(codes):
            members = np.flatnonzero(self.column(name) == code)
            index[group[members], slot] = members
        return index[(index >= 0).all(axis=1)]

    def only(self, problems: Sequence[int]) -> TrialTable:
        """The same configurations at some of the problem sizes."""
        rows = list(problems)
        return replace(
            self,
            problems=tuple(self.problems[row] for row in rows),
            time=self.time[rows],
            low=self.low[rows],
            high=self.high[rows],
            failed=self.failed[rows],
            features={name: values[rows] for name, values in self.features.items()},
        )

    def at(self, problem: ProblemSize) -> TrialTable:
        """The same configurations untried at `problem`, each compiled feature at the most seen elsewhere."""
        most = {name: np.fmax.reduce(values, axis=0, keepdims=True) for name, values in self.features.items()}
        return replace(TrialTable.untried(self.space, (problem,)), features=most)


def problem_of(run: Run, trial: Trial) -> dict[str, Scalar]:
    """The problem size of a trial: the run's, overridden by the trial's own."""
    return {**run.problem, **trial.problem}


def problem_text(problem: Mapping[str, Scalar]) -> str:
    """Canonical text of a problem size, as evidence entries name it: `name=value,...` sorted by name, without `IMPLIED`."""
    said = sorted(item for item in problem.items() if item not in IMPLIED.items())
    return show_assignments(dict(said), separator=",")


def from_runs(runs: Sequence[Run], *, objective: str = "time") -> TrialTable:
    """Build the table of some runs of one op, with a row for each problem size on each piece of hardware.

    A configuration tried twice at one size on one piece of hardware keeps the trial with the lower time (`objective`): both were honest, the
    lower one bounds what the configuration can do.

    Raises:
        ValueError: If the runs are of different ops, hold no trial, or their configurations differ in parameters.
    """
    if len({run.op for run in runs}) != 1:
        raise ValueError("runs of one op are needed, got: " + ", ".join(sorted({run.op for run in runs})))
    cells = [
        (trial, problem_of(run, trial) if trial.problem else run.problem, run.hw)
        for run in runs
        for trial in run.trials
        if trial.invalidity != "constraints"
    ]
    if not cells:
        raise ValueError("the runs hold no trial")
    trials = (
        runs[0].trials if len(runs) == 1 and len(cells) == len(runs[0].trials) else [trial for trial, _, _ in cells]
    )
    space, places = _tried(runs[0].op, [trial.configuration for trial in trials])
    texts = _texts([problem for _, problem, _ in cells])
    keys = [(hw, text) for text, (_, _, hw) in zip(texts, cells, strict=True)]
    problems = {key: problem for key, (_, problem, _) in zip(keys, cells, strict=True)}
    table = TrialTable.untried(space, tuple(problems.values()))
    rows = {key: row for row, key in enumerate(problems)}
    features: dict[str, Floats] = {}
    at = np.array([rows[key] for key in keys]), np.array(places)
    _enter_all(table, features, at, trials, objective)
    beside = runs[0].reference_times if len(runs) == len(problems) == 1 else {}
    return replace(table, failed=table.failed & np.isnan(table.time), features=features, references=beside)


def _texts(problems: Sequence[Mapping[str, Scalar]]) -> list[str]:
    """`problem_text` of each; most share theirs."""
    distinct = {id(problem): problem for problem in problems}
    exactly = {one: repr(problem) for one, problem in distinct.items()}  # 1 is true to a dict, and not to a reader
    known = {exactly[one]: problem_text(problem) for one, problem in distinct.items()}
    return [known[exactly[id(problem)]] for problem in problems]


def coded(
    names: Sequence[str], configurations: Sequence[Configuration]
) -> tuple[tuple[tuple[Scalar, ...], ...], Codes]:
    """(P,) values of each parameter that occur, in canonical order, and (n, P) each configuration's among them."""
    columns = columns_of(names, configurations)
    values = tuple(map(canonical, columns))
    codes = np.zeros((len(configurations), len(names)), np.int16)
    for p, (column, own) in enumerate(zip(columns, values, strict=True)):
        if len(own) > 1:
            lookup = {value: code for code, value in enumerate(own)}
            codes[:, p] = list(map(lookup.__getitem__, column))
    return values, codes


def _tried(op: str, configurations: Sequence[Configuration]) -> tuple[Space, list[int]]:
    """The distinct ones of `configurations` as a space, and where in it each of them is."""
    names, parameters = tuple(sorted(configurations[0])), configurations[0].keys()
    if any(configuration.keys() != parameters for configuration in configurations):
        raise ValueError("configurations of the same parameters are needed")
    values, codes = coded(names, configurations)
    _, first, places = np.unique(mixed_radix(codes, map(len, values)), return_index=True, return_inverse=True)
    return Space(op, Setting({}), names, values, {}, (codes[first],)), places.ravel().tolist()


def _enter_all(
    table: TrialTable, features: dict[str, Floats], cells: _Cells, trials: Sequence[Trial], objective: str
) -> None:
    """Write trials into the arrays: those that measured the same quantities together, unless one could hide another."""
    alike = list(measured(trials))
    is_once = len(np.unique(np.ravel_multi_index(cells, table.time.shape))) == len(trials)
    if not is_once or any(len(set(one.names)) < len(one.names) for one in alike):
        for row, place, trial in zip(*cells, trials, strict=True):
            _enter(table, features, (int(row), int(place)), trial, objective)
        return
    correct = np.array([trial.invalidity == "correct" for trial in trials])
    table.failed[cells] = ~correct
    for one in alike:
        rows, places, ran = cells[0][one.places], cells[1][one.places], correct[one.places]
        for name, found in zip(one.names, one.columns, strict=True):
            if name == objective:
                for into, values in zip((table.time, table.low, table.high), _spans(found), strict=True):
                    into[rows[ran], places[ran]] = values[ran]
            elif name not in _TIMES:
                if name not in features:
                    features[name] = np.full(table.time.shape, np.nan)
                features[name][rows, places] = list(map(_VALUE, found))


def _spans(found: Sequence[Measurement]) -> Floats:
    """(3, n) value, lower and upper end of each."""
    ends = [
        (one.value, one.value if one.low is None else one.low, one.value if one.high is None else one.high)
        for one in found
    ]
    return np.array(ends, np.float64).T


def _enter(table: TrialTable, features: dict[str, Floats], cell: tuple[int, int], trial: Trial, objective: str) -> None:
    """Write one trial into the arrays."""
    table.failed[cell] |= trial.invalidity != "correct"
    for found in trial.measurements:
        if found.name == objective:
            if trial.invalidity == "correct" and not table.time[cell] <= found.value:
                table.time[cell] = found.value
                table.low[cell] = found.value if found.low is None else found.low
                table.high[cell] = found.value if found.high is None else found.high
        elif found.name not in _TIMES:
            if found.name not in features:
                features[found.name] = np.full(table.time.shape, np.nan)
            features[found.name][cell] = found.value
