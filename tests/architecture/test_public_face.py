"""Commands stand on the public face: `spak`, their own folder, and words. What does not yet is listed, and the list shrinks."""

from __future__ import annotations

import ast
import re

import spak
from tests.architecture.sources import files, module, tree

RENDERING = "spak.cli.render."
"""Modules that put results into words; they know the parts of a result and the words for them."""

WORDS = {
    "spak.kg.expression.assignment",
    "spak.kg.answers.graph_export",
    "spak.kg.files.atomic",
    "spak.kg.files.reading",
    "spak.kg.visible",
}
"""How settings, graphs and files are read and written: what a command says, not what it asks."""

ROOM = re.compile(r"spak\.(\w+\.\w+)")

NOT_YET: dict[str, set[str]] = {
    "completion": {"kg.law"},
    "kg_commands.merge_file": {"kg.files"},
    "kg_commands.new": {"kg.files"},
    "kg_commands.query": {"kg.answers", "kg.law"},
    "kg_commands.schema": {"kg.files"},
    "kg_commands.verify": {"tuner.backend", "tuner.learn"},
    "kg_commands.why": {"kg.answers"},
    "roots": {"kg.files"},
    "tune_commands.replay": {"tuner.strategy"},
    "tune_commands.search": {"tuner.backend", "tuner.strategy"},
}
"""Command module -> rooms of which it uses what is not public. This list only shrinks.

Text of files (`kg.files`, `kg.formats`), the forms and words of answers (their JSON, `diff`), and the names of
strategies and backends, which help texts list.
"""


def beyond() -> dict[str, set[str]]:
    """What each module of `cli` imports that is not public, not of `cli` and not words, also for a type checker alone."""
    found: dict[str, set[str]] = {}
    for file in files("cli"):
        if module(file).startswith(RENDERING):
            continue
        for node in ast.walk(tree(file)):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("spak."):
                continue
            if node.module.startswith("spak.cli") or node.module in WORDS:
                continue
            for alias in node.names:
                if alias.name not in spak._HOMES.get(node.module, ()):
                    found.setdefault(module(file).removeprefix("spak.cli."), set()).add(
                        ROOM.match(f"{node.module}.{alias.name}")[1]
                    )
    return found


def test_commands_use_what_anybody_can_use():
    """What is listed and needed no more is to be taken off the list; what is new is to become public, or words."""
    assert beyond() == NOT_YET
