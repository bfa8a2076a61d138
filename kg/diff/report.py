"""The difference of two law roots as one value, ready to render: changes, effects, conflicts, verdict hints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spak.kg.diff.compare import Aspect, Change, compare_laws
from spak.kg.diff.effect import Effect, Root, effects
from spak.kg.diff.runs import BestChange, RunChange, best_changes, run_changes
from spak.kg.diff.total import SpaceChange, space_changes
from spak.kg.files.loader import Laws
from spak.kg.files.root import LAYER_FILE
from spak.kg.law.conflict import Conflict, Conflicts
from spak.kg.law.kinds import meaning
from spak.kg.law.power import DEAD, may_ever_remove
from spak.kg.model.base import Model
from spak.kg.space.shared import Spaces


@dataclass(frozen=True)
class Item:
    """One changed law with its effects, and the conflicts it is part of now and was not before.

    Attributes:
        unguards: Whether a law about safety holds less than it did: it is gone, has lost its power, or is about something else.
        hides: Whether a search may now leave out, because of it, what it tried before: whatever its kind.
    """

    change: Change
    effects: tuple[Effect, ...]
    conflicts: tuple[Conflict, ...]
    hides: bool = False
    unguards: bool = False

    @property
    def red_flag(self) -> bool:
        """Whether a reviewer must look: something is hidden from searches or silenced, a best is lost, or a conflict appears."""
        return self.hides or self.costs or self.unguards or bool(self.silences)

    @property
    def silences(self) -> tuple[str, ...]:
        """Findings that the law acknowledges now and did not before: `kg check` only notes them."""
        before, after = self.change.before, self.change.after
        known = () if before is None else before.acknowledges
        return () if after is None else tuple(said for said in after.acknowledges if said not in known)

    @property
    def costs(self) -> bool:
        """Whether what is known already speaks against it: a recorded best is lost, or a conflict appears."""
        return bool(self.conflicts) or any(effect.red_flag for effect in self.effects)


@dataclass(frozen=True)
class Difference:
    """Everything that differs in meaning.

    Attributes:
        items: Changed laws, those a reviewer must look at first.
        spaces: What all laws together leave of each space, where that changed.
        nodes: Hardware, op and system files that differ: `hardware/rtx5070` -> added, removed, or changed in which fields.
        runs: Run files that came, went or say something else.
        bests: What is the best on record now and was not, where runs changed.
    """

    items: tuple[Item, ...]
    spaces: tuple[SpaceChange, ...]
    nodes: Mapping[str, str]
    new_conflicts: tuple[Conflict, ...]
    gone_conflicts: tuple[Conflict, ...]
    runs: tuple[RunChange, ...] = ()
    bests: tuple[BestChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.items or self.nodes or self.runs)


def difference(roots: tuple[Laws, Laws], toolchain: str = "") -> Difference:
    """What changed from the first law root to the second; `toolchain` (`name version`) decides what may remove."""
    old, new = roots
    runs = run_changes(old, new)
    changes = compare_laws(old.laws, new.laws, (_superseded(old), _superseded(new)))
    spaces = Spaces()
    before, after = ({tuple(sorted(c.laws)): c for c in Conflicts(root).all()} for root in roots)
    appeared = tuple(conflict for key, conflict in after.items() if key not in before)
    items = [
        Item(
            change=change,
            effects=effects(change, roots, toolchain, spaces),
            conflicts=tuple(c for c in appeared if change.id in c.laws),
            hides=_hides(change, roots),
            unguards=_unguards(change, roots),
        )
        for change in changes
    ]
    items.sort(key=lambda item: (not item.unguards, not item.costs, not item.red_flag, item.change.id))
    return Difference(
        items=tuple(items),
        spaces=space_changes(changes, roots, toolchain, spaces),
        nodes=_nodes(roots),
        new_conflicts=appeared,
        gone_conflicts=tuple(conflict for key, conflict in before.items() if key not in after),
        runs=runs,
        bests=best_changes(old, new, runs),
    )


def _superseded(root: Root) -> dict[str, str]:
    """Id of each law that one above supersedes -> which does; by one id there may be several layers' laws."""
    found: dict[str, list[str]] = {}
    for one in root.superseded:
        found.setdefault(one.law.id, []).append(one.words)
    return {law: "; ".join(words) for law, words in found.items()}


_SAME_REACH: frozenset[Aspect] = frozenset({"wording", "renamed", "evidence", "strengthened", "weakened"})
"""What a law may change without speaking of other configurations."""


def _hides(change: Change, roots: tuple[Root, Root]) -> bool:
    """Whether the law may remove configurations or collapse an axis now, and did not, or did so to others."""
    old, new = roots
    if change.after is None or not may_ever_remove(change.after, new):
        return False
    had_power = change.before is not None and may_ever_remove(change.before, old)
    return not (had_power and _SAME_REACH.issuperset(change.aspects))


def _unguards(change: Change, roots: tuple[Root, Root]) -> bool:
    """Whether a law about what hangs, fails or computes wrong numbers holds less than before, or for others."""
    before, after = change.before, change.after
    if before is None or not meaning(before).is_safety or before.status in DEAD:
        return False
    if (
        after is None
        or after.status in DEAD
        or (may_ever_remove(before, roots[0]) and not may_ever_remove(after, roots[1]))
    ):
        return True
    return not {"superseded", "weakened", "claim", "re-scoped"}.isdisjoint(change.aspects)


def _nodes(roots: tuple[Laws, Laws]) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind in ("hardware", "ops", "systems"):
        old: Mapping[str, Model] = getattr(roots[0], kind)
        new: Mapping[str, Model] = getattr(roots[1], kind)
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                found[f"{kind}/{name}"] = _node_change(old.get(name), new.get(name))
    layers = [(root.root / LAYER_FILE).read_bytes() if (root.root / LAYER_FILE).is_file() else None for root in roots]
    if layers[0] != layers[1]:
        found[LAYER_FILE] = "added" if layers[0] is None else "changed" if layers[1] is not None else "removed"
    return found


def _node_change(old: Model | None, new: Model | None) -> str:
    """`changed: parameters.tile_m, conditions`: a value that is gone from an op is tried by no search any more."""
    if old is None or new is None:
        return "added" if old is None else "removed"
    fields = [name for name in new.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    return f"changed: {', '.join(part for name in fields for part in _parts(name, getattr(old, name), getattr(new, name)))}"


def _parts(name: str, old: object, new: object) -> Iterator[str]:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        yield name
        return
    yield from (f"{name}.{key}" for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key))


def verdict_reason(change: Change) -> str:
    """Why a status changed, in words: which evidence moved it."""
    before, after = change.before, change.after
    if after is None or before is None or before.status == after.status:
        return ""
    if after.withdrawn is not None and before.withdrawn is None:
        return f"withdrawn on {after.withdrawn.date}: {after.withdrawn.reason}"
    parts = [f"{item.run} {item.verdict} it ({item.tier}, {item.role})" for item in change.gained]
    parts += [f"{item.run} no longer counts ({item.tier}, {item.role})" for item in change.lost]
    return "; ".join(parts) or "by hand: no evidence came or went"
