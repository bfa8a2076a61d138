"""Evidence is not believed: every field of an entry is what the trials of its run give."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import CheckFinding, OneLaw
from spak.kg.evidence.entries import mismatches


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding for each field of an entry that the run's trials do not give, and for what entries leave out of a run."""
    for found in mismatches(one.law, one.witness):
        yield CheckFinding(check="derived", field=f"evidence[{found.entry}].{found.field}", message=found.message)
