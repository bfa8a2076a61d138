"""The graph and its exports."""

from __future__ import annotations

import json
from io import StringIO

import networkx as nx
import pytest

from spak.kg.answers.graph import along, build_graph, ids, key
from spak.kg.answers.graph_export import FORMATS, to_dot, to_mermaid
from spak.kg.answers.query import Ask, query
from spak.kg.law.conflict import Conflict
from tests.kg.small import ROOT
from tests.shipped import LAWS

GRAPH = build_graph(ROOT, [Conflict(("small-tiles", "spills"), "both at once", "default")])
WHOLE = build_graph(LAWS)


def edges(verb: str) -> set[tuple[str, str]]:
    return {(start, end) for start, end, data in GRAPH.edges(data=True) if data["verb"] == verb}


def test_every_file_and_what_it_names_is_a_node():
    """Nodes carry their kind, name and title, whoever mentioned them first; a law that has no file is a bare node."""
    kinds = {data["kind"] for _, data in GRAPH.nodes(data=True)}
    assert kinds == {"hardware", "op", "parameter", "system", "kernel", "law", "run"}
    assert GRAPH.nodes[key("law", "spills")] == {
        "kind": "law", "name": "spills", "title": "Title of spills", "law_kind": "negative", "status": "confirmed"
    }  # fmt: skip
    assert GRAPH.nodes[key("law", "gone")] == {"kind": "law", "name": "gone", "title": "gone"}


def test_edges_are_verbs():
    """One edge of each verb that the small root has."""
    assert ("hardware:rtx5070", "hardware:sm_120") in edges("is_a")
    assert ("op:attention", "op:gpt-block") in edges("part_of")
    assert ("parameter:fmha.tile_m", "op:fmha") in edges("part_of")
    assert ("kernel:fmha", "op:fmha") in edges("implements")
    assert {("law:spills", "hardware:sm_120"), ("law:spills", "op:fmha")} <= edges("applies_to")
    assert ("law:one-to-two", "system:v2") in edges("applies_to")
    assert ("law:latency-4-or-5", "parameter:fmha.v_latency") in edges("governs")
    assert ("run:run-b", "law:spills") in edges("supports")
    assert edges("refutes") == {("run:run-c", "law:refuted-claim")}
    assert edges("derived_from") == {("system:v2", "system:v1")}
    assert edges("refines") == {("law:latency-4-or-5", "law:spills")}
    assert ("system:v1", "law:mask-floor") in edges("inherits")
    assert edges("conflicts_with") == {("law:spills", "law:small-tiles"), ("law:small-tiles", "law:spills")}


def test_json_reads_back_as_the_same_graph():
    """Node-link JSON loses nothing."""
    back = nx.node_link_graph(json.loads(FORMATS["json"](GRAPH)), edges="edges")
    assert nx.utils.graphs_equal(back, GRAPH)


def test_graphml_reads_back_with_the_same_nodes_and_edges():
    """GraphML is well formed (a parser reads it) and complete."""
    text = FORMATS["graphml"](GRAPH)
    back = nx.read_graphml(StringIO(text), force_multigraph=True)
    assert dict(back.nodes(data=True)) == dict(GRAPH.nodes(data=True))
    assert sorted((a, b, d["verb"]) for a, b, d in back.edges(data=True)) == sorted(
        (a, b, d["verb"]) for a, b, d in GRAPH.edges(data=True)
    )


def test_dot_and_mermaid_name_every_node_and_edge():
    """Each drawing has a line for each node and each edge, laws with their status."""
    dot, mermaid = to_dot(GRAPH), to_mermaid(GRAPH)
    assert dot.count("[label=") == len(GRAPH) + GRAPH.number_of_edges()
    assert '"law:spills" [label="spills (confirmed)", shape=note];' in dot
    assert 'label="refutes", color=red' in dot
    assert mermaid.count("-->|") == GRAPH.number_of_edges()
    assert '["spills (confirmed)"]' in mermaid


def test_quotes_in_names_cannot_break_a_drawing():
    """Titles are data."""
    graph = nx.MultiDiGraph()
    graph.add_node('a"b', kind="kernel", name='a"b<\\')
    assert '"a\\"b" [label="a\\"b<\\\\"' in to_dot(graph)
    assert '"a&quot;b&lt;\\"' in to_mermaid(graph)


def ways_to_hardware(hw: str) -> dict[str, tuple[str, int]]:
    """Hardware id -> how a law stated for it comes to be about `hw`, and over how many nodes; by NetworkX."""
    kinds = along(WHOLE, "is_a")
    up = nx.single_source_shortest_path_length(kinds, key("hardware", hw))
    found = {}
    for node in ids(WHOLE, "hardware"):
        other = nx.single_source_shortest_path_length(kinds, key("hardware", node))
        if common := up.keys() & other.keys():
            inherited = "exact" if node == hw else "inherited" if key("hardware", node) in up else "transferred"
            found[node] = (inherited, 1 + min(up[top] + other[top] for top in common))
    return found


def ways_to_op(op: str) -> dict[str, str]:
    """Op id -> how a law stated for it comes to be about `op`; by NetworkX."""
    kinds, parts, node = along(WHOLE, "is_a"), along(WHOLE, "part_of"), key("op", op)
    below = nx.ancestors(kinds, node)
    inside = {part for whole in {node, *below} for part in nx.ancestors(parts, whole) if part.startswith("op:")}
    found = {part: "part" for whole in inside for part in {whole, *nx.ancestors(kinds, whole)}}
    found |= dict.fromkeys(below, "child") | dict.fromkeys(nx.descendants(kinds, node), "inherited") | {node: "exact"}
    return {name.removeprefix("op:"): how for name, how in found.items()}


@pytest.mark.parametrize(("hw", "op"), [(hw, "attention") for hw in LAWS.hardware] + [("h100", op) for op in LAWS.ops])
def test_a_query_and_the_graph_know_the_same_ways(hw, op):
    """What `kg query` walks are the edges of the graph: the same laws, by ways of the same kind and length."""
    hits = query(
        LAWS, Ask(hw=hw, op=op, statuses=frozenset({"proposed", "confirmed", "contested", "refuted", "withdrawn"}))
    ).hits
    found = {hit.law.id: (hit.match.hw, len(hit.match.via), hit.match.op) for hit in hits}
    by_hardware, by_op = ways_to_hardware(hw), ways_to_op(op)
    scopes = along(WHOLE, "applies_to")
    expected = {}
    for law in ids(WHOLE, "law"):
        ends = list(scopes.successors(key("law", law)))
        (on,), (about,) = ids(ends, "hardware"), ids(ends, "op")
        if on in by_hardware and about in by_op and "hw." not in LAWS.laws[law].scope.when:
            expected[law] = (*by_hardware[on], by_op[about])
    assert found == expected
