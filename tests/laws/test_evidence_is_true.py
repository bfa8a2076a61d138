"""Evidence entries of the shipped laws are what the raw trials of their runs say; no compiler or GPU is needed."""

from __future__ import annotations

import msgspec
import pytest

from spak.kg.evidence.entries import mismatches
from spak.kg.evidence.witness import SPEAKING
from spak.kg.model.law import Evidence, Law
from tests.shipped import LAWS


def lying(entry: Evidence) -> Evidence:
    """`entry` with a lie in the first number of its effect."""
    name, value = next(iter(entry.effect.items()))
    return msgspec.structs.replace(entry, effect={**entry.effect, name: value + 0.001})


def test_there_is_something_to_check() -> None:
    """Every measured and compiled entry is judged again; what is only reported cannot be."""
    assert sum(entry.tier in SPEAKING for law in LAWS.laws.values() for entry in law.evidence) > 250
    assert {entry.tier for law in LAWS.laws.values() for entry in law.evidence} - SPEAKING == {"reported"}


@pytest.mark.parametrize("law", [law for law in LAWS.laws.values() if law.evidence], ids=lambda law: law.id)
def test_evidence_is_what_its_runs_say(law: Law) -> None:
    """Every field of every entry."""
    assert list(mismatches(law, LAWS.witness)) == []


@pytest.mark.parametrize("parity", [0, 1], ids=["even", "odd"])
@pytest.mark.parametrize("law", [law for law in LAWS.laws.values() if law.evidence], ids=lambda law: law.id)
def test_another_effect_would_be_found_out(law: Law, parity: int) -> None:
    """Of every second entry, by the entry's number; the true ones between them are not accused."""
    lies = {index: entry for index, entry in enumerate(law.evidence) if entry.tier in SPEAKING and index % 2 == parity}
    evidence = tuple(lying(entry) if index in lies else entry for index, entry in enumerate(law.evidence))
    found = mismatches(msgspec.structs.replace(law, evidence=evidence), LAWS.witness)
    assert {(one.entry, one.field) for one in found} == {
        (index, f"effect.{next(iter(entry.effect))}") for index, entry in lies.items()
    }
