"""Laws that a question finds alike: what they share decides how they match and how sure they are; their claims do not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from spak.kg.model.base import Model
from spak.kg.model.law import Law, Related, Scope, Status, Tier


class Traits(Model, frozen=True, kw_only=True):
    """What the laws of a cohort share.

    Attributes:
        kind: `kind` in a law file.
        toolchains: Every `name version` that their evidence is from, sorted.
        supports: Tier of each run that speaks for them, sorted.
    """

    scope: Scope
    kind: str
    status: Status
    toolchains: tuple[str, ...]
    supports: tuple[Tier, ...]

    @staticmethod
    def of(law: Law) -> Traits:
        """Those of `law`."""
        return Traits(
            scope=law.scope,
            kind=str(type(law).__struct_config__.tag),
            status=law.status,
            toolchains=tuple(sorted({one.toolchain for one in law.evidence if one.toolchain})),
            supports=tuple(sorted(supports_of(law))),
        )


def links_of(laws: Iterable[Law]) -> dict[str, tuple[Related, ...]]:
    """Id of each law that says how it relates to others -> what it says."""
    return {law.id: law.related for law in laws if law.related}


def supports_of(law: Law) -> list[Tier]:
    """Tier of each run that speaks for `law`."""
    return [one.tier for one in law.evidence if one.verdict == "supports"]


class Cohort(Protocol):
    """Laws with the same traits; of thousands few are looked at, and the others need not be decoded."""

    @property
    def traits(self) -> Traits:
        """What they share."""

    @property
    def ids(self) -> Sequence[str]:
        """Theirs, in alphabetical order."""

    @property
    def places(self) -> Sequence[int]:
        """Which of all laws stated for their op, as they were loaded, each is, in the order of `ids`."""

    @property
    def laws(self) -> Sequence[Law]:
        """They themselves, in the order of `ids`."""

    def __len__(self) -> int:
        """How many they are."""


@dataclass(frozen=True)
class HeldCohort:
    """A cohort of laws that are in memory."""

    traits: Traits
    ids: Sequence[str]
    places: Sequence[int]
    laws: Sequence[Law]

    def __len__(self) -> int:
        """How many they are."""
        return len(self.ids)


def cohorts(laws: Iterable[Law]) -> list[HeldCohort]:
    """Some laws by what they share; `places` are those among them."""
    found: dict[Traits, list[tuple[str, int, Law]]] = {}
    for place, law in enumerate(laws):
        found.setdefault(Traits.of(law), []).append((law.id, place, law))
    return [HeldCohort(traits, *zip(*sorted(members), strict=True)) for traits, members in found.items()]
