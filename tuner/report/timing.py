"""Times of a story's kernels with their intervals, and what follows from them: throughput, ratios, ties."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spak.kg.expression import parse
from spak.kg.model.base import Scalar
from spak.kg.model.op import Op
from spak.kg.model.run import Measurement, Run
from spak.kg.space.completion import complete
from spak.tuner.engine.session import name_of
from spak.tuner.learn.mining.table import Bools, TrialTable, from_runs, problem_of, problem_text

Configuration = Mapping[str, Scalar]


@dataclass(frozen=True)
class Span:
    """A figure with its 95 % interval; the interval is the figure itself where a run states none."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, measurement: Measurement) -> Span:
        """The span of a measurement."""
        value = measurement.value
        return cls(
            value,
            value if measurement.low is None else measurement.low,
            value if measurement.high is None else measurement.high,
        )

    def over(self, other: Span) -> Span:
        """This divided by `other`: the widest interval that both allow."""
        return Span(self.value / other.value, self.low / other.high, self.high / other.low)

    def rate(self, amount: float) -> Span:
        """`amount` divided by this: a longer time is a lower rate."""
        return Span(amount / self.value, amount / self.high, amount / self.low)

    @property
    def is_exact(self) -> bool:
        """Whether there is no interval to show."""
        return self.low == self.high


@dataclass(frozen=True)
class Timed:
    """One configuration timed at one problem size.

    Attributes:
        configuration: In full.
        time_us: Median, microseconds.
        tflops: Throughput of the run's FLOP rule.
        spill_bytes: Stack of a thread; None if unknown.
        relative_error: Against a reference in higher precision; None if the run does not hold it.
    """

    configuration: Configuration
    time_us: Span
    tflops: Span
    spill_bytes: float | None
    relative_error: float | None = None


@dataclass(frozen=True)
class Size:
    """Everything a kernel's runs say at one problem size.

    Attributes:
        name: The size's name in the op's list, or its values.
        problem: In full.
        row: Its row in the table.
        flops: Operations of the runs' FLOP rule.
        bytes: Least traffic to device memory; None if the op does not say.
        best: The fastest configuration; None if nothing was timed.
        default: The op's default configuration, if it was timed.
        ties: Other configurations whose interval meets the best's.
        tried: Trials; `failed` of them gave no result.
        references: Library baselines timed in the same rounds, fastest first.
    """

    name: str
    problem: Mapping[str, Scalar]
    row: int
    flops: float
    bytes: float | None
    best: Timed | None
    default: Timed | None
    ties: int
    tried: int
    failed: int
    references: Mapping[str, Span]


