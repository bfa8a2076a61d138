"""What a law does to a search: it removes configurations, postpones or prefers them, or nothing (design principle 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from spak.kg.law.effects import EFFECTS, effect_subjects
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import Power
from spak.kg.law.scope import Match
from spak.kg.law.status import occasion_doubt, status
from spak.kg.law.toolchain import holds_for, is_stale
from spak.kg.model.hardware import compute_capability
from spak.kg.model.law import Law, Status
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Taxonomy

DEAD = frozenset({"refuted", "withdrawn"})
"""Statuses of laws that nobody follows: they move nothing and contradict nobody."""


@dataclass(frozen=True)
class Bearing:
    """What a law does to a search, and why it may remove or does no more than it does."""

    power: Power
    reason: str

    @property
    def removes(self) -> bool:
        """Whether configurations are not tried because of it."""
        return self.power is Power.REMOVE


@dataclass(frozen=True)
class SearchPlace:
    """Where a law is to act; `toolchain` is `name version`, empty if nobody knows."""

    store: Store
    hw: str
    toolchain: str = ""


class _Same:
    """A law that is equal to itself alone: laws hold mappings, which have no hash."""

    def __init__(self, law: Law) -> None:
        self.law = law

    def __hash__(self) -> int:
        return id(self.law)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.law is other.law


@lru_cache(maxsize=1 << 16)
def _computed(same: _Same) -> Status:
    """The status that the evidence gives, worked out once for each law that a store holds."""
    return status(same.law)


def followed_status(law: Law) -> Status:
    """The status that a search goes by: a file's word that a law is confirmed is never believed, its evidence is.

    A word that says less is: it only takes power away, and `kg check` finds it.
    """
    return _computed(_Same(law)) if law.status == "confirmed" else law.status


def bearing(law: Law, search: SearchPlace, match: Match | None = None, *, granted: bool = False) -> Bearing:
    """What `law` does to `search`; `granted`: where what is left of its condition holds.

    It removes if it forbids, is confirmed, is stated for this compute capability, is about time, failure to run or wrong
    numbers, was measured on two occasions where only measuring tells, and was seen with this toolchain; else it only orders. Where its condition is undecided it does nothing.
    Without a `match` it is known to speak there, its condition and dtypes included.

    Raises:
        ToolchainError: If a toolchain cannot be read.
    """
    means = meaning(law)
    objection = next(_nothing(law, match, granted=granted), means.powerless)
    if objection:
        return Bearing(Power.NOTHING, objection)
    if means.power is not Power.REMOVE:
        return Bearing(means.power, "a preference only orders")
    doubt = next(_doubts(law, search), None)
    if doubt is not None:
        return Bearing(Power.POSTPONE, doubt)
    return Bearing(Power.REMOVE, f"confirmed on {compute_capability(search.store, search.hw)} with this toolchain")


def may_ever_remove(law: Law, store: Store) -> bool:
    """Whether some search on the law's own hardware, whatever its toolchain, may leave configurations out for it."""
    seen = {"", *(entry.toolchain for entry in law.evidence)}
    return any(bearing(law, SearchPlace(store, law.scope.hw, toolchain)).removes for toolchain in sorted(seen))


def _nothing(law: Law, match: Match | None, *, granted: bool) -> Iterator[str]:
    """Why a law may not even order a search."""
    if match is not None and match.overridden_by is not None:
        yield f"{match.overridden_by} is nearer and says otherwise"
    if match is not None and not match.is_about_op:
        yield f"it is about {law.scope.op}, which {match.op_via[0]} is not"
    if match is not None and match.condition and not granted:
        yield f"whether {match.condition} is not known here"
    if followed_status(law) in DEAD:
        yield _standing_text(law)


def _doubts(law: Law, search: SearchPlace) -> Iterator[str]:
    """Why a law may only order a search."""
    for flaw in meaning(law).flaws():
        yield f"it claims nothing: {flaw.field}: {flaw.message}"
    if followed_status(law) != "confirmed":
        yield _standing_text(law)
    yield from _hardware_doubts(law, search.store, search.hw)
    yield from _effect_doubts(law)
    yield from filter(None, [occasion_doubt(law)])
    yield from _toolchain_doubts(law, search.toolchain)


def _standing_text(law: Law) -> str:
    followed = followed_status(law)
    return f"it is {followed}" if followed == law.status else f"it is {followed} by its evidence, not {law.status}"


def _hardware_doubts(law: Law, store: Store, hw: str) -> Iterator[str]:
    own, other = compute_capability(store, hw), compute_capability(store, law.scope.hw)
    if law.scope.hw not in Taxonomy("hardware", store.hardware).ancestors(hw):
        yield f"it is about {law.scope.hw}, which {hw} is not"
    elif own is None or own != other:
        yield f"it is stated for {law.scope.hw}, not confirmed on {own or hw} itself"


def _effect_doubts(law: Law) -> Iterator[str]:
    effect = law.claim.effect
    if effect and all(EFFECTS[name].where_kept for name in effect if name in EFFECTS):
        yield f"it says what holds where it is kept ({', '.join(effect)}), not what breaks where it is not"
    if effect_subjects(law.claim.effect) == {"code"}:
        yield f"it is about compiled code ({', '.join(law.claim.effect)}), not about time, failure or numbers"


def _toolchain_doubts(law: Law, toolchain: str) -> Iterator[str]:
    if toolchain:
        if not holds_for(law, toolchain):
            yield f"it is limited to {law.scope.toolchain}, and this is {toolchain}"
        elif is_stale(law, toolchain):
            yield f"none of its evidence is from {toolchain}"
    elif law.scope.toolchain or any(entry.toolchain for entry in law.evidence):
        yield "the toolchain is not known"
