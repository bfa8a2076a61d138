"""What `kg check` looks at in laws that load: one module a check, found by being in this folder.

A check module has `check(laws) -> Iterator[Problem]`; its findings carry `check=` a stable kebab-case name. A law may
acknowledge a finding (`acknowledges: ["check-name: reason"]`); it is then a note.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import replace

from spak.kg.errors import Problem
from spak.kg.files.loader import Laws

Check = Callable[[Laws], Iterator[Problem]]


def checks() -> dict[str, Check]:
    """Every check by the name of its module, sorted."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").check for name in names}


def run_checks(laws: Laws) -> list[Problem]:
    """What every check finds, by place; findings that a law acknowledges are notes."""
    acknowledged = {
        (str(laws.path("law", law.id)), entry.partition(":")[0].strip())
        for law in laws.laws.values()
        for entry in law.acknowledges
    }
    found = [problem for check in checks().values() for problem in check(laws)]
    return sorted(
        replace(problem, severity="note") if (problem.path, problem.check) in acknowledged else problem
        for problem in found
    )


def finding(laws: Laws, name: str, identifier: str, field: str, message: str, *, kind: str = "law") -> Problem:
    """A finding of the check `name` about a `field` of the file of a law, or of another kind, with its place."""
    return replace(laws.document(kind, identifier).problem(field, message), severity="finding", check=name)
