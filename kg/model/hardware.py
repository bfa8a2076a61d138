"""Hardware nodes: devices, compute capabilities, architectures and vendors, each with sourced facts."""

from __future__ import annotations

from typing import Literal

from spak.kg.model.base import Model, Reference, Scalar
from spak.kg.model.law import Id

HardwareKind = Literal["device", "compute-capability", "architecture", "vendor"]


class Fact(Model, frozen=True, kw_only=True):
    """One number about a piece of hardware.

    Attributes:
        value: In the unit that the fact's name implies (see docs/formats.md).
        source: Document and table, or how it was derived.
        confirmed: False while no vendor document or measurement backs it.
        note: Disagreements, such as another figure that a driver reports.
    """

    value: Scalar
    source: str
    confirmed: bool = True
    note: str = ""


class Hardware(Model, frozen=True, kw_only=True):
    """One node. Facts of an ancestor hold for its descendants unless they state their own."""

    id: Id
    title: str
    kind: HardwareKind
    is_a: tuple[Id, ...] = ()
    aliases: tuple[str, ...] = ()
    facts: dict[str, Fact] = {}
    references: tuple[Reference, ...] = ()
