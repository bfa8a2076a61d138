"""What all laws together leave of each space, before and after a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from spak.kg.diff.compare import Change
from spak.kg.diff.effect import Root, concrete
from spak.kg.law.kinds import meaning
from spak.kg.law.power import SearchPlace, bearing
from spak.kg.law.reach import is_about
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.factors import Mask
from spak.kg.space.masks import union
from spak.kg.space.shared import Spaces
from spak.kg.space.space import Space


@dataclass(frozen=True)
class SpaceChange:
    """What all laws together leave of one op's space on one piece of hardware, before and after.

    Attributes:
        problems: Names of the problem sizes at which the numbers are these.
        before: Configurations a search under laws still tries, besides its audit.
    """

    op: str
    hw: str
    problems: tuple[str, ...]
    total: int
    before: int
    after: int


def space_changes(
    changes: Iterable[Change], roots: tuple[Root, Root], toolchain: str, spaces: Spaces
) -> tuple[SpaceChange, ...]:
    """For each op and piece of hardware a change is about: what the removing laws together leave."""
    old, new = roots
    subjects = sorted({(law.scope.op, law.scope.hw) for c in changes for law in (c.before, c.after) if law is not None})
    found: dict[tuple[str, str], tuple[SpaceChange, ...]] = {}
    for scope_op, hw in subjects:
        if hw not in new.hardware or scope_op not in new.ops:
            continue
        for op in concrete(new, scope_op):
            if (op, hw) not in found:
                removing = tuple(list(_removing(root, op, hw, toolchain)) for root in (old, new))
                found[op, hw] = tuple(_at_each_size(new, new.ops[op], hw, (removing[0], removing[1]), spaces))
    return tuple(change for changes_here in found.values() for change in changes_here)


def _at_each_size(
    root: Root, op: Op, hw: str, removing: tuple[Sequence[Law], Sequence[Law]], spaces: Spaces
) -> Iterator[SpaceChange]:
    """One for all problem sizes with the same numbers."""
    if removing[0] == removing[1]:
        return
    facts = hardware_facts(root, hw)
    grouped: dict[tuple[int, int, int], list[str]] = {}
    for name, problem in (op.problems or {"default": {}}).items():
        space = spaces.at(op, problem, facts)
        left = [int((~_removed(laws, space)).sum()) for laws in removing]
        if left[0] != left[1]:
            grouped.setdefault((len(space), left[0], left[1]), []).append(name)
    for (total, before, after), names in grouped.items():
        yield SpaceChange(op.id, hw, tuple(names), total, before, after)


def _removing(root: Root, op: str, hw: str, toolchain: str) -> Iterator[Law]:
    """The laws of `root` that may remove configurations of `op` on `hw`."""
    if hw not in root.hardware or op not in root.ops:
        return
    ops = set(Taxonomy("op", root.ops).ancestors(op))
    for law in root.laws.values():
        if law.scope.op in ops and bearing(law, SearchPlace(root, hw, toolchain)).removes:
            yield law


def _removed(laws: Sequence[Law], space: Space) -> Mask:
    """(N,) what `laws` remove of `space`."""
    about = (law for law in laws if is_about(law, space.setting.problem, space.setting.facts))
    masks = (meaning(law).against(space) for law in about)
    return union((mask for mask in masks if mask is not None), space.shape).flat
