"""Searches of one sweep under one plant with one strategy: how soon each arrives, and which laws it found out on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

import msgspec

from bench.planted.plants import Garden, Plant
from bench.planted.sweeps import Sweep, store, sweep
from spak.kg.law.kinds import meaning
from spak.kg.model.cohort import HeldCohort, cohorts, links_of
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Law, Related
from spak.kg.model.op import Op
from spak.kg.model.run import Trial
from spak.kg.model.store import SupersededLaw
from spak.kg.model.system import System
from spak.tuner.backend.replay import ReplayBackend
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.loop import Hooks, run_search
from spak.tuner.engine.searcher import Result, RunningSearch
from spak.tuner.knowledge.restriction import Context, Restriction, restrict
from spak.tuner.strategy import registry

TOOLCHAIN = "tileiras 13.4.92"
AUDIT = 0.05
"""The default share of audits."""

WITHOUT = "no laws"
"""Kind of the cells that say what the strategy does on its own."""

WATCHED = 0.5
"""Share of the space that a search under true laws goes on for: by then the audits are spent."""


@dataclass(frozen=True)
class Root:
    """The packaged root with other laws in it."""

    laws: Mapping[str, Law]
    hardware: Mapping[str, Hardware]
    ops: Mapping[str, Op]
    systems: Mapping[str, System] = field(default_factory=dict)
    superseded: Sequence[SupersededLaw] = ()

    def about(self, ops: Collection[str], /) -> list[Law]:
        """The laws stated for one of `ops`."""
        return [law for op in ops for law in self.laws.values() if law.scope.op == op]

    @property
    def links(self) -> dict[str, tuple[Related, ...]]:
        """What laws say of others."""
        return links_of(self.laws.values())

    def cohorts(self, ops: Collection[str], /) -> list[HeldCohort]:
        """The same laws by what they share."""
        return cohorts(self.about(ops))

    def layer_of(self, _law: str, /) -> str:
        """It is one folder."""
        return ""


@dataclass(frozen=True)
class Watched(Restriction):
    """A restriction that says which laws a search contests, as it does."""

    told: Callable[[frozenset[str]], None] = lambda _: None

    def contest(self, laws: Sequence[str]) -> Restriction:
        """The same as without anybody watching."""
        self.told(self.contested | set(laws))
        return super().contest(laws)


@dataclass
class Course:
    """One search as it goes: what it has spent, whether it has arrived, and what it contested.

    Attributes:
        goal: Time at which it has arrived.
        false: Laws that it should contest.
        least: Evaluations that it goes on for in any case.
        evaluated: Trials that were evaluated.
        dropped: Trials that were compiled and by a law not evaluated.
        arrived: Evaluations until it arrived; None if it has not.
        found_out: Evaluations until it had contested all of `false`; None if it has not.
    """

    goal: float
    false: frozenset[str]
    least: int = 0
    evaluated: int = 0
    dropped: int = 0
    arrived: int | None = None
    found_out: int | None = None

    def __post_init__(self) -> None:
        if not self.false:
            self.found_out = 0

    def trial(self, trial: Trial) -> None:
        """Take in a trial; once there is nothing more to see, the search ends."""
        if self.arrived is not None and self.found_out is not None and self.evaluated >= self.least:
            raise KeyboardInterrupt
        if trial.invalidity == "constraints":
            self.dropped += 1
            return
        self.evaluated += 1
        time = trial.value("time")
        if self.arrived is None and time is not None and time <= self.goal:
            self.arrived = self.evaluated

    def contest(self, laws: frozenset[str]) -> None:
        """Take in which laws are contested so far."""
        if self.found_out is None and self.false <= laws:
            self.found_out = self.evaluated


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What the searches of one sweep under one plant with one strategy came to, one entry a seed in each tuple.

    Attributes:
        audit: Share of the trials for audits.
        laws, false: How many are planted, and how many of them the sweep refutes.
        space: Configurations.
        at_random: Evaluations that random search expects to need to the goal.
        arrived: Evaluations to the goal; None where it was never reached.
        found_out: Evaluations until every false law was contested; None where one never was.
        contested: False laws that were contested in the end.
        wronged: Other laws that were.
        dropped: Trials that were compiled and by a law not evaluated.
        early: Whether it ended by itself before all was evaluated.
    """

    sweep: str
    kind: str
    what: str
    strategy: str
    audit: float
    laws: int
    false: int
    space: int
    at_random: float
    arrived: tuple[int | None, ...]
    found_out: tuple[int | None, ...]
    contested: tuple[int, ...]
    wronged: tuple[int, ...]
    dropped: tuple[int, ...]
    early: tuple[bool, ...]


