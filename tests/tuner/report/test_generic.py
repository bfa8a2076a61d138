"""The report names no op, kernel, hardware or system: a law root without ours is told of as well."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import spak.tuner.report
from tests.tuner.report import recorded

SOURCES = sorted(Path(spak.tuner.report.__file__).parent.glob("*.py"))


def literals(source: str) -> Iterator[str]:
    """The string constants of a module, parts of f-strings among them, that are no docstring."""
    tree = ast.parse(source)
    told = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


@pytest.fixture(scope="module")
def names() -> re.Pattern[str]:
    """Ids and aliases of ops, hardware and systems, and ids of parameters, as words."""
    laws = recorded.laws()
    nodes = [*laws.ops.values(), *laws.hardware.values(), *laws.systems.values()]
    words = {word for node in nodes for word in (node.id, *node.aliases)}
    words.discard("spak")  # the package itself, which a system is called after
    words |= {name for op in laws.ops.values() for name in op.parameters if "_" in name}
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, sorted(words)))})(?![\w-])", re.IGNORECASE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_module_names_an_op_a_kernel_or_hardware(path: Path, names):
    """Roles of parameters, systems and facts decide what is told."""
    assert [text for text in literals(path.read_text()) if names.search(text)] == []


def test_a_name_would_be_found(names):
    """The search sees a constant and a part of an f-string, and no docstring."""
    found = list(literals('"""matmul"""\nOP = "fmha"\nTEXT = f"of {OP} on rtx5070"\n'))
    assert [text for text in found if names.search(text)] == ["fmha", " on rtx5070"]
