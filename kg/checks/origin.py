"""A law about times says where it was found: a run that suggests it, a document that states it, or its author's words."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import CheckFinding, OneLaw
from spak.kg.law.power import DEAD
from spak.kg.law.status import bounds, needed_tier


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding for a law with measured evidence of unknown origin, and for an origin in words where a run lists the law."""
    law = one.law
    found = [entry.run for entry in law.evidence if (run := one.witness(entry.run)) is not None and run.suggestion(law)]
    stated = any(entry.tier == "reported" and entry.role == "suggested" for entry in law.evidence)
    about_time = any(needed_tier(law, name) == "measured" for name in bounds(law))
    measured = any(entry.tier == "measured" for entry in law.evidence)
    if law.origin and found:
        message = f"run {found[0]} lists the law, so it was found there; take the origin out"
        yield CheckFinding(check="origin", field="origin", message=message)
    elif not law.origin and not found and not stated and about_time and measured and law.status not in DEAD:
        message = "no cited run suggests this law and no document states it; say in origin who found it in which runs"
        yield CheckFinding(check="origin", field="evidence", message=message)
