"""A public name means one thing: no two modules define it, but for the exceptions here, which only become fewer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import files, name, tree

BY_DESIGN = {
    "command": "what a command's module is asked for",
    "EXAMPLES": "shown beside a command's help, found in its module",
    "check": "what a check plug-in is asked for",
    "SPEC": "what a kernel's spec module is asked for",
    "main": "where a process begins",
}
"""Name -> why every module of some sort has its own. The kernels' folder follows the names of cuda.tile."""

REPEATED = frozenset(
    [
        "ATTEMPTS",
        "Bearing",
        "Bound",
        "COMMANDS",
        "Candidate",
        "Document",
        "Effect",
        "Expression",
        "FORMAT",
        "FORMATS",
        "Format",
        "HELP",
        "KINDS",
        "Kernel",
        "Kind",
        "Limits",
        "MAX_BYTES",
        "MAX_DEPTH",
        "MAX_LENGTH",
        "MAX_PROBLEMS",
        "Machine",
        "Mask",
        "Node",
        "Problem",
        "Restriction",
        "Role",
        "Run",
        "STATUSES",
        "Search",
        "Setting",
        "Space",
        "Stage",
        "Step",
        "T",
        "Timed",
        "Value",
        "Verdict",
        "bounds",
        "build",
        "choose",
        "compare",
        "covers",
        "document",
        "effects",
        "evaluate",
        "evidence",
        "find",
        "github",
        "identifier",
        "in_words",
        "inside",
        "json",
        "kind_of",
        "law_text",
        "lines",
        "load",
        "markdown",
        "negated",
        "open_task",
        "parse",
        "plain",
        "resolve",
        "run",
        "section",
        "serve",
        "table",
        "text",
        "to_json",
        "yaml_text",
    ]
)
"""Defined twice as yet; a name that is renamed is taken out."""


def public(file: Path) -> Iterator[str]:
    """Names that `file` defines at its top level."""
    for node in tree(file).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found = [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
        found += [target.id for target in targets if isinstance(target, ast.Name)]
        yield from (one for one in found if not one.startswith("_"))


def test_no_two_modules_define_one_public_name():
    """Whoever reads a name knows which thing it is; a new repetition fails."""
    homes: dict[str, set[str]] = {}
    for file in files("kg", "tuner", "cli"):
        for one in public(file):
            homes.setdefault(one, set()).add(name(file))
    repeated = {one for one, where in homes.items() if len(where) > 1}
    assert sorted(repeated - BY_DESIGN.keys() - REPEATED) == []
