"""What a search of many targets learns: some targets suggest, the others test, on problem sizes and devices it was not found on.

Which targets suggest is drawn before anything is looked at: a third of the problem sizes, on a third of each family's
devices. All others are tests, by what was tried there and by trials made for it. Mining, judgement and status are those of
recorded runs (`spak.tuner.learn.records`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from spak.kg.evidence.table import from_runs
from spak.kg.evidence.witness import RunWitness
from spak.kg.files.loader import Laws
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.model.run import Candidate, Run, Trial
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.space import Space
from spak.tuner.backend.base import Backend, Request
from spak.tuner.chance import Purpose, stream
from spak.tuner.knowledge.source import Whereabouts, whereabouts
from spak.tuner.learn.confirm.cover import implies
from spak.tuner.learn.confirm.plan import HeldOut, plan, trial_key
from spak.tuner.learn.lesson import Learned, confirmation_run, in_time
from spak.tuner.learn.records import (
    MIN_SPLIT_SIZES,
    device_families,
    drawn_third,
    group_families,
    hardware_groups,
    judged_candidates,
)
from spak.tuner.learn.worth import weighed

Keeping = Mapping[Whereabouts, Callable[[Trial], None]]
"""Told each finished test of a target before the next begins."""


@dataclass(frozen=True)
class AcrossLesson:
    """What a search of many targets is to learn from.

    Attributes:
        budget: Most trials spent on testing candidates, of all devices together.
        seed: Draws who suggests, and the random challengers.
        pool: Feasible configurations, some of which no trial has seen.
        remembered: Tests of an interrupted search by target, not made again.
        seconds_left: Seconds that the tests may still take, at each call.
    """

    laws: Laws
    op: Op
    budget: int
    seed: int
    pool: Space | None = None
    remembered: Mapping[Whereabouts, Sequence[Trial]] = field(default_factory=dict)
    seconds_left: Callable[[], float] = lambda: math.inf


@dataclass(frozen=True)
class Across:
    """What came of it.

    Attributes:
        suggesting: Ids of the runs that the candidates come from; none where too little was searched to test anything.
        candidates: Every candidate that was tested, with its outcome.
        kept: Laws that are confirmed and worth a file, with all their evidence.
        runs: Every run of the search, with what it suggested.
        tests: A run for each device that tests were made on.
    """

    suggesting: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    kept: tuple[Law, ...]
    runs: tuple[Run, ...]
    tests: tuple[Run, ...]


def learn_across(
    runs: Sequence[Run], lesson: AcrossLesson, backends: Mapping[str, Backend], keeping: Keeping
) -> Across:
    """Mine what some of `runs` suggest and test it on the targets of the others, with the `backends` of their devices."""
    laws = lesson.laws
    told = [RunWitness(run, laws) for run in runs if any(trial.invalidity == "correct" for trial in run.trials)]
    mining = suggesting_targets(laws, told, lesson.seed)
    testing = [one for one in told if one not in mining]
    tester = _Tester(lesson, backends, keeping)
    found: list[tuple[Candidate, list[RunWitness]]] = []
    kept: list[Law] = []
    for hw, mine, others in hardware_groups(laws, mining, testing):
        families = group_families(laws, hw, (mine, others))
        news = [family for family in families if not any(implies(wider, family[0], laws) for wider in kept)]
        made = tester.test([family[0] for family in news], mine, others)
        for candidate, law in judged_candidates(news, mine, [*others, *made]):
            found.append((candidate, mine))
            kept += [] if law is None else [law]
    tests = tuple(one.run for one in tester.witnesses())
    candidates, worthy = weighed((candidate for candidate, _ in found), kept, laws, (*runs, *tests))
    suggested: dict[str, list[Candidate]] = {}
    for candidate, (_, mine) in zip(candidates, found, strict=True):
        for witness in mine:
            suggested.setdefault(witness.run.id, []).append(candidate)
    noted = tuple(msgspec.structs.replace(run, suggested=tuple(suggested.get(run.id, ()))) for run in runs)
    return Across(tuple(sorted(suggested)), candidates, worthy, noted, tests)


def suggesting_targets(laws: Laws, told: Sequence[RunWitness], seed: int) -> list[RunWitness]:
    """The targets that suggest: drawn problem sizes on drawn devices; all sizes of drawn devices where there are few sizes."""
    sizes = sorted({one.problems for one in told})
    if len(sizes) >= MIN_SPLIT_SIZES:
        drawn = set(drawn_third(sizes, seed, 0))
        told = [one for one in told if one.problems in drawn]
    families = device_families(Taxonomy("hardware", laws.hardware), {one.run.hw for one in told})
    chosen = {hw for number, family in enumerate(families, 1) for hw in drawn_third(family, seed, number)}
    return [one for one in told if one.run.hw in chosen]


@dataclass
class _Tester:
    """Makes tests, and keeps those of each device as a run."""

    lesson: AcrossLesson
    backends: Mapping[str, Backend]
    keeping: Keeping
    trials: dict[str, list[Trial]] = field(default_factory=dict)
    frames: dict[str, Run] = field(default_factory=dict)

    def test(self, widest: Sequence[Law], mine: Sequence[RunWitness], others: Sequence[RunWitness]) -> list[RunWitness]:
        """Every device's share of the budget that is left goes to tests on its targets; the runs of the tests so far."""
        if not widest:
            return self.witnesses()
        devices = sorted({one.run.hw for one in others})
        spent = sum(map(len, self.trials.values()))
        table = from_runs([one.run for one in mine], objective=self._objective(devices))
        for number, hw in enumerate(devices):
            there = [one.run for one in others if one.run.hw == hw]
            share = (self.lesson.budget - spent) // len(devices)
            held = HeldOut(tuple(run.problem for run in there), share, self.lesson.pool)
            rng = stream(self.lesson.seed, Purpose.TESTS, number)
            asked, _ = plan(widest, table, held, hardware_facts(self.lesson.laws, hw), rng)
            self.frames.setdefault(hw, there[0])
            self.trials.setdefault(hw, []).extend(self._made(hw, asked))
        return [one for one in self.witnesses() if one.run.hw in devices]

    def witnesses(self) -> list[RunWitness]:
        """A run for each device with tests, to be asked what they say."""
        made = []
        for hw, trials in self.trials.items():
            if trials:
                first = self.frames[hw]
                run = confirmation_run(first, Learned((), tuple(trials), ()))
                note = "tests what other targets of the same search suggested, on this device"
                made.append(RunWitness(msgspec.structs.replace(run, note=note), self.lesson.laws))
        return made

    def _objective(self, devices: Sequence[str]) -> str:
        return self.backends[devices[0]].provenance().objective

    def _made(self, hw: str, asked: Sequence[Request]) -> Iterator[Trial]:
        """Trials of each problem size together; what is remembered, or was tested for a law before, is not made again."""
        done = {trial_key(trial) for trial in self.trials.get(hw, ())}
        known = {
            trial_key(trial): trial
            for where, trials in self.lesson.remembered.items()
            if where[0] == hw
            for trial in trials
        }
        fresh = [request for request in asked if trial_key(request) not in done]
        yield from (known[trial_key(request)] for request in fresh if trial_key(request) in known)
        left = [request for request in fresh if trial_key(request) not in known]
        problems: dict[str, list[Request]] = {}
        for request in left:
            problems.setdefault(trial_key(request)[1], []).append(request)
        for same in in_time(list(problems.values()), self.backends[hw], self.lesson.seconds_left):
            for request, trial in self.backends[hw].evaluate(same):
                self.keeping[whereabouts(hw, request.problem)](trial)
                yield trial
