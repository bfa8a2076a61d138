"""Laws as a cache keeps them: in cohorts of each op, and a cohort is decoded once somebody asks for one of its laws.

A question is about an op and its relatives, and shows few of the laws that match. Of 100,000 laws decoding is what takes time.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Collection, ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from functools import cached_property
from itertools import chain
from typing import Protocol, TypeVar

import msgspec

from spak.kg.errors import InvalidFilesError, Problem
from spak.kg.files.entry import Cuttings, EntryPiece, Pieces
from spak.kg.law.kinds import AnyLaw
from spak.kg.model.base import Model
from spak.kg.model.cohort import Traits, cohorts
from spak.kg.model.law import Law, Related

_T = TypeVar("_T")


class PackedCohort(Model, frozen=True, kw_only=True):
    """The laws of an op that share their traits.

    Attributes:
        names: Their ids, and their places among the laws of the op, as `Cohort` has them, encoded.
        laws: They themselves.
    """

    traits: Traits
    count: int
    names: bytes
    laws: EntryPiece


class Packed(Model, frozen=True, kw_only=True):
    """The laws that are stated for one op.

    Attributes:
        toolchains: Every `name version` that their evidence is from.
    """

    cohorts: tuple[PackedCohort, ...]
    toolchains: tuple[str, ...]


class LoadedFiles(Protocol):
    """What a load of the files gives (`Contents` does)."""

    @property
    def laws(self) -> Mapping[str, AnyLaw]:
        """Every law."""

    @property
    def files(self) -> Mapping[str, Mapping[str, str]]:
        """Kind -> id -> path."""


class Vault:
    """The pieces of an entry decoded; what is damaged comes from the files instead.

    Attributes:
        is_kept: Whether nobody looks for garbage in what comes out (`keep_loaded`).
    """

    def __init__(self, pieces: Pieces, again: Callable[[], LoadedFiles]) -> None:
        """Keep the pieces; `again` loads the files."""
        self._pieces, self._again = pieces, again
        self.is_kept = False

    @cached_property
    def _fresh(self) -> LoadedFiles:
        return self._again()

    def get(self, piece: EntryPiece, kind: type[_T], instead: Callable[[LoadedFiles], _T]) -> _T:
        """What a piece holds; `instead` takes it from a load of the files.

        Raises:
            InvalidFilesError: If it is damaged, and the files are no longer those that it was made from.
        """
        with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError), no_collection():
            found = msgspec.msgpack.decode(self._pieces.read(piece), type=kind)
            if self.is_kept:
                gc.freeze()  # before the pause ends: a collection that is due then would look at all of it
            return found
        try:
            return instead(self._fresh)
        except KeyError as missing:
            message = "the file changed while it was being read; run the command again"
            raise InvalidFilesError([Problem(str(missing.args[0]), 0, 0, "", message)]) from None


class ShelvedCohort:
    """A cohort that is decoded when its laws are asked for."""

    def __init__(self, packed: PackedCohort, vault: Vault) -> None:
        """Decode nothing."""
        self._packed, self._vault = packed, vault

    @property
    def traits(self) -> Traits:
        """What the laws share."""
        return self._packed.traits

    def __len__(self) -> int:
        """How many they are; nothing is decoded."""
        return self._packed.count

    @cached_property
    def _names(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        return msgspec.msgpack.decode(self._packed.names, type=tuple[tuple[str, ...], tuple[int, ...]])

    @property
    def ids(self) -> Sequence[str]:
        """Theirs, in alphabetical order; no law is decoded."""
        return self._names[0]

    @property
    def places(self) -> Sequence[int]:
        """Which of all laws of their op each is, in the order of `ids`; no law is decoded."""
        return self._names[1]

    @property
    def is_open(self) -> bool:
        """Whether the laws were decoded."""
        return "laws" in self.__dict__

    @cached_property
    def laws(self) -> Sequence[AnyLaw]:
        """They themselves, in the order of `ids`."""
        return self._vault.get(
            self._packed.laws, tuple[AnyLaw, ...], lambda loaded: tuple(loaded.laws[name] for name in self.ids)
        )


class Paths(Mapping[str, Mapping[str, str]]):
    """Kind -> id -> path; the paths of a kind are decoded when they are asked for."""

    def __init__(self, packed: Mapping[str, EntryPiece], vault: Vault) -> None:
        """Decode nothing."""
        self._packed, self._vault = packed, vault
        self._open: dict[str, dict[str, str]] = {}

    def __getitem__(self, kind: str) -> Mapping[str, str]:
        """Id -> path of a kind."""
        if kind not in self._open:
            piece = self._packed[kind]
            self._open[kind] = self._vault.get(piece, dict[str, str], lambda loaded: dict(loaded.files[kind]))
        return self._open[kind]

    def __iter__(self) -> Iterator[str]:
        """Every kind."""
        return iter(self._packed)

    def __len__(self) -> int:
        """How many kinds there are."""
        return len(self._packed)


class Shelf(Mapping[str, AnyLaw]):
    """Id -> law, of laws that are decoded cohort by cohort."""

    def __init__(
        self,
        packed: Mapping[str, Packed],
        links: Mapping[str, tuple[Related, ...]],
        paths: Mapping[str, Mapping[str, str]],
        vault: Vault,
    ) -> None:
        """Keep what is packed by op, and `Contents.links`; `paths` has the ids of laws in the order of the whole."""
        self._packed, self.links, self._paths, self._vault = packed, links, paths, vault
        self._cohorts: dict[str, tuple[ShelvedCohort, ...]] = {}
        self._ordered: dict[str, list[AnyLaw]] = {}

    def cohorts(self, ops: Collection[str]) -> Iterator[ShelvedCohort]:
        """The laws stated for one of `ops`; none is decoded."""
        for op in ops:
            yield from self._of(op)

    def about(self, ops: Collection[str]) -> Iterator[Law]:
        """The laws stated for one of `ops`, by op, as they were loaded; no other is decoded."""
        for op in ops:
            yield from self._in_order(op)

    @property
    def toolchains(self) -> set[str]:
        """Every `name version` that any evidence is from; nothing is decoded."""
        return {toolchain for packed in self._packed.values() for toolchain in packed.toolchains}

    def keep(self) -> None:
        """See `keep_loaded`."""
        self._vault.is_kept = True

    def __getitem__(self, law: str) -> AnyLaw:
        """A law by id."""
        cohort, place = self._where[law]
        return cohort.laws[place]

    def __contains__(self, law: object) -> bool:
        """Whether there is a law of an id; none is decoded."""
        return law in self._where

    def __iter__(self) -> Iterator[str]:
        """Every id; no law is decoded."""
        return iter(self._paths["law"])

    def __len__(self) -> int:
        """How many there are; nothing is decoded."""
        return sum(cohort.count for packed in self._packed.values() for cohort in packed.cohorts)

    def values(self) -> ValuesView[AnyLaw]:
        """Every law."""
        return self._whole.values()

    def items(self) -> ItemsView[str, AnyLaw]:
        """Every law with its id."""
        return self._whole.items()

    def _of(self, op: str) -> tuple[ShelvedCohort, ...]:
        if op in self._packed and op not in self._cohorts:
            self._cohorts[op] = tuple(ShelvedCohort(one, self._vault) for one in self._packed[op].cohorts)
        return self._cohorts.get(op, ())

    def _in_order(self, op: str) -> Sequence[AnyLaw]:
        if op not in self._ordered:
            with no_collection():
                placed = {place: law for one in self._of(op) for place, law in zip(one.places, one.laws, strict=True)}
                self._ordered[op] = [placed[place] for place in range(len(placed))]
        return self._ordered[op]

    @cached_property
    def _where(self) -> dict[str, tuple[ShelvedCohort, int]]:
        with no_collection():
            every = chain.from_iterable(map(self._of, self._packed))
            return {name: (cohort, place) for cohort in every for place, name in enumerate(cohort.ids)}

    @cached_property
    def _whole(self) -> dict[str, AnyLaw]:
        with no_collection():
            every = chain.from_iterable(map(self._of, self._packed))
            found = {name: law for cohort in every for name, law in zip(cohort.ids, cohort.laws, strict=True)}
            return {name: found[name] for name in self}


def keep_loaded(laws: Mapping[str, Law]) -> None:
    """Never look for garbage in what this process has loaded, nor in what is decoded of `laws` later: there is none.

    For a process that ends with them; one that goes on would keep its real garbage too.
    """
    if isinstance(laws, Shelf):
        laws.keep()
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


def packed(laws: Mapping[str, Law], cuttings: Cuttings) -> dict[str, Packed]:
    """`laws` by the op that they are stated for; they themselves become pieces among `cuttings`."""
    by_op: dict[str, list[Law]] = {}
    for law in laws.values():
        by_op.setdefault(law.scope.op, []).append(law)
    return {op: _packed(found, cuttings) for op, found in by_op.items()}


def _packed(laws: Collection[Law], cuttings: Cuttings) -> Packed:
    found = [
        PackedCohort(
            traits=one.traits,
            count=len(one),
            names=msgspec.msgpack.encode((one.ids, one.places)),
            laws=cuttings.add(one.laws),
        )
        for one in cohorts(laws)
    ]
    return Packed(cohorts=tuple(found), toolchains=tuple(sorted(toolchains_of(laws))))


def toolchains_of(laws: Iterable[Law]) -> set[str]:
    """Every `name version` that evidence of `laws` is from."""
    return {entry.toolchain for law in laws for entry in law.evidence if entry.toolchain}
