"""`kg lineage`: the line of systems that led to one, what each added, and the laws it took over."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from spak.kg.answers.graph import Graph, along, build_graph, ids, key
from spak.kg.errors import KgError
from spak.kg.law.kinds import meaning
from spak.kg.model.law import Law
from spak.kg.model.store import Store
from spak.kg.model.system import System
from spak.kg.model.taxonomy import by_plain_name, resolved


@dataclass(frozen=True)
class Step:
    """One system of a line.

    Attributes:
        gained: Laws it inherits that none of its ancestors in the line does; None for a law that the root lacks.
        kept: Ids of laws it inherits that an ancestor inherits already.
        rewrites: Transformation laws that lead to it.
    """

    system: System
    gained: Mapping[str, Law | None]
    kept: tuple[str, ...]
    rewrites: tuple[Law, ...]


def lineage(store: Store, name: str) -> tuple[Step, ...]:
    """The line that ends in the system called `name`, each system after all that it is derived from.

    Raises:
        UnknownNameError: If no system has that id, alias or title.
        KgError: If systems are derived from each other in a circle.
    """
    graph = build_graph(store)
    derived, start = along(graph, "derived_from"), key("system", resolved("system", name, by_plain_name(store.systems)))
    with contextlib.suppress(nx.NetworkXNoCycle):
        circle = ids((edge[0] for edge in nx.find_cycle(derived, start)), "system")
        raise KgError(
            f"systems are derived from each other: {' -> '.join([*circle, circle[0]])}; remove one derived_from"
        )
    line = ids(nx.dfs_postorder_nodes(derived, start), "system")
    return tuple(_step(store, graph, system) for system in line if system in store.systems)


def _step(store: Store, graph: Graph, name: str) -> Step:
    node, inherits = key("system", name), along(graph, "inherits")
    earlier = nx.descendants(along(graph, "derived_from"), node)
    before = {law for system in earlier for law in inherits.successors(system)}
    named = along(graph, "applies_to").predecessors(node)
    claims = [store.laws[law] for law in ids(named, "law")]
    rewrites = tuple(law for law in claims if (meaning(law).rewrites or ("", ""))[1] == name)
    own = list(inherits.successors(node))
    new = ids((law for law in own if law not in before), "law")
    return Step(
        system=store.systems[name],
        gained={law: store.laws.get(law) for law in new if law not in {rewrite.id for rewrite in rewrites}},
        kept=tuple(ids((law for law in own if law in before), "law")),
        rewrites=rewrites,
    )
