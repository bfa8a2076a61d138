"""The graph in formats that other tools read: node-link JSON, GraphML, Graphviz DOT, Mermaid."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import networkx as nx

from spak.kg.answers.graph import Graph
from spak.kg.visible import line, visible

_SHAPES = {
    "hardware": "box3d",
    "op": "ellipse",
    "parameter": "plain",
    "system": "folder",
    "kernel": "component",
    "law": "note",
    "run": "cylinder",
}
"""Graphviz shape of each node kind."""

_BRACKETS = {"hardware": "[[{}]]", "op": "([{}])", "system": "[/{}/]", "law": "[{}]", "run": "[({})]"}
"""Mermaid brackets of each node kind; the rest are plain boxes."""


def _to_json(graph: Graph) -> str:
    """Node-link JSON with the keys `nodes` and `edges`, one node or edge a line."""
    data = nx.node_link_data(graph, edges="edges")
    lines = [
        f' "{name}": [\n' + ",\n".join("  " + json.dumps(item, ensure_ascii=False) for item in data[name]) + "\n ]"
        for name in ("nodes", "edges")
    ]
    return visible('{"directed": true, "multigraph": true,\n' + ",\n".join(lines) + "\n}\n")


def to_graphml(graph: Graph) -> str:
    """GraphML, as yEd and Gephi read it."""
    return visible("\n".join(nx.generate_graphml(graph)) + "\n")


def to_dot(graph: Graph) -> str:
    """Graphviz DOT; refuting and conflicting edges are red, supporting ones green."""
    colours = {"refutes": "red", "conflicts_with": "red", "supports": "darkgreen"}
    lines = ["digraph laws {", "  rankdir=LR;", '  node [fontname="sans-serif"];', '  edge [fontname="sans-serif"];']
    for node, data in graph.nodes(data=True):
        lines.append(f"  {_quoted(node)} [label={_quoted(_label(data))}, shape={_SHAPES[data['kind']]}];")
    for start, end, data in graph.edges(data=True):
        verb = data["verb"]
        colour = f", color={colours[verb]}" if verb in colours else ""
        lines.append(f"  {_quoted(start)} -> {_quoted(end)} [label={_quoted(verb)}{colour}];")
    return "\n".join([*lines, "}", ""])


def to_mermaid(graph: Graph) -> str:
    """A Mermaid flowchart, as GitHub draws it inside Markdown."""
    names = {node: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node, data in graph.nodes(data=True):
        label = '"' + line(_label(data)).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;") + '"'
        lines.append(f"  {names[node]}{_BRACKETS.get(data['kind'], '[{}]').format(label)}")
    lines += [f"  {names[start]} -->|{data['verb']}| {names[end]}" for start, end, data in graph.edges(data=True)]
    return "\n".join([*lines, ""])


FORMATS: Mapping[str, Callable[[Graph], str]] = {
    "json": _to_json,
    "graphml": to_graphml,
    "dot": to_dot,
    "mermaid": to_mermaid,
}
"""Name of a format -> function from a graph to its text."""


def _label(data: Mapping[str, str]) -> str:
    """What a person reads on a node: its id, and a law's status."""
    return f"{data['name']} ({data['status']})" if "status" in data else data["name"]


def _quoted(text: str) -> str:
    escaped = visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
