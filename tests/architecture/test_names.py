"""A public name means one thing: no two modules define it, but for the exceptions here, each with its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import files, name, tree

BY_DESIGN = {
    "COMMANDS": "a program's commands, in its module",
    "Candidate": "of a run file, and the same as a reader decodes it, under the name that its schema has",
    "EXAMPLES": "shown beside a command's help, found in its module",
    "HELP": "what a program is for, in its module",
    "Model": "what a file of the store is read into, and a language model, which knows no such file",
    "Run": "as `Candidate`",
    "SPEC": "what a kernel's spec module is asked for",
    "check": "what a check plug-in is asked for",
    "check_law": "as `check`",
    "command": "what a command's module is asked for",
    "main": "where a process begins",
    "of_run": "as `check`",
    "open_task": "what a backend's module is asked for",
    "section": "what a part of the report is asked for",
    "serve": "what a worker process does",
}
"""Name -> why every module of some sort has its own."""

ELSEWHERE = {
    "kernels/interface.py": "kernels import nothing of kg: what a configuration and a problem size are is said there again",
    "kernels/sim/access.py": "its functions are those of cuda.tile",
    "kernels/sim/arithmetic.py": "its functions are those of cuda.tile",
    "kernels/sim/folding.py": "its functions are those of cuda.tile",
    "kernels/sim/shaping.py": "its functions are those of cuda.tile",
}
"""File -> why its names are its own. So are those of every `kernel.py`, which is one program as a compiler reads it."""


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
    for file in files():
        if name(file) in ELSEWHERE or (name(file).startswith("kernels/") and file.name.endswith("kernel.py")):
            continue
        for one in public(file):
            homes.setdefault(one, set()).add(name(file))
    assert {one: sorted(where) for one, where in homes.items() if len(where) > 1 and one not in BY_DESIGN} == {}


def test_every_excuse_is_needed():
    """An excuse for a file or a name that is gone would cover the next one."""
    where = [(one, name(file)) for file in files() for one in public(file)]
    assert [one for one in BY_DESIGN if sum(one == found for found, _ in where) < 2] == []
    assert ELSEWHERE.keys() <= {file for _, file in where}
