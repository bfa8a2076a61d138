"""A law's status is what its evidence gives."""

from __future__ import annotations

from collections.abc import Iterator

from kg.checks import finding
from kg.errors import Problem
from kg.loader import Laws
from kg.status import standing


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each status that differs from the computed one."""
    for law in laws.laws.values():
        computed = standing(law)
        if computed.status != law.status:
            message = f"the evidence gives {computed.status} ({computed.reason}), the file says {law.status}; write {computed.status}"
            yield finding(laws, "status", law.id, "status", message)
