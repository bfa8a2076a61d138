"""Hardware nodes: devices, compute capabilities, architectures and vendors, each with sourced facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from spak.kg.errors import KgError, UnknownNameError
from spak.kg.model.base import Model, Reference, Scalar
from spak.kg.model.law import Id
from spak.kg.model.taxonomy import Taxonomy

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
    default: bool = False
    """Whether to compile for it where no GPU is found and none is named; of one device at most."""
    facts: dict[str, Fact] = {}
    references: tuple[Reference, ...] = ()


def device_node(hardware: Mapping[str, Hardware], device: str) -> str | None:
    """The node that `device`, as its driver or a file names it, is; None if none has that name."""
    try:
        return Taxonomy("hardware", hardware).resolve(device)
    except UnknownNameError:
        return None


def check_device(hardware: Mapping[str, Hardware], hw: str, device: str) -> None:
    """Check that what ran on `device`, as its driver names it, may be recorded for the node `hw`.

    Raises:
        KgError: If the device is another node, or none that is known.
    """
    found = device_node(hardware, device)
    if found is None:
        raise KgError(
            f"this ran on {device!r}, which no hardware node has as a name; add it to the aliases of {hw} if it is one"
        )
    if found != hw:
        raise KgError(f"this ran on {device!r}, which is {found}, not {hw}; nothing is recorded for other hardware")


class HardwareNodes(Protocol):
    """Whatever has hardware nodes, such as a law root."""

    @property
    def hardware(self) -> Mapping[str, Hardware]:
        """Every hardware node."""


def hardware_facts(store: HardwareNodes, hw: str) -> dict[str, Scalar]:
    """Every fact that holds for `hw`: its own, then those of the nodes it is, nearest first."""
    facts: dict[str, Scalar] = {}
    for node in Taxonomy("hardware", store.hardware).ancestors(hw):
        for name, fact in store.hardware[node].facts.items() if node in store.hardware else ():
            facts.setdefault(name, fact.value)
    return facts


def compute_capability(store: HardwareNodes, hw: str) -> str | None:
    """The compute capability that `hw` is or is a device of; None for an architecture or a vendor."""
    for node in Taxonomy("hardware", store.hardware).ancestors(hw):
        if node in store.hardware and store.hardware[node].kind == "compute-capability":
            return node
    return None
