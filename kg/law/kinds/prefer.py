"""positive: a setting that is best or ties with the best, or that beats the settings it is ranked over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from spak.kg.expression.assignment import show_assignments
from spak.kg.law.kinds.base import Meaning, Mention, Power, Region, SettingTest, Verdict
from spak.kg.law.refutable import ClaimFlaw
from spak.kg.model.base import Scalar
from spak.kg.model.law import Bound, Claim, Law

if TYPE_CHECKING:
    from spak.kg.space.masks import FactoredMask
    from spak.kg.space.space import Extent, Space


class PreferClaim(Claim, frozen=True, kw_only=True):
    """A setting that is best or ties with the best; with `over`, a ranking: `prefer` beats every setting of `over`."""

    prefer: Annotated[dict[str, Scalar], Meta(min_length=1)]
    over: tuple[dict[str, Scalar], ...] = ()


class PositiveLaw(Law, frozen=True, kw_only=True, tag="positive"):
    """Use this."""

    claim: PreferClaim


class Prefer(Meaning[PositiveLaw]):
    """What a positive law means.

    With `over` it speaks of the settings it names and of no other: against those of `over`, for `prefer`.
    """

    model = PositiveLaw
    verb = "use"
    rank = 1
    power = Power.PREFER

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.law.claim.prefer).union(*self.law.claim.over)

    @property
    def preferred(self) -> Mapping[str, Scalar]:
        return self.law.claim.prefer

    @property
    def bounds(self) -> dict[str, Bound]:
        """Without a stated cost it is best or ties with the best: it costs nothing."""
        return {"cost": Bound(at_most=0), **self.law.claim.effect}

    def flaws(self) -> Iterator[ClaimFlaw]:
        for index, setting in enumerate(self.law.claim.over):
            if self.law.claim.prefer.items() <= setting.items():
                yield ClaimFlaw(f"claim.over[{index}]", "is what it is ranked below; name another setting")
        yield from super().flaws()

    @property
    def test(self) -> SettingTest:
        return SettingTest(self.law.claim.prefer, self.law.claim.over)

    @property
    def subject(self) -> object:
        return (sorted(self.law.claim.prefer.items(), key=str), self.law.claim.over)

    @property
    def text(self) -> str:
        return show_assignments(self.law.claim.prefer) + (f" over {self._others}" if self.law.claim.over else "")

    @property
    def advice(self) -> str:
        rest = f" beats {self._others}" if self.law.claim.over else " is best or ties with the best"
        return show_assignments(self.law.claim.prefer) + rest

    @property
    def _others(self) -> str:
        return " or ".join(show_assignments(setting) for setting in self.law.claim.over)

    def verdict(self, known: Mapping[str, Scalar]) -> Verdict:
        prefer, over = self.law.claim.prefer, self.law.claim.over
        different = {name: value for name, value in prefer.items() if name in known and known[name] != value}
        missing = _missing(prefer, known)
        if not different and not missing:
            return Verdict("for", "the preferred setting")
        if not over and different:
            return Verdict("against", f"prefers {show_assignments(different)}")
        open_to = [setting for setting in over if not _differs(setting, known)]
        if any(not _missing(setting, known) for setting in open_to):
            return Verdict("against", f"{show_assignments(prefer)} beats it")
        if not different:
            return Verdict("undecided", f"for it if {show_assignments({n: prefer[n] for n in missing})}", missing)
        if open_to:
            needs = tuple(dict.fromkeys(name for setting in open_to for name in _missing(setting, known)))
            rest = " or ".join(
                show_assignments({n: setting[n] for n in _missing(setting, known)}) for setting in open_to
            )
            return Verdict("undecided", f"against it if {rest}", needs)
        return Verdict("silent", "not one of the settings it ranks")

    def mentions(self) -> Iterator[Mention]:
        for name in self.law.claim.prefer:
            yield Mention("claim.prefer", "parameter", name, at_key=True)
        for index, setting in enumerate(self.law.claim.over):
            for name in setting:
                yield Mention(f"claim.over[{index}]", "parameter", name, at_key=True)

    def region(self, space: Space) -> Region:
        named = _having(self.law.claim.prefer, space)
        if not named.any():
            return Region(note=f"no configuration here has {self.text}")
        return Region(mask=named, worse=self._worse(named, space) if self.law.claim.over else None)

    def reach(self, space: Space) -> Extent | None:
        prefer = self.law.claim.prefer
        if not space.has({name: (value,) for name, value in prefer.items()}):
            return "nothing"
        columns = dict(zip(space.names, space.values, strict=True))
        others = ({name: [one for one in columns[name] if one != value]} for name, value in prefer.items())
        return "something" if any(map(space.has, others)) else "everything"

    def against(self, space: Space) -> FactoredMask:
        named = _having(self.law.claim.prefer, space)
        return self._worse(named, space) if self.law.claim.over else ~named

    def _worse(self, named: FactoredMask, space: Space) -> FactoredMask:
        """The settings that `named` is ranked over."""
        return reduce(or_, (_having(setting, space) for setting in self.law.claim.over)) & ~named

    def covers(self, special: Law) -> bool:
        mine, its = self.law.claim, special.claim
        return isinstance(its, PreferClaim) and mine.prefer == its.prefer and mine.over == its.over


def _missing(setting: Mapping[str, Scalar], known: Mapping[str, Scalar]) -> tuple[str, ...]:
    return tuple(name for name in setting if name not in known)


def _differs(setting: Mapping[str, Scalar], known: Mapping[str, Scalar]) -> bool:
    return any(name in known and known[name] != value for name, value in setting.items())


def _having(setting: Mapping[str, Scalar], space: Space) -> FactoredMask:
    return space.having({name: (value,) for name, value in setting.items()})
