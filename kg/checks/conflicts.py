"""Laws that cannot both be followed are named, with the evidence of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import msgspec

from spak.kg.checks import finding
from spak.kg.errors import Problem
from spak.kg.files.loader import Laws
from spak.kg.law.conflict import Conflict, Conflicts
from spak.kg.model.law import Law


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each conflict between confirmed laws, a note for each other one."""
    for conflict in of_root(laws):
        one, other = (laws.laws[name] for name in conflict.laws)
        message = (
            f"{conflict.reason} (problem {conflict.problem}); {_evidence(one)}; {_evidence(other)}; narrow one scope"
        )
        problem = finding(laws, "conflict", one.id, "claim", message)
        confirmed = one.status == other.status == "confirmed"
        yield problem if confirmed else replace(problem, severity="note")


def of_root(laws: Laws) -> list[Conflict]:
    """Every conflict between laws of the root."""
    inputs = chain((laws.hardware, laws.ops), laws.laws.values())
    parts = chain((b"conflicts",), map(msgspec.msgpack.encode, inputs))
    return laws.ledger.remembered(parts, Conflicts(laws).all, list[Conflict])


def _evidence(law: Law) -> str:
    runs = ", ".join(f"{entry.run} ({entry.tier}, {entry.verdict})" for entry in law.evidence) or "no evidence"
    return f"{law.id} is {law.status}: {runs}"
