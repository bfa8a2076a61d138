"""Laws as a cache keeps them: by op, and those of an op are decoded once somebody asks for one of them.

A question is about an op and its relatives. Of 100,000 laws that is a part, and decoding is what takes time.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Collection, Iterator, Mapping

import msgspec

from spak.kg.law.kinds import AnyLaw
from spak.kg.model.base import Model
from spak.kg.model.law import Law


class Packed(Model, frozen=True, kw_only=True):
    """The laws that are stated for one op.

    Attributes:
        ids: In the order in which they were loaded.
        laws: Those laws, encoded.
        toolchains: Every `name version` that their evidence is from.
    """

    ids: tuple[str, ...]
    laws: msgspec.Raw
    toolchains: tuple[str, ...]


class Shelf(Mapping[str, AnyLaw]):
    """Id -> law, of laws that are decoded op by op."""

    def __init__(self, packed: Mapping[str, Packed], order: Mapping[str, object]) -> None:
        """Keep what is packed by op; `order`: every id, in the order of the whole."""
        self._packed = packed
        self._order = order
        self._open: dict[str, dict[str, AnyLaw]] = {}
        self._op_of: dict[str, str] = {}
        self.is_kept = False

    def about(self, ops: Collection[str]) -> Iterator[Law]:
        """The laws stated for one of `ops`; no other is decoded."""
        for op in ops:
            if op in self._packed:
                yield from self._opened(op).values()

    @property
    def toolchains(self) -> set[str]:
        """Every `name version` that any evidence is from; nothing is decoded."""
        return {toolchain for packed in self._packed.values() for toolchain in packed.toolchains}

    def __getitem__(self, law: str) -> AnyLaw:
        """A law by id."""
        if not self._op_of:
            self._op_of = {name: op for op, packed in self._packed.items() for name in packed.ids}
        return self._opened(self._op_of[law])[law]

    def __contains__(self, law: object) -> bool:
        """Whether there is a law of an id; nothing is decoded."""
        return law in self._order

    def __iter__(self) -> Iterator[str]:
        """Every id; nothing is decoded."""
        return iter(self._order)

    def __len__(self) -> int:
        """How many there are; nothing is decoded."""
        return len(self._order)

    def _opened(self, op: str) -> dict[str, AnyLaw]:
        if op not in self._open:
            packed = self._packed[op]
            with no_collection():
                laws = msgspec.msgpack.decode(packed.laws, type=tuple[AnyLaw, ...])
                self._open[op] = dict(zip(packed.ids, laws, strict=True))
                if self.is_kept:
                    gc.freeze()  # before the pause ends: a collection that is due then would look at all of them
        return self._open[op]


def keep_loaded(laws: Mapping[str, Law]) -> None:
    """Never look for garbage in what this process has loaded, nor in what is decoded of `laws` later: there is none.

    For a process that ends with them; one that goes on would keep its real garbage too.
    """
    if isinstance(laws, Shelf):
        laws.is_kept = True
    gc.freeze()


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Pause garbage collection: a load makes millions of objects and no cycles, and would be scanned again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def packed(laws: Mapping[str, Law]) -> dict[str, Packed]:
    """`laws` by the op that they are stated for."""
    by_op: dict[str, list[Law]] = {}
    for law in laws.values():
        by_op.setdefault(law.scope.op, []).append(law)
    return {
        op: Packed(
            ids=tuple(law.id for law in found),
            laws=msgspec.Raw(msgspec.msgpack.encode(found)),
            toolchains=tuple(sorted(toolchains_of(found))),
        )
        for op, found in by_op.items()
    }


def toolchains_of(laws: Collection[Law]) -> set[str]:
    """Every `name version` that evidence of `laws` is from."""
    return {entry.toolchain for law in laws for entry in law.evidence if entry.toolchain}
