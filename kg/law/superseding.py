"""Which laws have no power because a law in a layer above says that it supersedes them.

A law root may lie over others, which are read and never written (`spak.kg.files.root`). What lies beneath is overridden by
one thing alone: a law above that says `related: [{type: supersedes, id: ...}]`. It takes the power of the law of that id in
every layer beneath its own, of its own id too, as long as its file says so and whatever becomes of it. Within one root the
link is a note to the reader: there the old law can be withdrawn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spak.kg.law.kinds import AnyLaw, meaning
from spak.kg.law.power import DEAD
from spak.kg.law.scope import Matcher, Question
from spak.kg.model.base import Model
from spak.kg.model.law import Law
from spak.kg.model.store import Store, SupersededLaw

CHECK = "supersedes"
"""What a law acknowledges that takes the power of one about safety, and says why."""


class Superseded(Model, frozen=True, kw_only=True):
    """A law that has no power here.

    Attributes:
        path: Its file: relative to the root, absolute in a root beneath it.
        layer: What the layer is called that it lies in.
        by: Id of the law that supersedes it, the uppermost if there are several.
        by_layer: What the layer is called that one lies in; empty for the root itself.
    """

    law: AnyLaw
    path: str
    layer: str
    by: str
    by_layer: str

    @property
    def words(self) -> str:
        """`ID (confirmed, packaged) is superseded by ID`."""
        by = f"{self.by} ({self.by_layer})" if self.by_layer else self.by
        return f"{self.law.id} ({self.law.status}, {self.layer}) is superseded by {by}"


@dataclass(frozen=True)
class Placed:
    """A law and where it lies.

    Attributes:
        folder: Of its layer.
        relative: Its file below that.
        layer: Number of the layer: 0 is the root, and none lies over one of a smaller number.
    """

    law: AnyLaw
    folder: Path
    relative: str
    layer: int

    @property
    def path(self) -> str:
        """As in `Superseded`."""
        return str(self.folder / self.relative) if self.layer else self.relative

    @property
    def file(self) -> Path:
        """As people are told."""
        return self.folder / self.relative


@dataclass(frozen=True)
class LayerOrder:
    """One layer: what it is called, and the numbers of those beneath it, however far."""

    name: str
    beneath: Collection[int]


@dataclass(frozen=True)
class Settled:
    """The laws of a root over others.

    Attributes:
        laws: Those that have power, by id.
        flaws: What is wrong: the law, field of its file, message.
    """

    laws: Mapping[str, Placed]
    superseded: tuple[Superseded, ...]
    flaws: tuple[tuple[Placed, str, str], ...]


def settle(placed: Mapping[str, Sequence[Placed]], layers: Sequence[LayerOrder]) -> Settled:
    """Which of the laws of all layers have power. One id twice is a flaw, unless what lies above supersedes the other.

    Args:
        placed: Id -> every law of that id, upper layers first.
        layers: By number, upper ones first.
    """
    by: dict[str, Placed] = {}
    flaws: list[tuple[Placed, str, str]] = []
    for one in (one for same in placed.values() for one in same if one.law.related):
        for index, target in _targets(one.law):
            taken = [other for other in placed.get(target, ()) if other.layer in layers[one.layer].beneath]
            flaws += ((one, f"related[{index}].id", said) for said in _objections(one, target, taken))
            for other in taken:
                held = by.get(other.path)
                by[other.path] = one if held is None or (one.layer, one.law.id) < (held.layer, held.law.id) else held
    laws: dict[str, Placed] = {}
    for name, same in placed.items():
        for one in (one for one in same if one.path not in by):
            if name in laws:
                flaws.append((one, "id", _twice(laws[name], one)))
            laws.setdefault(name, one)
    gone = (one for same in placed.values() for one in same if one.path in by)
    return Settled(laws, tuple(_superseded(one, by[one.path], layers) for one in gone), tuple(flaws))


def _targets(law: Law) -> Iterator[tuple[int, str]]:
    """Place and id of each law that `law` says it supersedes."""
    return ((index, link.id) for index, link in enumerate(law.related) if link.type == "supersedes")


def _objections(one: Placed, target: str, taken: Sequence[Placed]) -> Iterator[str]:
    """Why a law may not supersede what lies beneath."""
    if target == one.law.id and not taken:
        yield "there is no law of its own id in a layer beneath; name another, or remove the link"
    for other in taken:
        if meaning(other.law).is_safety and other.law.status not in DEAD and not acknowledged(one.law):
            what = f"{other.file} is about safety: without it searches may hang or choose what gives wrong numbers"
            yield f'{what}; say why it may go: acknowledges: ["{CHECK}: REASON"]'


def acknowledged(law: Law) -> bool:
    """Whether the law says why a law about safety may lose its power."""
    found = (entry.partition(":") for entry in law.acknowledges)
    return any(name.strip() == CHECK and reason.strip() for name, _, reason in found)


def _twice(upper: Placed, one: Placed) -> str:
    return (
        f"law {one.law.id} is in {upper.file} already; ids are unique: rename one, or say in a layer above this one "
        f"that it supersedes it: related: [{{type: supersedes, id: {one.law.id}}}]"
    )


def _superseded(one: Placed, by: Placed, layers: Sequence[LayerOrder]) -> Superseded:
    return Superseded(
        law=one.law,
        path=one.path,
        layer=layers[one.layer].name,
        by=by.law.id,
        by_layer=layers[by.layer].name if by.layer else "",
    )


def silenced(store: Store, question: Question) -> tuple[SupersededLaw, ...]:
    """The superseded laws that would have answered `question`, by id.

    Raises:
        ToolchainError: If a toolchain cannot be read.
    """
    matcher = Matcher(store, question)
    found = (one for one in store.superseded if matcher.match(one.law) is not None)
    return tuple(sorted(found, key=lambda one: (one.law.id, one.layer)))


def in_force(store: Store) -> dict[str, str]:
    """Id of each superseded law -> the law that has its place: a chain ends, since each link leads up a layer."""
    successors = {one.law.id: one.by for one in store.superseded}
    found = {}
    for gone, first in successors.items():
        law = first
        while law not in store.laws and law in successors:
            law = successors[law]
        found[gone] = law
    return found
