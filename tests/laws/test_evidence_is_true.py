"""Evidence entries of the shipped laws are what the raw trials of their runs say; no compiler or GPU is needed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spak.kg.evidence.entries import mismatches
from spak.kg.evidence.witness import SPEAKING
from spak.kg.files.loader import load
from spak.kg.model.law import Evidence, Law

LAWS = load(Path(__file__).parents[2] / "laws")
JUDGED = [
    (law, index, entry)
    for law in LAWS.laws.values()
    for index, entry in enumerate(law.evidence)
    if entry.tier in SPEAKING
]


def lying(law: Law, index: int, **lie: object) -> Law:
    """`law` with a lie in one of its entries."""
    evidence = list(law.evidence)
    evidence[index] = msgspec.structs.replace(evidence[index], **lie)
    return msgspec.structs.replace(law, evidence=tuple(evidence))


def test_there_is_something_to_check() -> None:
    """Every measured and compiled entry is judged again; what is only reported cannot be."""
    assert len(JUDGED) > 250
    assert {entry.tier for law in LAWS.laws.values() for entry in law.evidence} - SPEAKING == {"reported"}


@pytest.mark.parametrize("law", [law for law in LAWS.laws.values() if law.evidence], ids=lambda law: law.id)
def test_evidence_is_what_its_runs_say(law: Law) -> None:
    """Every field of every entry."""
    assert list(mismatches(law, LAWS.witness)) == []


@pytest.mark.parametrize(("law", "index", "entry"), JUDGED, ids=[f"{law.id}-{entry.run}" for law, _, entry in JUDGED])
def test_another_effect_would_be_found_out(law: Law, index: int, entry: Evidence) -> None:
    """By the entry's number, or by its interval."""
    name, value = next(iter(entry.effect.items()))
    lie = lying(law, index, effect={**entry.effect, name: value + 0.001})
    assert [(one.entry, one.field) for one in mismatches(lie, LAWS.witness)] == [(index, f"effect.{name}")]
