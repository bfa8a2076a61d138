"""Times of a kernel with their intervals, each beside what was timed in the same rounds, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spak.kg.evidence.table import Bools, TrialTable, from_runs, problem_of, problem_text
from spak.kg.expression import parse
from spak.kg.model.base import Scalar
from spak.kg.model.op import Formula, Op
from spak.kg.model.run import Measurement, Run
from spak.kg.space.completion import complete
from spak.tuner.engine.session import name_of

MICROSECONDS_OF_TERA = 1e6
"""FLOPs divided by microseconds and by this are TFLOPS."""


@dataclass(frozen=True)
class Span:
    """A figure with its 95 % interval; the interval is the figure itself where a run states none."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, measurement: Measurement) -> Span:
        """The span of a measurement."""
        value, low, high = measurement.value, measurement.low, measurement.high
        return cls(value, value if low is None else low, value if high is None else high)

    def over(self, other: Span) -> Span:
        """This divided by `other`: the widest interval that both allow."""
        return Span(self.value / other.value, self.low / other.high, self.high / other.low)

    def rate(self, flops: float) -> Span:
        """TFLOPS of so many operations in this many microseconds."""
        amount = flops / MICROSECONDS_OF_TERA
        return Span(amount / self.value, amount / self.high, amount / self.low)


@dataclass(frozen=True)
class Timed:
    """A full configuration with its median time; `checked` if the run holds its error against a reference."""

    configuration: Mapping[str, Scalar]
    time_us: Span
    checked: bool


@dataclass(frozen=True)
class Beside:
    """What a best time is compared with: its name, its time over the best, and whether both are of the same rounds."""

    name: str
    ratio: Span
    together: bool


@dataclass(frozen=True)
class Rounds:
    """What one run timed at one problem size: row `row` of `table`. Only times of one run were interleaved."""

    op: Op
    run: Run
    table: TrialTable
    row: int

    @cached_property
    def best(self) -> Timed | None:
        """The fastest; None if nothing was timed."""
        place = int(self.table.best()[self.row])
        return None if place < 0 else self._timed(place)

    @cached_property
    def default(self) -> Timed | None:
        """The op's default configuration, if it was timed."""
        usual = {name: parameter.default for name, parameter in self.op.parameters.items()}
        places = np.flatnonzero(self.table.observed[self.row])
        return next((self._timed(place) for place in map(int, places) if self.table.space.config(place) == usual), None)

    @cached_property
    def references(self) -> Mapping[str, Span]:
        """Library baselines, fastest first; a run of several problem sizes does not say of which they are."""
        found = {name: Span.of(time) for name, time in self.run.reference_times.items() if self.run.problem}
        return dict(sorted(found.items(), key=lambda item: item[1].value))

    @property
    def ties(self) -> int:
        """Other configurations whose interval meets the best's."""
        return 0 if self.best is None else int(np.sum(self.table.low[self.row] <= self.best.time_us.high)) - 1

    @property
    def worked(self) -> int:
        """Configurations that were timed."""
        return int(self.table.observed[self.row].sum())

    @property
    def tried(self) -> int:
        """Configurations that were timed or failed."""
        return self.worked + int(self.table.failed[self.row].sum())

    def fastest(self, inside: Bools) -> Span:
        """The least time among the configurations of `inside`, of which at least one is observed."""
        return self._span(int(np.nanargmin(np.where(inside, self.table.time[self.row], np.nan))))

    def _span(self, place: int) -> Span:
        return Span(*(float(of[self.row, place]) for of in (self.table.time, self.table.low, self.table.high)))

    def _timed(self, place: int) -> Timed:
        errors = self.table.features.get("relative_error")
        checked = errors is not None and not np.isnan(errors[self.row, place])
        return Timed(self.table.space.config(place), self._span(place), checked)


@dataclass(frozen=True)
class Size:
    """Everything a kernel's runs say at one problem size.

    Attributes:
        name: The size's name in the op's list, or its values.
        flops: Operations of the runs' FLOP rule; 0 if the op does not say.
        bytes: Least traffic to device memory; 0 if the op does not say.
        rounds: At least one, most trials first.
    """

    name: str
    problem: Mapping[str, Scalar]
    flops: float
    bytes: float
    rounds: tuple[Rounds, ...]

    @cached_property
    def winner(self) -> Rounds:
        """The rounds that hold the fastest configuration of all."""
        return min(self.rounds, key=lambda one: one.best.time_us.value if one.best else math.inf)

    @property
    def best(self) -> Timed | None:
        """The fastest configuration recorded; None if nothing was timed."""
        return self.winner.best

    @property
    def tflops(self) -> Span | None:
        """Throughput of the best; None where it is unknown."""
        return self.best.time_us.rate(self.flops) if self.best and self.flops else None

    @cached_property
    def default(self) -> Beside | None:
        """The default configuration, of the same rounds where they hold it."""
        return self._beside(lambda one: ("the default configuration", one.default.time_us) if one.default else None)

    @cached_property
    def library(self) -> Beside | None:
        """The fastest library, of the same rounds where they hold one."""
        return self._beside(lambda one: next(iter(one.references.items()), None))

    def _beside(self, told: Callable[[Rounds], tuple[str, Span] | None]) -> Beside | None:
        own = told(self.winner)
        elsewhere = [found for one in self.rounds if (found := told(one))]
        if self.best is None or not elsewhere:
            return None
        name, time_us = own or min(elsewhere, key=lambda found: found[1].value)
        return Beside(name, time_us.over(self.best.time_us), own is not None)


