"""What is imported by name is there: registries and tables of modules are strings, which no linter follows."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.architecture.sources import files, name, strings

MODULE = re.compile(r"(?:spak|kg|kernels|tuner|cli)(?:\.[a-z_]\w*)+(?::\w+)?")
QUOTED = re.compile(r"""["'](?:spak|kg|kernels|tuner|cli)\.""")
"""Begins one in the text of a file; those without any need no syntax tree."""
NAMED = sorted(
    {
        (name(file), node.value)
        for file in files()
        if QUOTED.search(file.read_text(encoding="utf-8"))
        for node in strings(file)
        if MODULE.fullmatch(node.value)
    }
)


def test_the_registries_are_among_what_is_looked_at():
    """Commands, kernels, strategies and backends are named in strings."""
    registries = {"cli/kg.py", "cli/tune.py", "cli/spak.py", "kernels/registry.py", "tuner/strategy/registry.py"}
    assert registries <= {file for file, _ in NAMED}


@pytest.mark.parametrize(("file", "text"), NAMED)
def test_what_a_string_names_exists(file, text):
    """A typing mistake there shows only when the string is used: as an error nobody catches, for instance."""
    module, _, attribute = text.partition(":")
    loaded = importlib.import_module(module)
    assert not attribute or hasattr(loaded, attribute)
