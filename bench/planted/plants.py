"""What is planted on a sweep: laws that its own trials refute, or bear out, by the judgement that the product uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise

import numpy as np
from msgspec.structs import replace

from bench.planted import statements
from bench.planted.sweeps import Sweep
from spak.kg.evidence.judge import judge
from spak.kg.evidence.table import Bools
from spak.kg.expression import parse
from spak.kg.law.kinds import meaning
from spak.kg.model.base import Scalar
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.law import EvidenceVerdict, Law

MANY = 10
"""Laws of the plant of many at once."""

BAND = 8
"""Registers on either side of the best's that a band removes."""

MAX_TEXT = 1000
"""Characters of an expression."""


@dataclass(frozen=True)
class Plant:
    """Laws that a search is put under.

    Attributes:
        kind: Its row in the table; the same word for laws that are false and for laws that are true.
        laws: All of them.
        false: Ids of those that the sweep's own trials refute.
    """

    kind: str
    laws: tuple[Law, ...]
    false: frozenset[str]

    @property
    def what(self) -> str:
        """The claims, as a person would write them."""
        return "; ".join(f"{meaning(law).verb} {meaning(law).text}" for law in self.laws)


@dataclass(frozen=True)
class _Predicate:
    """A region: its text, and (N,) where it is true."""

    text: str
    mask: Bools

    @property
    def count(self) -> int:
        return int(self.mask.sum())


