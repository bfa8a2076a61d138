"""The graph of a law root: typed nodes, edges that are verbs. Built on demand from the files' content, never the truth.

Lineage, the page of `kg view` and every export are read off it, and so is whatever somebody asks with NetworkX's own
algorithms. `kg query` walks the same `is_a` and `part_of` without it (docs/decisions/0022-the-graph-and-the-query.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import networkx as nx

from spak.kg.law.conflict import Conflict
from spak.kg.law.kinds import kind_of, meaning
from spak.kg.law.statement import knobs
from spak.kg.model.law import Evidence, Law
from spak.kg.model.op import Op
from spak.kg.model.store import Store
from spak.kg.model.system import System

NodeKind = Literal["hardware", "op", "parameter", "system", "kernel", "law", "run"]
if TYPE_CHECKING:
    Graph = nx.MultiDiGraph[str]
else:
    Graph = nx.MultiDiGraph


def key(kind: NodeKind, identifier: str) -> str:
    """The graph's name of a node: ids are unique only within their kind (fmha is an op and a kernel)."""
    return f"{kind}:{identifier}"


def along(graph: Graph, verb: str) -> Graph:
    """A view of `graph` that has the edges of one verb only, for NetworkX's algorithms."""
    view: Graph = nx.subgraph_view(graph, filter_edge=lambda *edge: edge[-1] == verb)
    return view


def ids(nodes: Iterable[str], kind: NodeKind) -> list[str]:
    """Ids of those of `nodes` that are of a kind, in the order given."""
    return [node.removeprefix(f"{kind}:") for node in nodes if node.startswith(f"{kind}:")]


def build_graph(store: Store, conflicts: Iterable[Conflict] = ()) -> Graph:
    """The whole graph of `store`.

    Every node has `kind`, `name` (its id) and `title`; an edge's key and its `verb` are `is_a`, `part_of`, `applies_to`, `governs`,
    `supports`, `refutes`, `derived_from`, `refines`, `supersedes`, `conflicts_with` (both ways; its `note` says why), `inherits` or `implements`.
    """
    graph: Graph = nx.MultiDiGraph()
    for identifier, hardware in store.hardware.items():
        graph.add_node(
            key("hardware", identifier), kind="hardware", name=identifier, title=hardware.title, level=hardware.kind
        )
        _connect(graph, key("hardware", identifier), "is_a", (key("hardware", parent) for parent in hardware.is_a))
    for op in store.ops.values():
        _add_op(graph, op)
    for system in store.systems.values():
        _add_system(graph, system)
    for law in store.laws.values():
        _add_law(graph, law, store)
    for conflict in conflicts:
        one, other = (key("law", law) for law in conflict.laws)
        for start, end in ((one, other), (other, one)):
            _connect(graph, start, "conflicts_with", [end], note=f"{conflict.reason} (at {conflict.problem})")
    return graph


def _add_op(graph: Graph, op: Op) -> None:
    node = key("op", op.id)
    graph.add_node(node, kind="op", name=op.id, title=op.title)
    _connect(graph, node, "is_a", (key("op", parent) for parent in op.is_a))
    _connect(graph, node, "part_of", (key("op", whole) for whole in op.part_of))
    for name, parameter in op.parameters.items():
        identifier = f"{op.id}.{name}"
        graph.add_node(key("parameter", identifier), kind="parameter", name=identifier, title=parameter.description)
        _connect(graph, key("parameter", identifier), "part_of", [node])
    if op.parameters:
        graph.add_node(key("kernel", op.id), kind="kernel", name=op.id, title=f"Kernel of {op.title}")
        _connect(graph, key("kernel", op.id), "implements", [node])


def _add_system(graph: Graph, system: System) -> None:
    node = key("system", system.id)
    graph.add_node(node, kind="system", name=system.id, title=system.title, level=system.level, state=system.state)
    _connect(graph, node, "derived_from", (key("system", other) for other in system.derived_from))
    _connect(graph, node, "implements", (key("op", op) for op in system.built_from))
    _connect(graph, node, "inherits", (key("law", law) for law in system.inherits))


def _add_law(graph: Graph, law: Law, store: Store) -> None:
    node = key("law", law.id)
    graph.add_node(node, kind="law", name=law.id, title=law.title, law_kind=kind_of(law), status=law.status)
    _connect(graph, node, "applies_to", [key("hardware", law.scope.hw), key("op", law.scope.op)])
    systems = [key("system", system) for system in meaning(law).rewrites or () if system in store.systems]
    _connect(graph, node, "applies_to", systems)
    op = store.ops.get(law.scope.op)
    if op is not None:
        _connect(graph, node, "governs", (key("parameter", f"{op.id}.{name}") for name in knobs(law, op.parameters)))
    for evidence in law.evidence:
        _add_evidence(graph, node, evidence)
    for related in law.related:
        if related.type != "renamed-from" and related.id != law.id:  # its own id: the law beneath, which has no node
            _connect(graph, node, related.type.replace("-", "_"), [key("law", related.id)])


def _add_evidence(graph: Graph, law: str, evidence: Evidence) -> None:
    run = key("run", evidence.run)
    if run not in graph or "kind" not in graph.nodes[run]:
        graph.add_node(run, kind="run", name=evidence.run, title=evidence.run, tier=evidence.tier)
    if evidence.verdict != "inconclusive":
        graph.add_edge(run, law, key=evidence.verdict, verb=evidence.verdict, tier=evidence.tier, role=evidence.role)


def _connect(graph: Graph, start: str, verb: str, ends: Iterable[str], **data: str) -> None:
    for end in ends:
        if end not in graph:  # named before its own file is reached; whoever owns the file fills in the rest
            kind, _, identifier = end.partition(":")
            graph.add_node(end, kind=kind, name=identifier, title=identifier)
        graph.add_edge(start, end, key=verb, verb=verb, **data)
