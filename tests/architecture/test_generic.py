"""Generic code names no op, kernel, GPU or parameter: what differs between them is data under laws/, or a kernel's own folder."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

from tests.architecture.sources import ROOT, files, name, strings, tree

ORDINARY = {
    "spak",
    "nvidia",
    "loss",
    "dtype",
    "batch",
    "latency",
    "group",
    "linear",
    "norm",
    "residual",
    "inputs",
    "context",
    "steps",
}
"""Ids and aliases that are words or fields of their own as well: the distribution, a vendor, a YAML error's, what
a kernel reads, parts of a report, and `spak.kg.model.base.IMPLIED` says of it."""

WORD = re.compile(r"[\w.\-]+")


def proper_names() -> set[str]:
    """Ids, aliases and parameters of the shipped nodes, single letters left out."""
    nodes = [yaml.safe_load(file.read_text()) for kind in ("hardware", "ops", "systems") for file in node_files(kind)]
    found = {text for node in nodes for text in (node["id"], *node.get("aliases", ()))}
    found |= {text for node in nodes for key in ("parameters", "problem") for text in node.get(key, ())}
    return {text for text in found if len(text) > 1} - ORDINARY


def node_files(kind: str) -> list[Path]:
    return sorted((ROOT / "laws" / kind).glob("*.yaml"))


def told_to_people(file: Path) -> set[int]:
    """Strings of a command that only a person reads: the help of an option, and the examples that end `--help`."""
    found = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.keyword) and node.arg == "help":
            found |= {id(inner) for inner in ast.walk(node.value)}
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "EXAMPLES":
            found |= {id(inner) for inner in ast.walk(node)}
    return found


def test_no_string_of_generic_code_holds_a_proper_name():
    """A name in code is a special case: the next kernel, GPU or op would need an edit there."""
    names = proper_names()
    assert {"fmha", "sm_120", "h200", "head_dim", "tile_m"} <= names
    found = set()
    for file in files("kg", "tuner", "cli"):
        prose = told_to_people(file)
        for node in strings(file):
            if id(node) not in prose:
                found |= {(name(file), word) for word in WORD.findall(node.value) if word in names}
    assert sorted(found) == []
