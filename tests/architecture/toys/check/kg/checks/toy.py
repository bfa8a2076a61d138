"""A toy check: titles abbreviate nothing."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import finding
from spak.kg.errors import Problem
from spak.kg.files.loader import Laws


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each law that calls attention by four letters."""
    for law in laws.laws.values():
        if "FMHA" in law.title:
            yield finding(laws, "toy", law.id, "title", "write it out")
