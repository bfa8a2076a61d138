"""What a law takes the power of in a layer beneath is told each time, whatever it acknowledges: nothing overrides silently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from spak.kg.checks import finding
from spak.kg.errors import Problem
from spak.kg.files.loader import Laws
from spak.kg.law.kinds import meaning
from spak.kg.law.power import DEAD
from spak.kg.law.statement import evidence_text
from spak.kg.law.superseding import CHECK, Superseded


def check(laws: Laws) -> Iterator[Problem]:
    """A note for each law that has no power; a finding where what supersedes it has none either.

    What layers beneath supersede among themselves is told where they lie.
    """
    for one in laws.superseded:
        if one.by_layer:
            continue
        law = laws.laws[one.by]
        place = next(i for i, link in enumerate(law.related) if link.type == "supersedes" and link.id == one.law.id)
        problem = finding(laws, CHECK, law.id, f"related[{place}]", _words(one))
        neither = law.status == "refuted"
        problem = (
            replace(problem, message=f"{problem.message}; it is refuted itself, so neither acts")
            if neither
            else problem
        )
        yield problem if neither and one.law.status not in DEAD else replace(problem, severity="note")


def _words(one: Superseded) -> str:
    safety = ", about SAFETY" if meaning(one.law).is_safety else ""
    return f"takes the power of {one.path} ({one.layer}{safety}), which is {one.law.status}: {evidence_text(one.law.evidence)}"
