"""What to measure at held-out problem sizes so that each frozen candidate gets a fair trial inside a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spak.kg.evidence.judge import in_scope
from spak.kg.evidence.rows import MIN_TESTED, MIN_TIED
from spak.kg.evidence.table import TrialTable
from spak.kg.expression import Expression
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import AxisTest, EffectTest, SettingTest
from spak.kg.model.base import Configuration, ProblemSize, Scalar
from spak.kg.model.law import Law
from spak.kg.model.run import CONFIRM, Trial
from spak.kg.space.factors import Floats
from spak.kg.space.space import Space
from spak.tuner.backend.base import Request

REFERENCES = 3
"""Best configurations of the found sizes, measured beside every candidate: the best elsewhere may not be best here."""

CHALLENGERS = MIN_TESTED + 2
"""Configurations of a region that try to refute it: the fastest known ones, and the last ones drawn at random."""

RANDOM_CHALLENGERS = 2
"""How many of the challengers are drawn at random, because the fastest known ones are not all there is."""


@dataclass(frozen=True)
class HeldOut:
    """Where candidates are tested.

    Attributes:
        problems: Problem sizes no candidate was found on.
        pool: Feasible configurations, most never tried, from which random challengers are drawn.
        budget: Most measurements.
    """

    problems: tuple[ProblemSize, ...]
    budget: int
    pool: Space | None = None


def trial_key(made: Request | Trial) -> tuple[str, str]:
    """What tells evaluations apart: configuration and problem size."""
    return repr(sorted(made.configuration.items())), repr(sorted(made.problem.items()))


def plan(
    laws: Sequence[Law], found: TrialTable, held_out: HeldOut, facts: Mapping[str, Scalar], rng: np.random.Generator
) -> tuple[list[Request], tuple[Law, ...]]:
    """Measurements in the order to make them, and the candidates they cover; the rest stays untested.

    Whole candidates are planned one after another: half a test confirms nothing.

    Args:
        laws: Frozen candidates, most general first.
        found: The table they were mined from.
        held_out: Where to test, and how much may be spent.
        facts: Hardware facts without `hw.`.
        rng: Draws the random challengers.
    """
    asked: dict[tuple[str, str], Request] = {}
    covered: list[Law] = []
    ranked = _Ranked.of(found, rng)
    references = [found.space.config(int(index)) for index in ranked.places[:REFERENCES]]
    for law in laws:
        wanted: dict[tuple[str, str], Request] = {}
        for problem in held_out.problems:
            if not in_scope(law, [problem], facts)[0]:
                continue
            test = _test(law, ranked, (problem, held_out.pool), facts, rng)
            for configuration in [*references, *test] if test else []:
                request = Request(configuration, problem, CONFIRM)
                if trial_key(request) not in asked:
                    wanted[trial_key(request)] = request
        if not wanted or len(asked) + len(wanted) > held_out.budget:
            continue
        asked |= wanted
        covered.append(law)
    return list(asked.values()), tuple(covered)


@dataclass(frozen=True)
class _Ranked:
    """The found configurations by how fast they were.

    Attributes:
        found: Their table.
        score: (N,) geometric mean slowdown over the problem sizes one was timed at; infinite where it never was.
        places: (N,) the fastest first, equals in random order.
    """

    found: TrialTable
    score: Floats
    places: npt.NDArray[np.int64]

    @classmethod
    def of(cls, found: TrialTable, rng: np.random.Generator) -> _Ranked:
        low, high = found.slowdown_bounds()
        logs = np.log(np.sqrt(low * high))
        counts = np.isfinite(logs).sum(axis=0)
        mean = np.nansum(logs, axis=0) / np.maximum(counts, 1)
        score = np.where(counts > 0, mean, np.inf)
        order = rng.permutation(len(score))
        return cls(found, score, order[np.argsort(score[order], kind="stable")])


def _test(
    law: Law,
    ranked: _Ranked,
    where: tuple[ProblemSize, Space | None],
    facts: Mapping[str, Scalar],
    rng: np.random.Generator,
) -> list[Configuration]:
    found, places = ranked.found, ranked.places
    problem, pool = where
    match meaning(law).test:
        case EffectTest(region):
            mask = found.at(problem).holds(region, 0, facts)
            inside = [int(index) for index in places if mask[index]]
            fast = inside[: CHALLENGERS - RANDOM_CHALLENGERS]
            rest = inside[len(fast) :]
            drawn = [rest[int(i)] for i in rng.permutation(len(rest))[:RANDOM_CHALLENGERS]]
            own = [found.space.config(index) for index in [*fast, *drawn]]
            return [*own, *_strangers(region, (problem, pool), facts, rng)]
        case SettingTest(setting, over):
            has = found.having(setting)[places]
            others = np.logical_or.reduce([found.having(other) for other in over])[places] & ~has if over else ~has
            tested = [*places[has][: MIN_TESTED + 1], *places[others][: MIN_TESTED + 1]]
            return [found.space.config(int(index)) for index in tested]
        case AxisTest(name, values):
            contexts = found.matched(name, [found.parameters[name].index(value) for value in values])
            best = np.argsort(ranked.score[contexts].min(axis=1), kind="stable")[: MIN_TIED + 1]
            return [found.space.config(int(index)) for context in contexts[best] for index in context]
    return []


def _strangers(
    region: Expression,
    where: tuple[ProblemSize, Space | None],
    facts: Mapping[str, Scalar],
    rng: np.random.Generator,
) -> list[Configuration]:
    """Configurations of the region that the run which suggested it never tried."""
    problem, pool = where
    if pool is None:
        return []
    inside = np.flatnonzero(TrialTable.untried(pool, (problem,)).holds(region, 0, facts))
    return [pool.config(int(index)) for index in rng.permutation(inside)[:RANDOM_CHALLENGERS]]
