"""Laws as they bear on one space: what each removes, postpones or prefers, and why it may do no more.

Whether a law may remove is `spak.kg.law.power.bearing`'s answer; everything else it says only reorders the search. What it
names before compiling is a mask over the space; what it says of compiled features is asked once they are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spak.kg.expression import Expression
from spak.kg.law.conflict import answering
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import Power, Region
from spak.kg.law.power import SearchPlace, bearing
from spak.kg.law.scope import Match, Question
from spak.kg.law.superseding import silenced
from spak.kg.model.base import Scalar
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.law import Law
from spak.kg.model.store import Store
from spak.kg.space.factors import Mask
from spak.kg.space.masks import FactoredMask, union, weighted
from spak.kg.space.space import Space
from spak.tuner.chance import Indices, permutation

_COMPILED = frozenset(COMPILED_FEATURES)
"""Names a law may use that have a value only once a configuration is compiled."""

STATUS_WEIGHT = {"confirmed": 1.0, "proposed": 0.5, "contested": 0.25, "refuted": 0.0, "withdrawn": 0.0}
"""How much a law's word counts in an order. Only the ranks matter: sure before unsure, contested last, refuted never."""

INDIRECT_WEIGHT = 0.5
"""A transferred or stale law counts half: it speaks of a relative of what is searched."""


STEP = 1 / 8
"""Every weight is a whole number of these: an order of millions sorts small integers."""

_MOST = np.iinfo(np.int16).max - 1
"""The largest penalty, of thousands of laws that name the same; one more is what is removed."""

_SIGN = {Power.POSTPONE: 1, Power.PREFER: -1}
"""What adds to the penalty, and what takes away."""


@dataclass(frozen=True)
class Rule:
    """One law on one space.

    Attributes:
        match: How it applies to the hardware and the op asked.
        reason: Why it may remove, or why it does no more than it does.
        weight: How much it counts in the order.
        named: The configurations it speaks of; None if that takes compiled features.
        worse: Those it ranks below `named`; None if it compares nothing.
        after: What it says of compiled features; None if it says nothing of them.
        layer: What the layer is called that it lies in; empty for the law root itself.
    """

    law: Law
    match: Match
    power: Power
    reason: str
    weight: float = 0.0
    named: FactoredMask | None = None
    worse: FactoredMask | None = None
    after: Expression | None = None
    layer: str = ""

    @property
    def id(self) -> str:
        """The law's id."""
        return self.law.id

    @property
    def count(self) -> int:
        """Configurations it names before compiling."""
        return 0 if self.named is None else self.named.sum()

    @property
    def steps(self) -> int:
        """Its weight in steps of `STEP`."""
        return round(self.weight / STEP)

    @property
    def is_safety(self) -> bool:
        """Whether breaking it may hang the machine or give wrong numbers: such a law is never audited."""
        return meaning(self.law).is_safety

    @property
    def is_doubted(self) -> bool:
        """Whether the trials of a search may speak against it: it has power, for a reason other than safety."""
        return self.power is not Power.NOTHING and not self.is_safety

    @property
    def is_vouched(self) -> bool:
        """Whether it was confirmed for this hardware: if it falls, the laws beside it are doubted, and what it named is looked at."""
        return self.match.hw != "transferred" and self.law.status == "confirmed"

    @property
    def is_audited(self) -> bool:
        """Whether a search tests it: it removes, collapses or postpones, for a reason other than safety."""
        return self.power in {Power.REMOVE, Power.POSTPONE} and not self.is_safety


