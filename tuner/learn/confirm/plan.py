"""What to measure at held-out problem sizes so that each frozen candidate gets a fair trial inside a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spak.kg.model.base import Configuration, Problem, Scalar
from spak.kg.model.law import IndifferentLaw, Law, NegativeLaw, PositiveLaw
from spak.tuner.learn.confirm.judge import MIN_CONTEXTS, MIN_TESTED, in_scope, region_of
from spak.tuner.learn.mining.indifferent import matched
from spak.tuner.learn.mining.table import TrialTable

REFERENCES = 3
"""Best configurations of the found sizes, measured beside every candidate: the best elsewhere may not be best here."""

CHALLENGERS = MIN_TESTED + 2
"""Configurations of a region that try to refute it: the fastest known ones, and the last ones drawn at random."""

RANDOM_CHALLENGERS = 2
"""How many of the challengers are drawn at random, because the fastest known ones are not all there is."""


@dataclass(frozen=True)
class Ask:
    """One measurement wanted: a configuration at a held-out problem size."""

    configuration: Configuration
    problem: Problem


@dataclass(frozen=True)
class HeldOut:
    """Where candidates are tested.

    Attributes:
        problems: Problem sizes no candidate was found on.
        pool: Feasible configurations never tried, from which random challengers are drawn.
        budget: Most measurements.
    """

    problems: tuple[Problem, ...]
    budget: int
    pool: tuple[Configuration, ...] = ()


def plan(
    laws: Sequence[Law], found: TrialTable, held_out: HeldOut, facts: Mapping[str, Scalar], rng: np.random.Generator
) -> tuple[list[Ask], tuple[Law, ...]]:
    """Measurements in the order to make them, and the candidates they cover; the rest stays untested.

    Whole candidates are planned one after another: half a test confirms nothing.

    Args:
        laws: Frozen candidates, most general first.
        found: The table they were mined from.
        held_out: Where to test, and how much may be spent.
        facts: Hardware facts without `hw.`.
        rng: Draws the random challengers.
    """
    asked: dict[tuple[str, str], Ask] = {}
    covered: list[Law] = []
    score = _scores(found)
    references = [found.configuration(int(index)) for index in np.argsort(score, kind="stable")[:REFERENCES]]
    for law in laws:
        wanted: dict[tuple[str, str], Ask] = {}
        for problem in held_out.problems:
            if not _speaks(law, found, problem, facts):
                continue
            test = _test(law, (found, score), (problem, held_out.pool), facts, rng)
            for configuration in [*references, *test] if test else []:
                ask = Ask(configuration, problem)
                key = (repr(sorted(configuration.items())), repr(sorted(problem.items())))
                if key not in asked:
                    wanted[key] = ask
        if not wanted or len(asked) + len(wanted) > held_out.budget:
            continue
        asked |= wanted
        covered.append(law)
    return list(asked.values()), tuple(covered)


def _scores(found: TrialTable) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(N,): geometric mean slowdown over the problem sizes a configuration was timed at; infinite where it never was."""
    low, high = found.slowdown_bounds()
    logs = np.log(np.sqrt(low * high))
    counts = np.isfinite(logs).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = np.nansum(logs, axis=0) / np.maximum(counts, 1)
    return np.where(counts > 0, mean, np.inf)


def _speaks(law: Law, found: TrialTable, problem: Problem, facts: Mapping[str, Scalar]) -> bool:
    return in_scope(law, _at(found, problem), facts)[0]


def _at(found: TrialTable, problem: Problem) -> TrialTable:
    """The found configurations as if they stood at `problem`: for expressions over parameters and problem sizes."""
    one = found.only([0])
    return TrialTable(
        parameters=one.parameters,
        codes=one.codes,
        problems=(dict(problem),),
        time=one.time,
        low=one.low,
        high=one.high,
        failed=one.failed,
        features={name: np.fmax.reduce(values, axis=0, keepdims=True) for name, values in found.features.items()},
    )


def _test(
    law: Law,
    known: tuple[TrialTable, np.ndarray[tuple[int], np.dtype[np.float64]]],
    where: tuple[Problem, tuple[Configuration, ...]],
    facts: Mapping[str, Scalar],
    rng: np.random.Generator,
) -> list[Configuration]:
    found, score = known
    problem, pool = where
    ranked = np.argsort(score, kind="stable")
    if isinstance(law, NegativeLaw):
        mask = region_of(law.claim.avoid, _at(found, problem), 0, facts)
        inside = [int(index) for index in ranked if mask[index]]
        fast = inside[: CHALLENGERS - RANDOM_CHALLENGERS]
        rest = inside[len(fast) :]
        drawn = rng.permutation(len(rest))[:RANDOM_CHALLENGERS]
        chosen: list[Configuration] = [found.configuration(index) for index in [*fast, *(rest[int(i)] for i in drawn)]]
        return [*chosen, *_strangers(law, found, (problem, pool), facts, rng)]
    if isinstance(law, PositiveLaw):
        has = [all(found.configuration(int(i)).get(n) == v for n, v in law.claim.prefer.items()) for i in ranked]
        inside = [int(i) for i, fits in zip(ranked, has, strict=True) if fits][: MIN_TESTED + 1]
        outside = [int(i) for i, fits in zip(ranked, has, strict=True) if not fits][: MIN_TESTED + 1]
        return [found.configuration(index) for index in [*inside, *outside]]
    if isinstance(law, IndifferentLaw):
        values = found.parameters[law.claim.over]
        contexts, _ = matched(found, law.claim.over, [values.index(value) for value in law.claim.values])
        best = np.argsort(score[contexts].min(axis=1), kind="stable")[: MIN_CONTEXTS + 1]
        return [found.configuration(int(index)) for context in contexts[best] for index in context]
    return []


def _strangers(
    law: NegativeLaw,
    found: TrialTable,
    where: tuple[Problem, tuple[Configuration, ...]],
    facts: Mapping[str, Scalar],
    rng: np.random.Generator,
) -> list[Configuration]:
    """Configurations of the region that the run which suggested it never tried."""
    problem, pool = where
    if not pool:
        return []
    names = tuple(found.parameters)
    values = {name: tuple(dict.fromkeys(c[name] for c in pool)) for name in names}
    codes = np.array([[values[name].index(c[name]) for name in names] for c in pool], dtype=np.int16)
    empty = np.full((1, len(pool)), np.nan)
    table = TrialTable(values, codes, (dict(problem),), empty, empty, empty, np.zeros((1, len(pool)), dtype=bool), {})
    inside = np.flatnonzero(region_of(law.claim.avoid, table, 0, facts))
    return [pool[int(index)] for index in rng.permutation(inside)[:RANDOM_CHALLENGERS]]
