"""Two laws that cannot both be followed: one prefers what the other avoids, or together they leave nothing to run.

Only what the files themselves decide counts: a removal that waits for a compiled feature, or a condition that no named
problem size decides, is no conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import combinations, combinations_with_replacement, product
from math import prod
from typing import TYPE_CHECKING

from msgspec.structs import replace

from spak.kg.expression import Expression, parse
from spak.kg.law.kinds import meaning
from spak.kg.law.power import DEAD
from spak.kg.law.scope import Match, Matcher, Question, inside, reduced
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Law, Status
from spak.kg.model.op import Op
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Taxonomy

if TYPE_CHECKING:
    from spak.kg.space.combinations import Combinations

MAX_COMBINATIONS = 20_000
"""Settings tried when asking whether two laws leave any; two laws together name few parameters."""

MAX_PAIRS = 1000
"""Pairs of removing laws compared in full; see `Conflicts._crowding`."""


@dataclass(frozen=True, order=True)
class Conflict:
    """Two laws that contradict each other.

    Attributes:
        laws: Their ids; a preferring law stands first.
        problem: The problem size (a name of the op's `problems`, or `default`) where they do.
    """

    laws: tuple[str, str]
    reason: str
    problem: str


@dataclass(frozen=True)
class Hit:
    """One law, how it matched, and what the layer is called that it lies in; empty for the root itself."""

    law: Law
    match: Match
    layer: str = ""


@dataclass(frozen=True)
class Dispute:
    """Two laws that answer one question and contradict each other; the `nearer` wins, None if neither overrides the other."""

    laws: tuple[str, str]
    reason: str
    nearer: str | None


def answering(store: Store, question: Question) -> tuple[list[Hit], tuple[Dispute, ...]]:
    """Every law that answers `question`, those that a nearer one overrides marked, and what is disputed among them.

    Laws of relatives and laws that nobody follows dispute nothing.

    Raises:
        ToolchainError: If a toolchain cannot be read.
    """
    matcher = Matcher(store, question)
    matched = ((law, matcher.match(law)) for law in store.about(matcher.ops))
    hits = [Hit(law, match, store.layer_of(law.id)) for law, match in matched if match is not None]
    disputes = disputed(store, matcher.known, [hit for hit in hits if may_dispute(hit.match, hit.law.status)])
    return list(with_losers(hits, disputes)), disputes


def may_dispute(match: Match, status: Status) -> bool:
    """Whether a law of that status that matches so can contradict another."""
    return match.hw != "transferred" and status not in DEAD


def disputed(store: Store, known: Mapping[str, Scalar], hits: Sequence[Hit]) -> tuple[Dispute, ...]:
    """What is disputed among `hits` where `known` holds."""
    here = {hit.law.id: hit for hit in hits}
    found = Conflicts(store, known).contradictions([hit.law for hit in hits])
    return tuple(Dispute(c.laws, c.reason, _nearer(*(here[law] for law in c.laws))) for c in found)


def with_losers(hits: Iterable[Hit], disputes: Sequence[Dispute]) -> Iterator[Hit]:
    """`hits`, those marked that a nearer law overrides."""
    losers = {law: one.nearer for one in disputes if one.nearer is not None for law in one.laws if law != one.nearer}
    for hit in hits:
        nearer = losers.get(hit.law.id)
        yield hit if nearer is None else Hit(hit.law, replace(hit.match, overridden_by=nearer), hit.layer)


def _nearer(one: Hit, other: Hit) -> str | None:
    """The law that overrides the other.

    None overrides a law about safety, and a law about a kind of the op none that is about the op.
    """
    near, far = sorted((one, other), key=lambda hit: hit.match.distance)
    if near.match.distance == far.match.distance or meaning(far.law).is_safety:
        return None
    return near.law.id if near.match.is_about_op or not far.match.is_about_op else None


class Conflicts:
    """Finds conflicts between laws of one store; what both sides need is worked out once."""

    def __init__(self, store: Store, known: Mapping[str, Scalar] | None = None) -> None:
        """Keep `store`'s taxonomies, and what is known of the problem; the rest is as in each named problem size."""
        self._store = store
        self._known = known or {}
        self._hardware_above = cache(Taxonomy("hardware", store.hardware).ancestors)
        self._ops_above = cache(Taxonomy("op", store.ops).ancestors)
        self._facts = cache(lambda hw: {f"hw.{name}": value for name, value in hardware_facts(store, hw).items()})
        self._space_of = cache(lambda op, hw: CommonGround(store.ops[op], hw, self._facts(hw), self._known))
        self._left: dict[tuple[str, str, str], list[tuple[Expression | bool, list[str]]]] = {}

    def all(self) -> list[Conflict]:
        """Every conflict between laws that somebody may follow, sorted."""
        living = [law for law in self._store.laws.values() if law.status not in DEAD]
        removing = [law for law in living if meaning(law).removal is not None]
        crowded = [(one, other, self._space(one, other)) for one, other in self._crowding(removing)]
        emptied = (_nothing_left(one, other, space) for one, other, space in crowded if space is not None)
        return sorted([*self.contradictions(living), *filter(None, emptied)])

    def contradictions(self, laws: Sequence[Law]) -> Iterator[Conflict]:
        """The conflicts between laws of `laws` that prefer a setting and laws that remove it.

        Pairs whose expressions cannot meet are left out first, by distinct claim, so that thousands of laws do not make
        millions of judgements.
        """
        removing: dict[str, list[Law]] = {}
        for law in laws:
            if (removal := meaning(law).removal) is not None:
                removing.setdefault(removal.text, []).append(law)
        tunable = {text: parse(text).all_names & self._parameters for text in removing}
        meetings: dict[tuple[tuple[str, Scalar], ...], list[str]] = {}
        for law in laws:
            settings = meaning(law).preferred
            key = tuple(settings.items())
            if settings and key not in meetings:
                close = (text for text, names in tunable.items() if _may_decide(text, names, settings))
                meetings[key] = [text for text in close if reduced(text, settings) is not False]
            for other in (other for text in meetings.get(key, ()) for other in removing[text]):
                space = self._space(law, other)
                if space is not None and (found := self._preferred_and_removed(law, other, space)) is not None:
                    yield found

    @cached_property
    def _parameters(self) -> frozenset[str]:
        """Every tunable parameter of every op."""
        return frozenset(name for op in self._store.ops.values() for name in op.parameters)

    def _crowding(self, removing: Sequence[Law]) -> Iterator[tuple[Law, Law]]:
        """Pairs of removing laws that may together leave nothing: those that remove every probe of some problem size.

        Probes are a few configurations of an op; looking at them first keeps thousands of laws from being compared
        in pairs. At most MAX_PAIRS pairs come back: a folder with more has other worries.
        """
        seen: set[tuple[str, str]] = set()
        for op in self._store.ops.values():
            if not op.parameters:
                continue
            spoken = [law for law in removing if law.scope.op in self._ops_above(op.id)]
            space = CommonGround(op)
            probes = _Probes(space.probes())
            for problem in space.problems.values():
                by_mask: dict[int, list[Law]] = {}
                known = {hw: {**problem, **self._facts(hw)} for hw in {law.scope.hw for law in spoken}}
                for law in spoken:
                    by_mask.setdefault(probes.removed(law, known[law.scope.hw]), []).append(law)
                for one, other in _covering(by_mask, probes.all):
                    pair = (min(one.id, other.id), max(one.id, other.id))
                    if pair not in seen:
                        seen.add(pair)
                        yield one, other
                    if len(seen) == MAX_PAIRS:
                        return

    def _space(self, one: Law, other: Law) -> CommonGround | None:
        """The op both laws speak about, if their scopes overlap."""
        if one.scope.dtype and other.scope.dtype and not set(one.scope.dtype) & set(other.scope.dtype):
            return None
        hw = _lower(one.scope.hw, other.scope.hw, self._hardware_above)
        op = _lower(one.scope.op, other.scope.op, self._ops_above)
        return None if hw is None or op is None or op not in self._store.ops else self._space_of(op, hw)

    def _preferred_and_removed(self, one: Law, other: Law, space: CommonGround) -> Conflict | None:
        """A conflict if `other` removes what `one` prefers, at one problem size where it does."""
        prefer = meaning(one).preferred
        for left, names in self._left_by_problem(other, space):
            gone = left if isinstance(left, bool) else not left.names.isdisjoint(prefer) and left.partial(prefer)
            for name in names if gone is True else ():
                if inside(one.scope, space.problems[name]).surely:
                    shown = ", ".join(f"{key}={value}" for key, value in prefer.items())
                    return Conflict((one.id, other.id), f"{one.id} prefers {shown}, which {other.id} avoids", name)
        return None

    def _left_by_problem(self, law: Law, space: CommonGround) -> list[tuple[Expression | bool, list[str]]]:
        """What the removal of `law` still depends on, with the problem sizes where it does; most sizes share it."""
        key = (law.id, space.op.id, space.hw)
        if key not in self._left:
            groups: dict[int, tuple[Expression | bool, list[str]]] = {}
            for name, problem in space.problems.items():
                left = _left_of(law, problem) if inside(law.scope, problem).surely else False
                if left is not False:
                    groups.setdefault(id(left), (left, []))[1].append(name)
            self._left[key] = list(groups.values())
        return self._left[key]


def _lower(one: str, other: str, above: Callable[[str], Collection[str]]) -> str | None:
    """The one of two nodes that is the other or a kind of it; None for strangers."""
    return one if other in above(one) else other if one in above(other) else None


def _may_decide(text: str, tunable: frozenset[str], settings: Mapping[str, Scalar]) -> bool:
    """Whether `settings` may be enough for `text`: of what only `and` joins, every parameter has to be known."""
    return tunable <= settings.keys() or " or " in text or "not " in text


class _Probes:
    """A few configurations of an op; what a law removes of them is worked out once for what its expression names."""

    def __init__(self, configurations: Sequence[Mapping[str, Scalar]]) -> None:
        self._configurations = configurations
        self._removed: dict[tuple[str, tuple[Scalar | None, ...]], int] = {}
        self.all = (1 << len(configurations)) - 1

    def removed(self, law: Law, known: Mapping[str, Scalar]) -> int:
        """A bit for each configuration that `law` surely removes where `known` holds."""
        removal = meaning(law).removal
        if removal is None or not inside(law.scope, known).surely:
            return 0
        key = (removal.text, tuple(known.get(name) for name in sorted(removal.all_names)))
        if key not in self._removed:
            gone = (removal.partial({**known, **one}) is True for one in self._configurations)
            self._removed[key] = sum(1 << place for place, is_gone in enumerate(gone) if is_gone)
        return self._removed[key]


def _covering(by_mask: Mapping[int, Sequence[Law]], full: int) -> Iterator[tuple[Law, Law]]:
    """Pairs of laws whose masks together have every bit of `full`."""
    for one, other in combinations_with_replacement(sorted(by_mask), 2):
        if one | other == full:
            yield from combinations(by_mask[one], 2) if one == other else product(by_mask[one], by_mask[other])


@dataclass(frozen=True)
class CommonGround:
    """The part of an op that two laws can be compared on.

    Attributes:
        hw: Id of the hardware that both speak about; empty where no facts are asked for.
        facts: `hw.<fact>` -> value, of that hardware.
        known: Values by name that hold at every problem size.
    """

    op: Op
    hw: str = ""
    facts: Mapping[str, Scalar] = field(default_factory=dict)
    known: Mapping[str, Scalar] = field(default_factory=dict)

    @cached_property
    def problems(self) -> dict[str, dict[str, Scalar]]:
        """Named problem sizes, each complete and with the facts; `default` where the op names none."""
        defaults = {**self.facts, **{name: size.default for name, size in self.op.problem.items()}}
        named = self.op.problems or {"default": {}}
        return {name: {**defaults, **given, **self.known} for name, given in named.items()}

    def probes(self) -> list[dict[str, Scalar]]:
        """The default configuration and those of the first, second, ... value of every parameter; without infeasible ones."""
        parameters = self.op.parameters
        longest = max(len(parameter.values) for parameter in parameters.values())
        rows = [{name: p.values[i % len(p.values)] for name, p in parameters.items()} for i in range(longest)]
        probes = [{name: p.default for name, p in parameters.items()}, *rows]
        conditions = [parse(condition.require) for condition in self.op.conditions]
        return [probe for probe in probes if all(condition.partial(probe) is not False for condition in conditions)]

    def settings(self, names: Collection[str]) -> Combinations | None:
        """Every combination of values of the op's parameters among `names`, feasible or not; None if there are too many."""
        from spak.kg.space.combinations import Combinations  # noqa: PLC0415 - NumPy only where settings are compared

        varied = {name: parameter.values for name, parameter in self.op.parameters.items() if name in names}
        if prod(map(len, varied.values())) > MAX_COMBINATIONS:
            return None
        rest = {name: parameter.default for name, parameter in self.op.parameters.items() if name not in varied}
        return Combinations(varied, rest)


def _left_of(law: Law, values: Mapping[str, Scalar]) -> Expression | bool:
    """What the removal of `law` still depends on when these values are known."""
    removal = meaning(law).removal
    return False if removal is None else reduced(removal.text, values)


def _nothing_left(one: Law, other: Law, space: CommonGround) -> Conflict | None:
    """A conflict if two removing laws leave no setting of the parameters that they and the op's conditions name."""
    conditions = [parse(condition.require) for condition in space.op.conditions]
    removals = [removal for law in (one, other) if (removal := meaning(law).removal) is not None]
    named = frozenset().union(*(removal.names for removal in removals))
    named |= {name for condition in conditions if condition.names & named for name in condition.names}
    settings = space.settings(named)
    if settings is None:
        return None
    asked = sorted(frozenset().union(*(expression.all_names for expression in (*conditions, *removals))))
    left: dict[tuple[tuple[str, Scalar], ...], bool | None] = {}  # by what they name of a problem size: most share it
    for name, problem in space.problems.items():
        if not all(inside(law.scope, problem).surely for law in (one, other)):
            continue
        known = tuple((value, problem[value]) for value in asked if value in problem)
        if known not in left:
            left[known] = settings.any_left(conditions, removals, dict(known))
        if left[known] is False:
            first, second = sorted((one.id, other.id))
            reason = f"{first} and {second} together leave no configuration of {space.op.id}"
            return Conflict((first, second), reason, name)
    return None
