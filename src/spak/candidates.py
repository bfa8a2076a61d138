"""What the laws and recorded runs make of configurations that somebody else came up with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spak.kg.errors import InfeasibleError
from spak.kg.expression import Expression, parse
from spak.kg.law.conflict import Hit, answering
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import Power
from spak.kg.law.power import SearchPlace, bearing
from spak.kg.law.scope import Question
from spak.kg.model.base import Configuration, Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.op import Condition
from spak.kg.space.space import Space
from spak.tunable import Tunable
from spak.tuner.first import ranked
from spak.tuner.knowledge.restriction import Context, Restriction, restrict


@dataclass(frozen=True)
class LeftOut:
    """A configuration that is not worth trying, and why.

    Attributes:
        configuration: Complete.
        laws: Ids of the laws that remove it; empty if it is not feasible.
        reasons: In words: the claims of those laws, or the conditions of the op that it breaks.
        names: For each reason the parameters that it goes by; what it says of others is nothing.
    """

    configuration: Configuration
    laws: tuple[str, ...]
    reasons: tuple[str, ...]
    names: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True)
class Filtered:
    """Configurations sorted into those worth trying and the rest.

    Attributes:
        kept: In the order given; never empty.
        left_out: In the order given.
        spared: The one that is kept although laws remove it, because they remove all; None if they do not.
    """

    kept: tuple[Configuration, ...]
    left_out: tuple[LeftOut, ...]
    spared: Configuration | None = None


@dataclass(frozen=True)
class Ranking:
    """Configurations in the order in which to try them.

    Attributes:
        order: Best first, of those that nothing tells apart the first given; those that laws remove last.
        sources: What the order comes from, and how much each counts: recorded runs by hardware and size, laws by id.
            Empty if nothing is known; the order is then the one given.
        num_removed: How many at the end of the order laws remove.
    """

    order: tuple[Configuration, ...]
    sources: tuple[tuple[str, float], ...]
    num_removed: int


def filtered(asked: Tunable, configurations: Sequence[Configuration], toolchain: str) -> Filtered:
    """`configurations` without those that are not feasible or that laws may remove.

    Raises:
        InfeasibleError: If none is feasible.
    """
    space, whole = asked.listed(configurations)
    restriction = restrict(space, asked.laws, Context(asked.hw, toolchain))
    places = space.indices(whole)
    broken = _broken(asked, space)
    feasible = [place for place, index in enumerate(places) if not broken[index]]
    if not feasible:
        raise InfeasibleError(f"none of the configurations is feasible: {_reason(broken[places[0]][0])}")
    left_out = {place: _infeasible(asked, whole[place], broken[i]) for place, i in enumerate(places) if broken[i]}
    left_out |= {
        place: _removed(restriction, asked, whole[place], int(places[place]))
        for place in feasible
        if restriction.removed[places[place]]
    }
    spared = None
    if len(left_out) == len(whole):
        spared = min(
            feasible, key=lambda place: (places[place] != space.default_index, len(left_out[place].laws), place)
        )
        del left_out[spared]
    return Filtered(
        kept=tuple(one for place, one in enumerate(whole) if place not in left_out),
        left_out=tuple(left_out[place] for place in sorted(left_out)),
        spared=None if spared is None else whole[spared],
    )


class Gate:
    """What may run of an op at one problem size: what is feasible and no law forbids. For a few; `filtered` takes many.

    What laws call a tie may run as well: it is as fast as what stands for it.
    """

    def __init__(self, asked: Tunable, toolchain: str) -> None:
        """Begin; no law is asked before a configuration is feasible."""
        facts = hardware_facts(asked.laws, asked.hw)
        self._known: dict[str, Scalar] = {f"hw.{name}": value for name, value in facts.items()} | dict(asked.size)
        self._conditions = [parse(condition.require) for condition in asked.op.conditions]
        self._question = Question(asked.hw, asked.op.id, asked.size, toolchain)
        self._laws, self._place = asked.laws, SearchPlace(asked.laws, asked.hw, toolchain)

    def admits(self, configuration: Configuration) -> bool:
        """Whether `configuration`, a complete one, may run."""
        values = {**self._known, **configuration}
        return all(condition.holds(values) for condition in self._conditions) and not any(
            removal.all_names <= values.keys()
            and removal.holds(values)
            and bearing(hit.law, self._place, hit.match).removes
            for hit, removal in self._removals
        )

    @cached_property
    def _removals(self) -> list[tuple[Hit, Expression]]:
        """The laws that speak of the op here and forbid something, and what."""
        hits = answering(self._laws, self._question)[0]
        forbidding = ((hit, meaning(hit.law).removal) for hit in hits)
        return [(hit, removal) for hit, removal in forbidding if removal is not None]


def _broken(asked: Tunable, space: Space) -> list[list[Condition]]:
    """For each configuration of `space` the conditions of its op that it breaks."""
    broken: list[list[Condition]] = [[] for _ in range(len(space))]
    for condition in asked.op.conditions:
        for index in np.flatnonzero(~space.holds(parse(condition.require))):
            broken[index].append(condition)
    return broken


def _reason(condition: Condition) -> str:
    return f"{condition.require}: {condition.because}"


def _infeasible(asked: Tunable, configuration: Configuration, broken: Sequence[Condition]) -> LeftOut:
    names = tuple(parse(condition.require).all_names & asked.op.parameters.keys() for condition in broken)
    return LeftOut(configuration, (), tuple(map(_reason, broken)), names)


def _removed(restriction: Restriction, asked: Tunable, configuration: Configuration, index: int) -> LeftOut:
    laws = [rule.law for rule in restriction.speaking_of(index) if rule.power is Power.REMOVE]
    names = tuple(meaning(law).names & asked.op.parameters.keys() for law in laws)
    return LeftOut(configuration, tuple(law.id for law in laws), tuple(law.title for law in laws), names)


def ranking(asked: Tunable, configurations: Sequence[Configuration], toolchain: str) -> Ranking:
    """`configurations` in the order in which to try them, by laws and recorded runs."""
    space, whole = asked.listed(configurations)
    found = ranked(asked.laws, space, Context(asked.hw, toolchain))
    rows, firsts = np.unique(space.indices(whole), return_index=True)
    given = np.zeros(len(space), np.int64)
    given[rows] = firsts
    is_removed = np.ones(len(space), np.bool_)
    is_removed[found.order] = False
    order = np.lexsort((given, found.standing, is_removed))
    return Ranking(
        order=tuple(space.config(int(row)) for row in order),
        sources=tuple(found.sources),
        num_removed=int(is_removed.sum()),
    )
