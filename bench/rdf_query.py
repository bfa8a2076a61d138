"""The same facts as RDF, asked with SPARQL, for bench/kg_query.py. Needs rdflib.

python -m bench.rdf_query write LAWS FILE.ttl
python -m bench.rdf_query ask FILE.ttl rtx5070 attention
"""

from __future__ import annotations

import sys
from pathlib import Path

QUESTION = """
PREFIX k: <urn:k:>
SELECT ?law ?kind ?status ?title ?claim ?hw ?op ?when ?run ?tier ?verdict WHERE {
  ?law k:hw ?hw ; k:op ?op ; k:kind ?kind ; k:status ?status ; k:title ?title ; k:claim ?claim .
  %(hw)s k:is_a*/^k:is_a* ?hw .
  { %(op)s k:is_a* ?op } UNION { ?op k:is_a* %(op)s }
  OPTIONAL { ?law k:when ?when }
  OPTIONAL { ?law k:evidence ?e . ?e k:run ?run ; k:tier ?tier ; k:verdict ?verdict }
  FILTER(?status != "withdrawn")
}
"""


def write(laws: str, target: str) -> None:
    """Write hardware, ops and laws with their evidence as Turtle."""
    import rdflib

    from spak.kg.files.loader import load
    from spak.kg.law.kinds import kind_of, meaning

    store, graph, k = load(Path(laws)), rdflib.Graph(), rdflib.Namespace("urn:k:")
    for kind, nodes in (("hardware", store.hardware), ("op", store.ops)):
        for node in nodes.values():
            graph.add((k[f"{kind}/{node.id}"], k.title, rdflib.Literal(node.title)))
            for parent in node.is_a:
                graph.add((k[f"{kind}/{node.id}"], k.is_a, k[f"{kind}/{parent}"]))
    for law in store.laws.values():
        subject = k[f"law/{law.id}"]
        texts = {
            "kind": kind_of(law),
            "status": law.status,
            "title": law.title,
            "claim": meaning(law).text,
            "when": law.scope.when,
        }
        for name, text in texts.items():
            if text:
                graph.add((subject, k[name], rdflib.Literal(text)))
        graph.add((subject, k.hw, k[f"hardware/{law.scope.hw}"]))
        graph.add((subject, k.op, k[f"op/{law.scope.op}"]))
        for evidence in law.evidence:
            entry = rdflib.BNode()
            graph.add((subject, k.evidence, entry))
            for name in ("run", "tier", "verdict"):
                graph.add((entry, k[name], rdflib.Literal(getattr(evidence, name))))
    graph.serialize(target, format="turtle")


def ask(source: str, hw: str, op: str) -> None:
    """Load the Turtle file, ask, and print how many laws and rows came back."""
    import rdflib

    graph = rdflib.Graph().parse(source, format="turtle")
    rows = list(graph.query(QUESTION % {"hw": f"<urn:k:hardware/{hw}>", "op": f"<urn:k:op/{op}>"}))
    print(len({row.law for row in rows}), "laws,", len(rows), "rows")


if __name__ == "__main__":
    {"write": write, "ask": ask}[sys.argv[1]](*sys.argv[2:])
