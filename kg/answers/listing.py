"""`kg list`: what there is of a kind, by id, each with what a person needs to pick one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Literal

from spak.kg.model.base import Model
from spak.kg.model.figures import counted
from spak.kg.model.law import Scope
from spak.kg.model.store import Store

ListedKind = Literal["hardware", "ops", "kernels", "laws", "systems", "runs"]
"""What can be listed."""


class Listed(Model, frozen=True, kw_only=True, omit_defaults=False):
    """One thing that there is.

    Attributes:
        about: In words: a title, and what tells it from its neighbours.
    """

    id: str
    about: str = ""


def listing(store: Store, what: ListedKind, *, kernels: Collection[str], runs: Collection[str]) -> tuple[Listed, ...]:
    """Everything of one kind, by id.

    Args:
        store: Where it is from.
        what: Which kind.
        kernels: Ids of the ops that a kernel implements.
        runs: Ids of the run files; none is opened, their ids say tier, hardware, op and problem size.
    """
    if what == "runs":
        return tuple(Listed(id=name) for name in sorted(runs))
    rows = {
        "hardware": _hardware,
        "ops": _ops,
        "kernels": lambda store: (row for row in _ops(store) if row.id in kernels),
        "laws": _laws,
        "systems": _systems,
    }[what](store)
    return tuple(sorted(rows, key=lambda row: row.id))


def _hardware(store: Store) -> Iterator[Listed]:
    laws = _counted(store, lambda scope: scope.hw)
    for node in store.hardware.values():
        yield Listed(
            id=node.id, about=_facts(node.title, f"a {' and a '.join(node.is_a)}" if node.is_a else "", laws[node.id])
        )


def _ops(store: Store) -> Iterator[Listed]:
    laws = _counted(store, lambda scope: scope.op)
    for node in store.ops.values():
        knobs = counted(len(node.parameters), "parameter") if node.parameters else ""
        yield Listed(id=node.id, about=_facts(node.title, knobs, laws[node.id]))


def _counted(store: Store, what: Callable[[Scope], str]) -> Mapping[str, int]:
    """How many laws are stated for each; none is decoded."""
    counts: Counter[str] = Counter()
    for cohort in store.cohorts(store.ops):
        counts[what(cohort.traits.scope)] += len(cohort)
    return counts


def _facts(title: str, what: str, laws: int) -> str:
    return "; ".join(filter(None, (title, what, counted(laws, "law") if laws else "")))


def _laws(store: Store) -> Iterator[Listed]:
    for law in store.laws.values():
        yield Listed(id=law.id, about=f"{law.status}: {law.title}")


def _systems(store: Store) -> Iterator[Listed]:
    for node in store.systems.values():
        yield Listed(id=node.id, about=f"{node.title}; {node.state}")