@dataclass(frozen=True)
class Restriction:
    """Every law on a space.

    Attributes:
        rules: One for each law that speaks of the op on the hardware, those without effect included.
        contested: Laws the search itself found contradicted: they neither remove nor postpone any more.
        suspended: Laws that have no effect here although nothing contradicts them -> why, in words.
        superseded: Laws beneath that would speak of the op if none above superseded them, and which does, in words.
    """

    space: Space
    rules: tuple[Rule, ...] = ()
    contested: frozenset[str] = field(default_factory=frozenset)
    suspended: Mapping[str, str] = field(default_factory=dict)
    superseded: tuple[str, ...] = ()

    @cached_property
    def live(self) -> tuple[Rule, ...]:
        """Rules that still have an effect."""
        idle = self.contested | self.suspended.keys()
        return tuple(r for r in self.rules if r.id not in idle and r.power is not Power.NOTHING)

    @cached_property
    def removed(self) -> Mask:
        """(N,) what is not searched."""
        return self._union(Power.REMOVE).flat

    @cached_property
    def unsafe(self) -> FactoredMask:
        """What is not searched because it may hang the machine or give wrong numbers: nothing brings it back."""
        return self._union(Power.REMOVE, is_safety=True)

    @cached_property
    def postponed(self) -> Mask:
        """(N,) what is searched last."""
        return self._union(Power.POSTPONE).flat & ~self.removed

    @cached_property
    def penalty(self) -> npt.NDArray[np.int16]:
        """(N,) lower is earlier: what postpones adds its weight, what prefers takes it away; in steps of `STEP`."""
        weighed: list[tuple[FactoredMask, int]] = []
        for rule in self.live:
            if rule.named is not None and rule.power in _SIGN:
                weighed.append((rule.named, _SIGN[rule.power] * rule.steps))
            if rule.worse is not None:
                weighed.append((rule.worse, rule.steps))
        return np.clip(weighted(weighed, self.space.shape), -_MOST, _MOST).astype(np.int16)

    def contest(self, laws: Sequence[str]) -> Restriction:
        """This restriction without the effect of `laws`."""
        return replace(self, contested=self.contested | set(laws))

    def suspend(self, laws: Mapping[str, str]) -> Restriction:
        """This restriction without the effect of `laws`, and of no others that are not contested."""
        return replace(self, suspended=dict(laws))

    def order(self, rng: np.random.Generator) -> Indices:
        """(N,) a permutation: by penalty, in random order where the laws say nothing; removed configurations last."""
        shuffled = permutation(rng, len(self.space))
        rank = np.where(self.removed, np.int16(_MOST + 1), self.penalty)
        return shuffled[np.argsort(rank[shuffled], kind="stable")]  # of 16 bits: one pass, whatever their number

    def speaking_of(self, index: int) -> list[Rule]:
        """Live rules that name configuration `index` before compiling."""
        return [rule for rule in self.live if rule.named is not None and rule.named[index]]

    def after_compiling(self, values: Mapping[str, Scalar]) -> list[Rule]:
        """Live rules that name a configuration by its compiled features; none of those that ask for an unknown one.

        Args:
            values: Parameters, problem parameters, facts as `hw.<fact>`, and features.
        """
        asked = [(rule, rule.after) for rule in self.live if rule.after is not None]
        return [rule for rule, after in asked if after.all_names <= values.keys() and after.holds(values)]

    def _union(self, power: Power, *, is_safety: bool = False) -> FactoredMask:
        rules = (rule for rule in self.live if rule.power is power and rule.is_safety >= is_safety)
        return union((rule.named for rule in rules if rule.named is not None), self.space.shape)


@dataclass(frozen=True)
class Context:
    """For what the laws are asked.

    Attributes:
        hw: Id of the hardware node searched for.
        toolchain: `name version` of the search; empty if nobody knows.
        transfer: Whether laws of related hardware may reorder.
    """

    hw: str
    toolchain: str = ""
    transfer: bool = True


def restrict(space: Space, store: Store, context: Context) -> Restriction:
    """Every law of `store` that speaks of the space's op on the hardware, as a rule.

    Raises:
        UnknownNameError: If the hardware or the op is unknown.
    """
    question = Question(context.hw, space.op, space.setting.problem, context.toolchain)
    rules = []
    for hit in answering(store, question)[0]:
        if not hit.match.is_about_op or hit.law.status == "withdrawn":
            continue
        if hit.match.hw == "transferred" and not context.transfer:
            continue
        rule = _rule(hit.law, hit.match, SearchPlace(store, context.hw, context.toolchain), space)
        rules.append(replace(rule, layer=hit.layer))
    ordered = tuple(sorted(rules, key=lambda rule: (rule.match.distance, rule.id)))
    return Restriction(space, ordered, superseded=tuple(one.words for one in silenced(store, question)))


def _rule(law: Law, match: Match, search: SearchPlace, space: Space) -> Rule:
    found = bearing(law, search, match)
    region = meaning(law).region(space) if found.power is not Power.NOTHING else Region()
    if region.is_empty:
        return Rule(law, match, Power.NOTHING, region.note or found.reason)
    weight = STATUS_WEIGHT[law.status] * (INDIRECT_WEIGHT if match.hw == "transferred" or match.stale else 1.0)
    reason = "; ".join(filter(None, (found.reason, region.note)))
    return Rule(law, match, found.power, reason, weight, named=region.mask, worse=region.worse, after=region.after)
