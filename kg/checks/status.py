"""A law's status is what its evidence gives."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import finding
from spak.kg.errors import Problem
from spak.kg.files.loader import Laws
from spak.kg.law.status import standing


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each status that differs from the computed one."""
    for law in laws.laws.values():
        computed = standing(law)
        if computed.status != law.status:
            message = f"the evidence gives {computed.status} ({computed.reason}), the file says {law.status}; write {computed.status}"
            yield finding(laws, "status", law.id, "status", message)
