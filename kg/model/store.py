"""What the answers are computed from: the typed collections of one law root, however they were obtained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Law
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


class Store(NodeStore, Protocol):
    """The collections of one law root by id (`spak.kg.files.loader.Laws` is one)."""

    @property
    def laws(self) -> Mapping[str, Law]:
        """Every law, withdrawn ones included."""
