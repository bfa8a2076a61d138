"""toy: a parameter whose values above a limit cost twice the time."""

from __future__ import annotations

from spak.kg.expression import parse
from spak.kg.law.kinds.base import Meaning, Mention, Power, Verdict, region_of
from spak.kg.model.law import Claim, Law


class ToyClaim(Claim, frozen=True, kw_only=True):
    """Values of `above` over `limit` cost twice the time."""

    above: str
    limit: int


class ToyLaw(Law, frozen=True, kw_only=True, tag="toy"):
    """Stay below."""

    claim: ToyClaim


class Toy(Meaning[ToyLaw]):
    """What a toy law means."""

    model = ToyLaw
    verb = "halve"
    rank = 2
    power = Power.REMOVE

    @property
    def names(self):
        return frozenset({self.law.claim.above})

    @property
    def removal(self):
        return parse(f"{self.law.claim.above} > {self.law.claim.limit}")

    @property
    def text(self):
        return f"{self.law.claim.above} above {self.law.claim.limit}"

    @property
    def advice(self):
        return f"keep {self.law.claim.above} at most {self.law.claim.limit}"

    def verdict(self, known):
        value = known.get(self.law.claim.above)
        if value is None:
            return Verdict("undecided", f"about {self.law.claim.above}", (self.law.claim.above,))
        return Verdict("against", "too large") if value > self.law.claim.limit else Verdict("silent", "small enough")

    def mentions(self):
        yield Mention("claim.above", "parameter", self.law.claim.above)

    def region(self, space):
        return region_of(self.removal, space)
