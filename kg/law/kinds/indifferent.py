"""indifferent: an axis that is not worth searching, because its values take the same time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from spak.kg.expression.assignment import show_scalar
from spak.kg.law.effects import EFFECTS, TIE_LIMIT
from spak.kg.law.kinds.base import AxisTest, Meaning, Mention, Power, Region, Verdict
from spak.kg.law.refutable import ClaimFlaw
from spak.kg.model.base import Configuration, Scalar
from spak.kg.model.law import Bound, Claim, Law

if TYPE_CHECKING:
    from spak.kg.model.op import Op
    from spak.kg.space.space import Extent, Space


_LIMIT = round(100 * TIE_LIMIT)
_WITHIN = rf"^([0-{_LIMIT - 1}](\.\d+)?|{_LIMIT}(\.0+)?)%$"
"""Percentages up to `TIE_LIMIT`, for editors."""


class IndifferentClaim(Claim, frozen=True, kw_only=True):
    """An axis not worth searching: changing `over` among `values` changes the time by at most `within` (`1%`)."""

    over: str
    values: Annotated[tuple[Scalar, ...], Meta(min_length=2, extra_json_schema={"uniqueItems": True})]
    within: Annotated[
        str, Meta(pattern=r"^(0|[1-9]\d*)(\.\d+)?%$", extra_json_schema={"allOf": [{"pattern": _WITHIN}]})
    ]


class IndifferentLaw(Law, frozen=True, kw_only=True, tag="indifferent"):
    """Do not spend trials here."""

    claim: IndifferentClaim


class Indifferent(Meaning[IndifferentLaw]):
    """What an indifferent law means."""

    model = IndifferentLaw
    verb = "ignore"
    rank = 3
    power = Power.REMOVE

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.law.claim.over})

    @property
    def margin(self) -> float:
        return float(self.law.claim.within.removesuffix("%")) / 100

    @property
    def bounds(self) -> dict[str, Bound]:
        return {**self.law.claim.effect, "change": Bound(at_most=self.margin)}

    def flaws(self) -> Iterator[ClaimFlaw]:
        claim = self.law.claim
        distinct = {(isinstance(value, bool), value) for value in claim.values}  # to Python, True is 1
        if len(distinct) < max(2, len(claim.values)):
            yield ClaimFlaw("claim.values", "a tie is between two values or more, each named once")
        if not self.margin <= TIE_LIMIT:
            yield ClaimFlaw("claim.within", f"is at most {_LIMIT}% (got {claim.within}): {EFFECTS['change'].why}")
        stated = claim.effect["change"].at_most if "change" in claim.effect else None
        if stated is not None and not isclose(stated, self.margin):
            yield ClaimFlaw(
                "claim.effect.change", f"at_most is what within says ({claim.within}); drop it", at_key=True
            )
        yield from super().flaws()

    @property
    def test(self) -> AxisTest:
        return AxisTest(self.law.claim.over, self.law.claim.values, self.margin)

    @property
    def subject(self) -> object:
        return (self.law.claim.over, self.law.claim.values)

    @property
    def text(self) -> str:
        claim = self.law.claim
        return f"{claim.over} in {', '.join(map(show_scalar, claim.values))} (same time within {claim.within})"

    @property
    def advice(self) -> str:
        values = " and ".join(map(show_scalar, self.law.claim.values))
        return f"changing {self.law.claim.over} among {values} changes the time by at most {self.law.claim.within}"

    def verdict(self, known: Mapping[str, Scalar]) -> Verdict:
        claim = self.law.claim
        if claim.over not in known:
            return Verdict("undecided", f"about {claim.over}", (claim.over,))
        value = known[claim.over]
        if value not in claim.values:
            return Verdict("silent", f"{claim.over}={show_scalar(value)} is not one of the values it compares")
        others = " and ".join(show_scalar(other) for other in claim.values if other != value)
        return Verdict("indifferent", f"{others} would take the same time within {claim.within}")

    def mentions(self) -> Iterator[Mention]:
        yield Mention("claim.over", "parameter", self.law.claim.over)

    def region(self, space: Space) -> Region:
        """All values of the axis but one, which stands for all: the default if it is among them, else the first."""
        over = self.law.claim.over
        values = space.values[space.names.index(over)] if over in space.names else ()
        kept, others = self._parted(values, space.default.get(over))
        if not others:
            return Region(note=f"{over} has no two of these values here")
        return Region(mask=space.having({over: others}), note=f"{over}={kept} stands for all")

    def reach(self, space: Space) -> Extent | None:
        tied = sum(space.has({self.law.claim.over: (value,)}) for value in self.law.claim.values)
        return "something" if tied > 1 else "nothing"

    def replaces(self, configuration: Configuration, op: Op) -> bool:
        over = self.law.claim.over
        axis = op.parameters.get(over)
        return axis is not None and configuration.get(over) in self._parted(axis.values, axis.default)[1]

    def _parted(self, values: Sequence[Scalar], default: Scalar | None) -> tuple[Scalar | None, list[Scalar]]:
        """Of the values of an axis that differ in nothing: the one that stands for all, and those it stands for."""
        known = [value for value in self.law.claim.values if value in values]
        kept = default if default in known else next(iter(known), None)
        return kept, [value for value in known if value != kept]

    def covers(self, special: Law) -> bool:
        its = special.claim
        return isinstance(its, IndifferentClaim) and (
            self.law.claim.over == its.over and set(its.values) <= set(self.law.claim.values)
        )
