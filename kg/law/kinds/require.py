"""invariant: what must hold, because otherwise something breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from spak.kg.expression import Expression, parse
from spak.kg.law.effects import effect_subjects
from spak.kg.law.kinds.base import (
    EffectTest,
    Meaning,
    Mention,
    Power,
    Region,
    Verdict,
    decided,
    negated,
    region_of,
)
from spak.kg.model import law as model
from spak.kg.model.base import Scalar
from spak.kg.model.law import Claim, Law

if TYPE_CHECKING:
    from spak.kg.space.space import Space


class RequireClaim(Claim, frozen=True, kw_only=True):
    """A safety invariant: the expression must hold, `otherwise` says what breaks.

    Attributes:
        check: Name of the check that shows it, if it is about numbers; `kg verify` executes it.
    """

    require: model.ExpressionText
    otherwise: str
    check: model.CheckName = ""


class InvariantLaw(Law, frozen=True, kw_only=True, tag="invariant"):
    """Never break this."""

    claim: RequireClaim


class Require(Meaning[InvariantLaw]):
    """What an invariant means.

    One about time alone, or about compiled code, is a law like a negative one: breaking it costs a slow trial. Any other
    is about safety: its word is that what breaks it hangs or computes wrong numbers, and nobody tries that to find out.
    """

    model = InvariantLaw
    verb = "never"
    rank = 0
    power = Power.REMOVE
    tier = "computed"
    about_effects = True

    @property
    def is_safety(self) -> bool:
        return not effect_subjects(self.law.claim.effect) or not effect_subjects(self.law.claim.effect) <= {
            "time",
            "code",
        }

    @property
    def names(self) -> frozenset[str]:
        return parse(self.law.claim.require).all_names

    @property
    def removal(self) -> Expression:
        return negated(self.law.claim.require)

    @property
    def test(self) -> EffectTest | None:
        """What fails to run fails in any trial; numbers are for the claim's check to show."""
        about = effect_subjects(self.law.claim.effect)
        return None if not about or "numbers" in about else EffectTest(self.removal)

    @property
    def check(self) -> str:
        return self.law.claim.check

    @property
    def text(self) -> str:
        return f"violate {self.law.claim.require}"

    @property
    def advice(self) -> str:
        shown = f" (shown by the check {self.check})" if self.check else ""
        return f"{self.law.claim.require} must hold, otherwise {self.law.claim.otherwise.rstrip('.')}{shown}"

    def verdict(self, known: Mapping[str, Scalar]) -> Verdict:
        kept = Verdict("for", "kept")
        broken = Verdict("against", f"broken; otherwise {self.law.claim.otherwise}")
        return decided(self.law.claim.require, known, true=kept, false=broken)

    def mentions(self) -> Iterator[Mention]:
        yield Mention("claim.require", "expression", self.law.claim.require)

    def region(self, space: Space) -> Region:
        return region_of(self.removal, space)
