"""Two sets of laws side by side: each changed law with what about it changed. Text that means the same is no change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from spak.kg.law.kinds import meaning
from spak.kg.model.law import Evidence, Law

Aspect = Literal[
    "added",
    "removed",
    "superseded",
    "restored",
    "renamed",
    "strengthened",
    "weakened",
    "claim",
    "re-scoped",
    "re-judged",
    "evidence",
    "wording",
]
"""What changed about a law; one law may have several. `claim`: changed in a way that is neither stronger nor weaker.

`superseded`: a law above has taken its power; `restored`: none has it any more.
"""


@dataclass(frozen=True)
class Change:
    """One law that is not what it was.

    Attributes:
        id: Its id now; its old one if it was removed.
        aspects: What changed, most important first.
        before: None if it was added.
        after: None if it was removed.
        note: Which law of which layer is, or was, superseded by which; empty where nothing about that changed.
    """

    id: str
    aspects: tuple[Aspect, ...]
    before: Law | None
    after: Law | None
    gained: tuple[Evidence, ...] = ()
    lost: tuple[Evidence, ...] = ()
    note: str = ""

    @property
    def renamed_from(self) -> str | None:
        """Its old id if it has another now."""
        renamed = self.before is not None and self.after is not None and self.before.id != self.after.id
        return self.before.id if renamed and self.before is not None else None


def compare_laws(
    before: Mapping[str, Law],
    after: Mapping[str, Law],
    superseded: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> tuple[Change, ...]:
    """Every law that differs, by id. `compare(a, a)` is empty.

    Args:
        before: Those that had power.
        after: Those that have.
        superseded: Before and after, id of each law that one above supersedes -> which does, in words.
    """
    was, now = superseded
    pairs = _pairs(before, after, now.keys() | was.keys())
    changes = [_layered(_change(old, new), was, now) for old, new in pairs if old != new]
    return tuple(sorted((change for change in changes if change.aspects), key=lambda change: change.id))


def _layered(change: Change, was: Mapping[str, str], now: Mapping[str, str]) -> Change:
    """`change` with what it has to do with a law above taking its power, or giving it back."""
    note = now.get(change.id, "")
    if was.get(change.id, "") == note:
        return change
    rest = tuple(aspect for aspect in change.aspects if aspect not in {"added", "removed"})
    aspect: Aspect = "superseded" if note else "restored"
    return replace(change, aspects=(aspect, *rest), note=note or f"no longer: {was[change.id]}")


def _pairs(
    before: Mapping[str, Law], after: Mapping[str, Law], superseded: Collection[str]
) -> list[tuple[Law | None, Law | None]]:
    """Old and new of each law: by id, then by a stated rename, then by an unchanged claim in an unchanged scope.

    What another law supersedes was not renamed, whatever that one claims.
    """
    pairs: list[tuple[Law | None, Law | None]] = [(before[i], after[i]) for i in before.keys() & after.keys()]
    gone = {i: before[i] for i in before.keys() - after.keys()}
    new = {i: after[i] for i in after.keys() - before.keys()}
    for identifier, law in sorted(new.items()):
        stated = [link.id for link in law.related if link.type == "renamed-from" and link.id in gone]
        same = [i for i, old in sorted(gone.items()) if (old.claim, old.scope) == (law.claim, law.scope)]
        for old in [i for i in (*stated, *same) if not {i, identifier} & set(superseded)][:1]:
            pairs.append((gone.pop(old), law))
            del new[identifier]
    pairs += [(law, None) for law in gone.values()]
    pairs += [(None, law) for law in new.values()]
    return pairs


def _change(before: Law | None, after: Law | None) -> Change:
    if before is None or after is None:
        law = after if before is None else before
        assert law is not None  # noqa: S101 - one of the two is there
        gained = law.evidence if before is None else ()
        lost = () if before is None else law.evidence
        return Change(law.id, ("added",) if before is None else ("removed",), before, after, gained, lost)
    aspects: list[Aspect] = ["renamed"] if before.id != after.id else []
    aspects += _claim_aspects(before, after)
    if before.scope != after.scope:
        aspects.append("re-scoped")
    if before.status != after.status or before.withdrawn != after.withdrawn:
        aspects.append("re-judged")
    gained = tuple(item for item in after.evidence if item not in before.evidence)
    lost = tuple(item for item in before.evidence if item not in after.evidence)
    if gained or lost:
        aspects.append("evidence")
    if not aspects and _words(before) != _words(after):
        aspects.append("wording")
    return Change(after.id, tuple(aspects), before, after, gained, lost)


def _words(law: Law) -> object:
    """What is left to differ when claim, scope, status and evidence are the same."""
    return msgspec.structs.replace(law, evidence=())


def _claim_aspects(before: Law, after: Law) -> list[Aspect]:
    """How the claim changed by its numbers alone; what an expression covers is compared on the space (`spak.kg.diff.effect`)."""
    if type(before) is not type(after):
        return ["claim"]
    if before.claim == after.claim:
        return []
    directions = _bound_directions(before, after) | _margin_direction(before, after)
    is_same = meaning(before).subject == meaning(after).subject
    if is_same and len(directions) == 1:
        return list(directions)
    return ["claim"] if directions or not is_same else []  # only `because` differs: wording


def _bound_directions(before: Law, after: Law) -> set[Aspect]:
    """Stronger: a higher lower bound, a lower upper bound, or a bound where there was none."""
    found: set[Aspect] = set()
    old, new = before.claim.effect, after.claim.effect
    for name in old.keys() | new.keys():
        for side, sign in (("at_least", 1.0), ("at_most", -1.0)):
            a = getattr(old.get(name), side, None)
            b = getattr(new.get(name), side, None)
            if a == b:
                continue
            stronger = a is None or (b is not None and sign * b > sign * a)
            found.add("strengthened" if stronger else "weakened")
    return found


def _margin_direction(before: Law, after: Law) -> set[Aspect]:
    """A narrower margin says more."""
    old, new = meaning(before).margin, meaning(after).margin
    if old is None or new is None or old == new:
        return set()
    return {"strengthened" if new < old else "weakened"}
