"""The sources that the tests of this folder read: files, their syntax trees, and the graph of their imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
PACKAGES = ("kg", "kernels", "tuner", "cli")


def files(*packages: str) -> list[Path]:
    """The Python files of `packages`, of all four if none is named."""
    return sorted(file for package in packages or PACKAGES for file in (ROOT / package).rglob("*.py"))


def name(file: Path) -> str:
    """`kg/model/law.py`."""
    return file.relative_to(ROOT).as_posix()


def module(file: Path) -> str:
    """`spak.kg.model.law`; a package is called as its folder is."""
    return "spak." + name(file).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def tree(file: Path) -> ast.Module:
    """The syntax tree of `file`."""
    return ast.parse(file.read_text(encoding="utf-8"))


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Each function of `file`, methods and inner ones too: `kg/a.py name`, its number of lines."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name(file)} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def strings(file: Path) -> Iterator[ast.Constant]:
    """Every string literal of `file` that code sees: no docstrings, no strings that stand for themselves."""
    prose = {id(node.value) for node in ast.walk(tree(file)) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node


@cache
def imports() -> tuple[tuple[str, str], ...]:
    """Every `(importing, imported)` pair of modules of `spak`, also those that only a type checker follows."""
    graph = grimp.build_graph("spak", cache_dir=None)
    return tuple((one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one))