@dataclass(frozen=True)
class Task:
    """One cell to be.

    Attributes:
        plant: Place in the plants of the sweep, false ones or true ones; -1 for no laws.
    """

    sweep: str
    is_false: bool
    plant: int
    strategy: str
    seeds: int
    audit: float = AUDIT


@cache
def plants(sweep_id: str, *, are_false: bool) -> list[Plant]:
    """All plants of a sweep, made once a process."""
    garden = Garden(sweep(sweep_id))
    return garden.false() if are_false else garden.true()


def under(one: Sweep, laws: Sequence[Law]) -> Restriction:
    """What `laws` alone do to the sweep's space."""
    root = Root({law.id: law for law in laws}, store().hardware, store().ops)
    return restrict(one.space, root, Context(one.run.hw, TOOLCHAIN, transfer=False))


def planted(one: Sweep, laws: Sequence[Law]) -> Restriction:
    """The same of planted laws.

    Raises:
        AssertionError: If one of them has not all the power that its kind can have: it would show nothing.
    """
    found = under(one, laws)
    for rule in found.rules:
        if rule.power is not meaning(rule.law).power:
            raise AssertionError(f"{one.run.id}: {meaning(rule.law).text} only {rule.power.value}: {rule.reason}")
    return found


def cell(task: Task) -> Cell:
    """Make the searches of one cell."""
    one = sweep(task.sweep)
    plant = Plant(WITHOUT, (), frozenset())
    if task.plant >= 0:
        plant = plants(task.sweep, are_false=task.is_false)[task.plant]
    restriction = planted(one, plant.laws)
    least = round(WATCHED * len(one.space)) if plant.laws and not plant.false and task.audit else 0
    courses, contested, early = [], [], []
    for seed in range(task.seeds):
        course = Course(one.goal, plant.false, least)
        result = searched(one, restriction, Manner(task.strategy, seed, task.audit), course)
        courses.append(course)
        contested.append(result.restriction.contested)
        early.append(not result.interrupted and course.evaluated < len(one.space))
    return Cell(
        sweep=task.sweep,
        kind=plant.kind if plant.false or not plant.laws else f"true {plant.kind}",
        what=plant.what,
        strategy=task.strategy,
        audit=task.audit,
        laws=len(plant.laws),
        false=len(plant.false),
        space=len(one.space),
        at_random=one.at_random,
        arrived=tuple(course.arrived for course in courses),
        found_out=tuple(course.found_out for course in courses),
        contested=tuple(len(laws & plant.false) for laws in contested),
        wronged=tuple(len(laws - plant.false) for laws in contested),
        dropped=tuple(course.dropped for course in courses),
        early=tuple(early),
    )


@dataclass(frozen=True)
class Manner:
    """How one search is made."""

    strategy: str
    seed: int
    audit: float = AUDIT


def searched(one: Sweep, restriction: Restriction, manner: Manner, course: Course) -> Result:
    """One search through the live loop, which ends when `course` has seen enough."""
    watched = Watched(restriction.space, restriction.rules, restriction.contested, told=course.contest)
    budget = Budget(len(one.space), None, manner.audit)
    search = RunningSearch(watched, partial(registry.make, manner.strategy), budget, manner.seed)
    return replayed(one.run.id, search, course.trial)


def replayed(sweep_id: str, search: RunningSearch, keep: Callable[[Trial], None]) -> Result:
    """A search of one sweep through the live loop; `keep` is told each trial and may interrupt it."""
    return run_search(search, _backend(sweep_id), Hooks(lambda: 0.0, keep, lambda *_: None))


@cache
def _backend(sweep_id: str) -> ReplayBackend:
    return ReplayBackend(sweep(sweep_id).recording)
