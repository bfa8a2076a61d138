"""Keys stand in canonical order, so that two people's laws differ only where they say something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from spak.kg.errors import Problem
from spak.kg.files.fmt import misplaced
from spak.kg.files.loader import Laws


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each file whose keys are not in canonical order; `kg fmt` mends it, and the layout as well."""
    for kind in ("law", "hardware", "op", "system"):
        for identifier in laws.paths[kind]:
            document = laws.document(kind, identifier)
            field = misplaced(document.value, kind)
            if field is not None:
                problem = document.problem(field, "keys are not in canonical order; run kg fmt", at_key=True)
                yield replace(problem, severity="finding", check="key-order")
