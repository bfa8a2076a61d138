"""negative: a region of the configuration space to stay out of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from spak.kg.expression import Expression, parse
from spak.kg.law.kinds.base import EffectTest, Meaning, Mention, Power, Region, Verdict, decided, region_of
from spak.kg.model import law as model
from spak.kg.model.base import Scalar
from spak.kg.model.law import Claim, Law

if TYPE_CHECKING:
    from spak.kg.space.space import Space


class AvoidClaim(Claim, frozen=True, kw_only=True):
    """A region of the configuration space: the expression is true for what to avoid."""

    avoid: model.ExpressionText


class NegativeLaw(Law, frozen=True, kw_only=True, tag="negative"):
    """Avoid this."""

    claim: AvoidClaim


class Avoid(Meaning[NegativeLaw]):
    """What a negative law means."""

    model = NegativeLaw
    verb = "avoid"
    rank = 2
    power = Power.REMOVE
    about_effects = True

    @property
    def names(self) -> frozenset[str]:
        return parse(self.law.claim.avoid).all_names

    @property
    def removal(self) -> Expression:
        return parse(self.law.claim.avoid)

    @property
    def test(self) -> EffectTest:
        return EffectTest(self.removal)

    @property
    def subject(self) -> object:
        return self.law.claim.avoid

    @property
    def text(self) -> str:
        return self.law.claim.avoid

    @property
    def advice(self) -> str:
        return f"avoid every configuration with {self.law.claim.avoid}"

    def verdict(self, known: Mapping[str, Scalar]) -> Verdict:
        inside = Verdict("against", "in the region to avoid")
        outside = Verdict("silent", "outside the region to avoid")
        return decided(self.law.claim.avoid, known, true=inside, false=outside)

    def mentions(self) -> Iterator[Mention]:
        yield Mention("claim.avoid", "expression", self.law.claim.avoid)

    def region(self, space: Space) -> Region:
        return region_of(self.removal, space)

    def covers(self, special: Law) -> bool:
        return isinstance(special, NegativeLaw)
