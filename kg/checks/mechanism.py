"""A law's reason is a term of the glossary, so that the same mechanism is never named in two ways."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from spak.kg.checks import CheckFinding, OneLaw
from spak.kg.law.mechanisms import MECHANISMS


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding for a `because` that is no mechanism of the glossary."""
    term = one.law.claim.because
    if term and term not in MECHANISMS:
        nearest = get_close_matches(term, MECHANISMS, n=1)
        hint = f"write {nearest[0]}" if nearest else f"use one of {', '.join(MECHANISMS)}"
        message = f"no mechanism of docs/glossary.md (got {term!r}); {hint}, or add it to kg/law/mechanisms.py"
        yield CheckFinding(check="mechanism", field="claim.because", message=message)
