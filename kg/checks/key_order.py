"""Keys stand in canonical order, so that two people's laws differ only where they say something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from spak.kg.errors import Problem
from spak.kg.files.loader import Laws


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each file whose keys are not in canonical order; `kg fmt` mends it, and the layout as well."""
    for kind, fields in laws.contents.misplaced.items():
        for identifier, field in fields.items():
            document = laws.document(kind, identifier)
            problem = document.problem(field, "keys are not in canonical order; run kg fmt", at_key=True)
            yield replace(problem, severity="finding", check="key-order")
