"""What the answers are computed from: the typed collections of one law root, however they were obtained."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from spak.kg.model.cohort import Cohort
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Law, Related
from spak.kg.model.op import Op
from spak.kg.model.system import System


class NodeStore(Protocol):
    """What laws and runs are about, by id."""

    @property
    def hardware(self) -> Mapping[str, Hardware]:
        """Every hardware node."""

    @property
    def ops(self) -> Mapping[str, Op]:
        """Every op node."""

    @property
    def systems(self) -> Mapping[str, System]:
        """Every system node."""


class SupersededLaw(Protocol):
    """A law beneath that has no power, because one above supersedes it (`spak.kg.law.superseding.Superseded` is one)."""

    @property
    def law(self) -> Law:
        """The law."""

    @property
    def layer(self) -> str:
        """What the layer is called that it lies in."""

    @property
    def by(self) -> str:
        """Id of the law that supersedes it."""

    @property
    def words(self) -> str:
        """Which law, of which layer, is superseded by which."""


class Store(NodeStore, Protocol):
    """The collections of one law root by id (`spak.kg.files.loader.Laws` is one)."""

    @property
    def laws(self) -> Mapping[str, Law]:
        """Every law, withdrawn ones included."""

    @property
    def superseded(self) -> Sequence[SupersededLaw]:
        """Laws beneath that have no power; none of them is among `laws`."""

    @property
    def links(self) -> Mapping[str, Sequence[Related]]:
        """Id of each law that says how it relates to others -> what it says; a store need not decode the others."""

    def about(self, ops: Collection[str], /) -> Iterable[Law]:
        """The laws stated for one of `ops`, by op; a store need not look at others."""

    def cohorts(self, ops: Collection[str], /) -> Iterable[Cohort]:
        """The same laws by what they share; a store need not decode them. Each law has its place among those of its op."""

    def layer_of(self, law: str, /) -> str:
        """What the layer is called that a law of `laws` lies in; empty for the root itself."""
