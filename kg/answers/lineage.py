"""`kg lineage`: the line of systems that led to one, what each added, and the laws it took over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from spak.kg.errors import KgError, UnknownNameError
from spak.kg.model.law import Law, TransformationLaw
from spak.kg.model.store import Store
from spak.kg.model.system import System
from spak.kg.model.taxonomy import nearest, plain


@dataclass(frozen=True)
class Step:
    """One system of a line.

    Attributes:
        system: Its file.
        gained: Laws it inherits that none of its ancestors in the line does; None for a law that the root lacks.
        kept: Ids of laws it inherits that an ancestor inherits already.
        rewrites: Transformation laws that lead to it.
    """

    system: System
    gained: Mapping[str, Law | None]
    kept: tuple[str, ...]
    rewrites: tuple[Law, ...]


def lineage(store: Store, name: str) -> tuple[Step, ...]:
    """The line that ends in the system called `name`, oldest first.

    Raises:
        UnknownNameError: If no system has that id, alias or title.
        KgError: If systems are derived from each other in a circle.
    """
    line = _ancestors(store.systems, resolve(store.systems, name))
    order = TopologicalSorter({one: [o for o in store.systems[one].derived_from if o in line] for one in sorted(line)})
    try:
        names = tuple(order.static_order())
    except CycleError as error:
        msg = f"systems are derived from each other: {' -> '.join(error.args[1])}; remove one derived_from"
        raise KgError(msg) from None
    return tuple(_step(store, one) for one in names)


def resolve(systems: Mapping[str, System], name: str) -> str:
    """The id of the system called `name`, whatever its case, spaces, hyphens and underscores.

    Raises:
        UnknownNameError: If there is none.
    """
    names: dict[str, str] = {}
    for identifier, system in systems.items():
        for other in (identifier, *system.aliases, system.title):
            names.setdefault(plain(other), identifier)
    if plain(name) not in names:
        raise UnknownNameError("system", name, nearest(name, names.items()))
    return names[plain(name)]


def _ancestors(systems: Mapping[str, System], start: str) -> set[str]:
    """`start` and everything it is derived from."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in systems and name not in found:
            found.add(name)
            waiting += systems[name].derived_from
    return found


def _step(store: Store, name: str) -> Step:
    system = store.systems[name]
    before = {law for other in _ancestors(store.systems, name) - {name} for law in store.systems[other].inherits}
    rewrites = tuple(law for law in store.laws.values() if isinstance(law, TransformationLaw) and law.claim.to == name)
    new = [law for law in system.inherits if law not in before and law not in {rewrite.id for rewrite in rewrites}]
    return Step(
        system=system,
        gained={law: store.laws.get(law) for law in new},
        kept=tuple(law for law in system.inherits if law in before),
        rewrites=rewrites,
    )
