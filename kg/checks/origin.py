"""A law about times says where it was found: a run that lists it, a document that states it, or its author in words."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import CheckFinding, OneLaw
from spak.kg.law.power import DEAD
from spak.kg.law.status import bounds, needed_tier


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding for a law with measured evidence of whose origin nothing is said."""
    law = one.law
    if law.origin or law.status in DEAD or not any(entry.tier == "measured" for entry in law.evidence):
        return
    stated = any(entry.tier == "reported" and entry.role == "suggested" for entry in law.evidence)
    listed = any((run := one.witness(entry.run)) is not None and run.suggestion(law) for entry in law.evidence)
    if any(needed_tier(law, name) == "measured" for name in bounds(law)) and not stated and not listed:
        message = "no cited run suggests this law and no document states it; say in origin who found it in which runs"
        yield CheckFinding(check="origin", field="evidence", message=message)
