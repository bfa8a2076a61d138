"""Whether a law may remove configurations from a search, or only reorder it (design principle 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spak.kg.law.match import compute_capability
from spak.kg.law.toolchain import holds_for, is_stale
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.law import AvoidClaim, IndifferentClaim, Law, RequireClaim
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Taxonomy


@dataclass(frozen=True)
class Permission:
    """Whether something is allowed, and why (not). True in a condition if it is.

    Attributes:
        allowed: The answer.
        reason: In words.
    """

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


def may_remove(law: Law, store: Store, hw: str, toolchain: str) -> Permission:
    """Whether `law` may remove configurations from a search on `hw`; else it only reorders.

    It may if it forbids, is confirmed, is stated for this compute capability, is about time, failure to run or wrong
    numbers, and was seen with this toolchain. Whether its condition and dtypes hold is the caller's question.

    Args:
        law: Any law.
        store: Where the hardware nodes are.
        hw: Id of the hardware searched for.
        toolchain: `name version` of the search; empty if nobody knows.

    Raises:
        ToolchainError: If a toolchain cannot be read.
    """
    objection = next(_objections(law, store, hw, toolchain), None)
    if objection is not None:
        return Permission(False, objection)
    return Permission(True, f"confirmed on {compute_capability(store, hw)} with this toolchain")


def _objections(law: Law, store: Store, hw: str, toolchain: str) -> Iterator[str]:
    if not isinstance(law.claim, AvoidClaim | RequireClaim | IndifferentClaim):
        yield "it forbids nothing"
    if law.status != "confirmed":
        yield f"it is {law.status}"
    yield from _hardware_objections(law, store, hw)
    yield from _effect_objections(law)
    yield from _toolchain_objections(law, toolchain)


def _hardware_objections(law: Law, store: Store, hw: str) -> Iterator[str]:
    own, other = compute_capability(store, hw), compute_capability(store, law.scope.hw)
    if law.scope.hw not in Taxonomy("hardware", store.hardware).ancestors(hw):
        yield f"it is about {law.scope.hw}, which {hw} is not"
    elif own is None or own != other:
        yield f"it is stated for {law.scope.hw}, not confirmed on {own or hw} itself"


def _effect_objections(law: Law) -> Iterator[str]:
    if isinstance(law.claim, AvoidClaim) and not law.claim.effect:
        yield "it states no effect"
    elif law.claim.effect and all(name in COMPILED_FEATURES for name in law.claim.effect):
        yield f"it is about compiled code ({', '.join(law.claim.effect)}), not about time, failure or numbers"


def _toolchain_objections(law: Law, toolchain: str) -> Iterator[str]:
    if toolchain:
        if not holds_for(law, toolchain):
            yield f"it is limited to {law.scope.toolchain}, and this is {toolchain}"
        elif is_stale(law, toolchain):
            yield f"none of its evidence is from {toolchain}"
    elif law.scope.toolchain or any(entry.toolchain for entry in law.evidence):
        yield "the toolchain is not known"
