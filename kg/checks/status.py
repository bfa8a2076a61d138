"""A law's status is what its evidence gives."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import CheckFinding, OneLaw
from spak.kg.law.status import standing


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding if the status differs from the computed one."""
    law, computed = one.law, standing(one.law)
    if computed.status != law.status:
        message = f"the evidence gives {computed.status} ({computed.reason}), the file says {law.status}; write {computed.status}"
        yield CheckFinding(check="status", field="status", message=message)