@dataclass(frozen=True)
class Kernel:
    """The runs of one op as a table with a view of each problem size.

    Attributes:
        op: The op.
        runs: At least one, each of other problem sizes.
        others: Smaller runs of the same sizes, for what they vary and `runs` do not.
    """

    op: Op
    runs: tuple[Run, ...]
    others: tuple[Kernel, ...] = ()

    @classmethod
    def of(cls, op: Op, runs: Sequence[Run]) -> Kernel:
        """The kernel with one run for each problem size, the largest; the rest as `others`.

        Times of different runs are not put in one table: they were not interleaved. Compiled code does not vary, so
        compiled runs are one table.
        """
        if all(run.tier == "compiled" for run in runs):
            return cls(op, tuple(runs))
        kept: list[Run] = []
        rest: list[Run] = []
        seen: set[str] = set()
        for run in sorted(runs, key=lambda run: (-len(run.trials), run.id)):
            sizes = {problem_text(problem_of(run, trial)) for trial in run.trials}
            (rest if sizes & seen else kept).append(run)
            seen |= sizes
        others = (cls.of(op, rest),) if rest else ()
        return cls(op, tuple(sorted(kept, key=lambda run: run.id)), others)

    @cached_property
    def table(self) -> TrialTable:
        """Trials as arrays; rows are the problem sizes in the op's own order."""
        found = from_runs(self.runs)
        order = {
            problem_text(complete(self.op, values)): place for place, values in enumerate(self.op.problems.values())
        }
        texts = [problem_text(complete(self.op, problem)) for problem in found.problems]
        return found.only(sorted(range(len(texts)), key=lambda row: (order.get(texts[row], len(order)), texts[row])))

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """One for each problem size."""
        return tuple(self._size(row) for row in range(len(self.table.problems)))

    def size_like(self, other: Size) -> Size | None:
        """The size that does the work of `other`: equal in every parameter both ops have, and in operations.

        The count tells apart what one op has no parameter for, such as a mask.
        """
        return next((size for size in self.sizes if _same_work(size, other)), None)

    def _size(self, row: int) -> Size:
        problem = complete(self.op, self.table.problems[row])
        flops = _count(self.op, self._rule, problem)
        times = self.table.time[row]
        place = int(self.table.best()[row])
        best = None if place < 0 else self._timed(row, place, flops)
        default = self._default(row)
        ties = 0 if best is None else int(np.sum(self.table.low[row] <= best.time_us.high)) - 1
        return Size(
            name=name_of(self.op, problem),
            problem=problem,
            row=row,
            flops=flops,
            bytes=None if self.op.bytes is None else float(parse(self.op.bytes.expression).evaluate(problem)),
            best=best,
            default=None if default is None else self._timed(row, default, flops),
            ties=ties,
            tried=int(np.sum(~np.isnan(times) | self.table.failed[row])) or len(self.table.codes),
            failed=int(self.table.failed[row].sum()),
            references=self._references(problem),
        )

    @property
    def _rule(self) -> str:
        return self.runs[0].flop_rule or "useful"

    def _default(self, row: int) -> int | None:
        default = {name: parameter.default for name, parameter in self.op.parameters.items()}
        for place in np.flatnonzero(self.table.observed[row]):
            found = self._configuration(int(place))
            if all(default.get(name, value) == value for name, value in found.items()):
                return int(place)
        return None

    def _configuration(self, place: int) -> dict[str, Scalar]:
        """A configuration without the parameters that its run did not know."""
        codes = zip(self.table.parameters.items(), self.table.codes[place], strict=True)
        return {name: values[code] for (name, values), code in codes if code >= 0}

    def _timed(self, row: int, place: int, flops: float) -> Timed:
        table = self.table
        time = Span(float(table.time[row, place]), float(table.low[row, place]), float(table.high[row, place]))
        return Timed(
            self._configuration(place),
            time,
            time.rate(flops / MICROSECONDS_OF_TERA),
            self._feature("spill_bytes", row, place),
            self._feature("relative_error", row, place),
        )

    def _feature(self, name: str, row: int, place: int) -> float | None:
        values = self.table.features.get(name)
        return None if values is None or np.isnan(values[row, place]) else float(values[row, place])

    def _references(self, problem: Mapping[str, Scalar]) -> dict[str, Span]:
        found = {
            name: Span.of(measurement)
            for run in self.runs
            if any(complete(self.op, size) == problem for size in _problems(run))
            for name, measurement in run.reference_times.items()
        }
        return dict(sorted(found.items(), key=lambda item: item[1].value))


def fastest(table: TrialTable, row: int, inside: Bools) -> Span:
    """The least time among the configurations of `inside`, of which at least one is observed."""
    place = int(np.flatnonzero(inside)[table.time[row, inside].argmin()])
    return Span(*(float(values[row, place]) for values in (table.time, table.low, table.high)))


MICROSECONDS_OF_TERA = 1e6
"""FLOPs divided by microseconds and by this are TFLOPS."""


def _same_work(one: Size, other: Size) -> bool:
    shared = one.problem.keys() & other.problem.keys()
    return math.isclose(one.flops, other.flops) and all(one.problem[name] == other.problem[name] for name in shared)


def _problems(run: Run) -> Sequence[dict[str, Scalar]]:
    """The problem sizes a run's baselines may be of: a search states one, a run of several has none of its own."""
    return [problem_of(run, run.trials[0])] if run.problem else []


def _count(op: Op, rule: str, problem: Mapping[str, Scalar]) -> float:
    formula = op.flops.get(rule) or op.flops.get("useful")
    return 0.0 if formula is None else float(parse(formula.expression).evaluate(problem))