class Garden:
    """Everything that can be planted on one sweep."""

    def __init__(self, sweep: Sweep) -> None:
        """Nothing is planted yet."""
        self.sweep, self.table = sweep, sweep.table
        self._time = self.table.time[0]
        self._order = np.argsort(np.where(np.isfinite(self._time), self._time, np.inf), kind="stable")
        self._good = self._time <= sweep.goal

    def false(self) -> list[Plant]:
        """One plant for each kind and variant that the sweep allows; each has a law that its trials refute."""
        single = [plant for kind, laws in self._liars() for plant in self._planted(kind, laws, "refutes")]
        return [*single, *self._together(single)]

    def true(self) -> list[Plant]:
        """The same for laws that the sweep's trials bear out."""
        single = [plant for kind, laws in self._honest() for plant in self._planted(kind, laws, "supports")]
        many = [law for plant in single for law in plant.laws][:MANY]
        return [*single, Plant("ten", _numbered(many), frozenset())]

    def verdict(self, law: Law) -> EvidenceVerdict:
        """What the sweep's own trials say of `law`.

        A region of everything is refuted by the best in it, though nothing is left to compare with.
        """
        removal = meaning(law).removal
        if removal is not None and self._holds(removal.text).all():
            return "refutes"
        return judge(law, self.table, min_problems=1).verdict

    def _planted(self, kind: str, laws: Sequence[Law], verdict: EvidenceVerdict) -> Iterator[Plant]:
        for law in laws:
            if self.verdict(law) != verdict:
                raise AssertionError(f"{self.sweep.run.id}: {kind}: {meaning(law).text}: {self.verdict(law)}")
            yield Plant(kind, (law,), frozenset({law.id} if verdict == "refutes" else ()))

    def _liars(self) -> Iterator[tuple[str, Sequence[Law]]]:
        """Kind and laws that are false each on its own."""
        regions = self._hiding()
        yield "region", self._avoid(_spread(regions, 3))
        yield "point", self._avoid([self._point(1), self._runners_up()])
        yield "off by one", self._avoid(self._off_by_one())
        yield "compiled", self._avoid([self._predicate("registers >= 1"), *_spread(self._thresholds(hides=True), 2)])
        yield "band", self._avoid([self._band()])
        yield "axis", self._axes("refutes")[:1]
        yield "invariant", self._require(_spread(regions, 2))
        yield "everything", self._avoid([self._everything()])
        yield "preference", self._preferences("refutes")[:1]

    def _honest(self) -> Iterator[tuple[str, Sequence[Law]]]:
        regions = self._slow(self._equalities)
        yield "region", self._avoid(_spread(regions, 3))
        yield "compiled", self._avoid(_spread(self._slow(self._thresholds(hides=False)), 2))
        yield "axis", self._axes("supports")[-1:]
        yield "invariant", self._require(_spread(regions, 2)[1:])
        yield "preference", self._preferences("supports")[-1:]

    def _together(self, single: Sequence[Plant]) -> Iterator[Plant]:
        """Plants of several laws."""
        name, (mine, *others) = self._widest_parameter
        yield self._several("pair", [self._law("avoid", f"{name} == {mine}"), self._law("avoid", f"{name} != {mine}")])
        requiring = [self._law("require", f"{name} == {value}") for value in (mine, others[0])]
        yield self._several("pair", requiring)
        op = self.sweep.op.id
        axes = [statements.ignore("planted", op, name, values) for name, values in self._varied.items()]
        yield self._several("axes", axes)
        mixed = [plant.laws[0] for plant in single if plant.kind != "everything" and "registers >= 1" not in plant.what]
        mixed.sort(key=lambda law: meaning(law).tag())  # kinds in turn, so that none is left out
        yield self._several("ten", mixed[:: max(1, len(mixed) // MANY)][:MANY])

    def _several(self, kind: str, laws: Sequence[Law]) -> Plant:
        numbered = _numbered(laws)
        false = frozenset(law.id for law in numbered if self.verdict(law) == "refutes")
        if not false:
            raise AssertionError(f"{self.sweep.run.id}: {kind}: nothing in it is false")
        return Plant(kind, numbered, false)

    @cached_property
    def _varied(self) -> dict[str, tuple[Scalar, ...]]:
        """Parameters with more than one value."""
        return {name: values for name, values in self.table.parameters.items() if len(values) > 1}

    @property
    def _widest_parameter(self) -> tuple[str, list[str]]:
        """The parameter whose best value is shared by most, and its values, that of the best first."""
        best = int(self._order[0])
        name = max(self._varied, key=lambda n: int((self.table.column(n) == self.table.column(n)[best]).sum()))
        mine = self._value(name, best)
        return name, [mine, *(text for value in self._varied[name] if (text := repr(value)) != mine)]

    @cached_property
    def _equalities(self) -> list[_Predicate]:
        """`a == x` and `a == x and b == y`, for every parameter and value."""
        single = [
            (name, f"{name} == {value!r}", self.table.column(name) == code)
            for name, values in self._varied.items()
            for code, value in enumerate(values)
        ]
        pairs = [(f"{a} and {b}", x & y) for (one, a, x), (other, b, y) in combinations(single, 2) if one != other]
        return [_Predicate(text, mask) for text, mask in [*((t, m) for _, t, m in single), *pairs]]

    def _hiding(self) -> list[_Predicate]:
        """Regions that hold the best and hide everything near it; if there are too few, the best and as much as can be."""
        best = self._order[0]
        holding = [one for one in self._equalities if one.mask[best] and not one.mask.all()]
        whole = [one for one in holding if one.mask[self._good].all()]
        return whole if len(whole) >= 3 else holding

    def _slow(self, predicates: Sequence[_Predicate]) -> list[_Predicate]:
        """Those of which every configuration is as slow as a true law says."""
        return [one for one in predicates if self.verdict(self._law("avoid", one.text)) == "supports"]

    def _point(self, count: int) -> _Predicate:
        """Exactly the fastest `count` configurations."""
        rows = self._order[:count]
        texts = (" and ".join(f"{name} == {self._value(name, row)}" for name in self._varied) for row in rows)
        mask = np.zeros(len(self._time), np.bool_)
        mask[rows] = True
        return _Predicate(" or ".join(f"({text})" for text in texts), mask)

    def _runners_up(self) -> _Predicate:
        """The best and everything near it, or as much of it as a law has room for."""
        counts = range(int(self._good.sum()), 0, -1)
        return next(found for count in counts if len((found := self._point(count)).text) <= MAX_TEXT)

    def _off_by_one(self) -> list[_Predicate]:
        """The widest region of a true threshold, moved by one value so that it removes the best; none if there is none."""
        best = self._order[0]
        found = []
        for name, values in self._varied.items():
            if any(isinstance(value, bool | str) for value in values):
                continue
            for sign, ordered in ((">=", values), ("<=", values[::-1])):
                for near, far in pairwise(ordered):
                    for other in ("", *(f" and {one.text}" for one in self._equalities if " and " not in one.text)):
                        true = f"{name} {sign} {far}{other}"
                        moved = self._predicate(f"{name} {sign} {near}{other}")
                        if moved.mask[best] and self._slow([self._predicate(true)]):
                            found.append(moved)
        return sorted(found, key=lambda one: -one.count)[:1]

    def _thresholds(self, *, hides: bool) -> list[_Predicate]:
        """Thresholds on compiled features; those that hold the best, or those that do not."""
        best = self._order[0]
        seen = {name: np.unique(values[0]) for name, values in self.table.features.items() if name in COMPILED_FEATURES}
        texts = [f"{name} {sign} {v:g}" for name, values in seen.items() for v in values for sign in (">=", "<=")]
        found = [self._predicate(text) for text in texts]
        return [one for one in found if bool(one.mask[best]) == hides and 0 < one.count < len(one.mask)]

    def _band(self) -> _Predicate:
        """The registers of the best, and a few more and less."""
        registers = int(self.table.features["registers"][0, self._order[0]])
        return self._predicate(f"registers >= {registers - BAND} and registers <= {registers + BAND}")

    def _everything(self) -> _Predicate:
        name, values = next((n, v) for n, v in self._varied.items() if not any(isinstance(x, bool | str) for x in v))
        return self._predicate(f"{name} >= {min(values)}")

    def _axes(self, verdict: EvidenceVerdict) -> list[Law]:
        """Laws on one axis each of which the trials say that: those that hide the best first, then by how much it changes."""
        laws = [statements.ignore("planted", self.sweep.op.id, name, values) for name, values in self._varied.items()]
        ranked = self._ranked([law for law in laws if self.verdict(law) == verdict], "change")
        return sorted(ranked, key=lambda law: not self._hides_best(law))

    def _preferences(self, verdict: EvidenceVerdict) -> list[Law]:
        """Preferences for one value each of which the trials say that, the costliest first."""
        settings = [{name: value} for name, values in self._varied.items() for value in values]
        laws = [statements.use("planted", self.sweep.op.id, setting) for setting in settings]
        return self._ranked([law for law in laws if self.verdict(law) == verdict], "cost")

    def _hides_best(self, law: Law) -> bool:
        space = self.sweep.space
        mask, best = meaning(law).region(space).mask, space.index(self.table.space.config(int(self._order[0])))
        return mask is not None and best is not None and mask[best]

    def _ranked(self, laws: Sequence[Law], effect: str) -> list[Law]:
        return sorted(laws, key=lambda law: -judge(law, self.table, min_problems=1).effect[effect])

    def _avoid(self, predicates: Sequence[_Predicate]) -> list[Law]:
        return [self._law("avoid", one.text) for one in predicates]

    def _require(self, predicates: Sequence[_Predicate]) -> list[Law]:
        return [self._law("require", f"not ({one.text})") for one in predicates]

    def _law(self, verb: str, text: str) -> Law:
        state: Callable[[str, str, str], Law] = statements.avoid if verb == "avoid" else statements.require
        return state("planted", self.sweep.op.id, text)

    def _predicate(self, text: str) -> _Predicate:
        return _Predicate(text, self._holds(text))

    def _holds(self, text: str) -> Bools:
        return self.table.holds(parse(text), 0, {})

    def _value(self, name: str, row: int) -> str:
        return repr(self.table.parameters[name][self.table.column(name)[row]])


def _numbered(laws: Sequence[Law]) -> tuple[Law, ...]:
    """`laws` with ids of their own."""
    return tuple(replace(law, id=f"planted-{number}") for number, law in enumerate(laws))


def _spread(predicates: Sequence[_Predicate], count: int) -> list[_Predicate]:
    """The widest, the narrowest, and what lies between: `count` of them, or all if there are fewer."""
    ordered = sorted(predicates, key=lambda one: (-one.count, one.text))
    places = np.unique(np.linspace(0, len(ordered) - 1, count).round().astype(int))
    return [ordered[place] for place in places if ordered]
