"""Evidence entries of the shipped laws are what the raw trials of their runs say; no compiler or GPU is needed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spak.kg.evidence.witness import SPEAKING, differences
from spak.kg.files.loader import load
from spak.tuner.verify import witnesses

LAWS = load(Path(__file__).parents[2] / "laws")
KNOWN = {witness.run.id: witness for witness in witnesses(LAWS)}
JUDGED = [
    (law, entry)
    for law in LAWS.laws.values()
    for entry in law.evidence
    if entry.tier in SPEAKING and KNOWN[entry.run].says(law, entry.problems).problems
]


def test_most_measured_and_compiled_entries_can_be_judged_again() -> None:
    """The test below has something to check: only occupancy ratios have no judge."""
    entries = [entry for law in LAWS.laws.values() for entry in law.evidence if entry.tier in SPEAKING]
    assert len(JUDGED) >= 0.9 * len(entries) > 50


@pytest.mark.parametrize(("law", "entry"), JUDGED, ids=[f"{law.id}-{entry.run}" for law, entry in JUDGED])
def test_an_entry_is_what_its_run_says(law, entry) -> None:
    """Verdict, effect and interval; an entry with another effect would be found out."""
    assert differences(law, entry, KNOWN[entry.run]) == ()
    name, value = next(iter(entry.effect.items()))
    assert differences(law, msgspec.structs.replace(entry, effect={name: value + 1}), KNOWN[entry.run])