@dataclass(frozen=True)
class LibraryRace:
    """The best recorded configurations against the fastest libraries that these runs timed, size by size.

    Attributes:
        ratios: Time of the fastest library over the best's, above 1 is faster; one for each size that has a library.
        libraries: Every library that took part.
        depending: Settings whose time depends on the inputs; `inputs` are those that they were timed on.
    """

    ratios: tuple[Span, ...]
    libraries: tuple[str, ...]
    depending: tuple[str, ...]
    inputs: tuple[str, ...]

    @property
    def faster(self) -> int:
        """Sizes at which the interval is above 1."""
        return sum(ratio.low > 1 for ratio in self.ratios)

    @property
    def slower(self) -> int:
        """Sizes at which the interval is below 1."""
        return sum(ratio.high < 1 for ratio in self.ratios)

    @property
    def worst(self) -> float:
        """The least ratio."""
        return min(ratio.value for ratio in self.ratios)

    @property
    def geometric_mean(self) -> float:
        """Over the sizes."""
        return math.exp(sum(math.log(ratio.value) for ratio in self.ratios) / len(self.ratios))


@dataclass(frozen=True)
class KernelRuns:
    """The runs of one op on one piece of hardware, at least one, as tables and by problem size."""

    op: Op
    runs: tuple[Run, ...]

    @cached_property
    def tables(self) -> tuple[TrialTable, ...]:
        """Trials as arrays; a problem size has one run in each table, its largest in the first."""
        return tuple(from_runs(list({run.id: run for run in layer.values()}.values())) for layer in self._layers)

    @cached_property
    def _layers(self) -> tuple[dict[str, Run], ...]:
        """Problem size -> its run; what an earlier layer holds of a size keeps a run out of it."""
        layers: list[dict[str, Run]] = []
        for run in sorted(self.runs, key=lambda run: (-len(run.trials), run.id)):
            sizes = {problem_text(problem_of(run, trial)) for trial in run.trials}
            free = next((layer for layer in layers if not sizes & layer.keys()), None)
            if free is None:
                layers.append(free := {})
            free.update(dict.fromkeys(sorted(sizes), run))
        return tuple(dict(sorted(layer.items(), key=lambda item: item[1].id)) for layer in layers)

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """One for each problem size, in the op's own order."""
        found: dict[str, list[Rounds]] = {}
        for layer, table in zip(self._layers, self.tables, strict=True):
            for row, stated in enumerate(table.problems):
                text = problem_text(complete(self.op, stated))
                found.setdefault(text, []).append(Rounds(self.op, layer[problem_text(stated)], table, row))
        order = [problem_text(complete(self.op, values)) for values in self.op.problems.values()]
        texts = sorted(found, key=lambda text: (order.index(text) if text in order else len(order), text))
        return tuple(self._size(tuple(found[text])) for text in texts)

    def _size(self, rounds: tuple[Rounds, ...]) -> Size:
        problem = complete(self.op, rounds[0].table.problems[rounds[0].row])
        rule = self.op.flops.get(self.runs[0].flop_rule or "useful") or self.op.flops.get("useful")
        return Size(name_of(self.op, problem), problem, _count(rule, problem), _count(self.op.bytes, problem), rounds)

    @cached_property
    def race(self) -> LibraryRace | None:
        """The best of each size against the libraries; None where no library was timed."""
        raced = [(size, size.library) for size in self.sizes if size.library is not None]
        if not raced:
            return None
        named = {name for size, _ in raced for rounds in size.rounds for name in rounds.references}
        deciding = {
            name: parameter.depends_on for name, parameter in self.op.parameters.items() if parameter.depends_on
        }
        seen = {str(size.problem[on]) for size, _ in raced for names in deciding.values() for on in names}
        ratios = tuple(library.ratio for _, library in raced)
        return LibraryRace(ratios, tuple(sorted(named)), tuple(deciding), tuple(sorted(seen)))

    def size_like(self, other: Size) -> Size | None:
        """The size that does the work of `other`: equal in every parameter both ops have, and in operations.

        The count tells apart what one op has no parameter for, such as a mask.
        """
        return next((size for size in self.sizes if _same_work(size, other)), None)

    def changed(self, configuration: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The settings of a configuration that are not the op's defaults, in the op's order."""
        usual = {name: parameter.default for name, parameter in self.op.parameters.items()}
        return {name: configuration[name] for name in usual if configuration.get(name, usual[name]) != usual[name]}


def _same_work(one: Size, other: Size) -> bool:
    shared = one.problem.keys() & other.problem.keys()
    return math.isclose(one.flops, other.flops) and all(one.problem[name] == other.problem[name] for name in shared)


def _count(formula: Formula | None, problem: Mapping[str, Scalar]) -> float:
    return 0.0 if formula is None else float(parse(formula.expression).evaluate(problem))
